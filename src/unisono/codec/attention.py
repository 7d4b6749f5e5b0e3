"""Post-norm attention stack under a segment mask, shared by codec encoder and decoder (TADA, spec section 6.2).

Axes: B batch, L frames, C channels, A heads, E head width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from unisono.codec.segments import Segments

WHOLE = 1024  # frames up to which the attention of a sequence is one product
CELLS = 1 << 20  # query-key pairs of one head beyond that: 4 MB of scores


def rope_table(length: int, head_dim: int) -> torch.Tensor:
    """Cosines and sines of interleaved rotary positions, float32 [length, head_dim/2, 2]."""
    frequency = 1.0 / (10000 ** (torch.arange(0, head_dim, 2).float() / head_dim))
    angle = torch.arange(length).float()[:, None] * frequency
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def rope_rows(table: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Rows [start, stop) of a rotary table [max_frames, E/2, 2], continued beyond its end.

    Published tables went through bfloat16, so that rotating by p is not exactly rotating by p + d and by -d: a piece
    that shall equal the whole keeps its place in it. Rows beyond the table are rounded as those in it are.
    """
    stored = table[start:stop]
    if stop <= len(table):
        return stored
    width = table.shape[1]
    frequency = 10000.0 ** (-torch.arange(width, dtype=torch.float64) / width)
    angle = torch.arange(max(start, len(table)), stop, dtype=torch.float64)[:, None] * frequency
    added = torch.stack([angle.cos(), angle.sin()], dim=-1).float()
    if torch.equal(table.float(), table.bfloat16().float()):
        added = added.bfloat16().float()
    return torch.cat([stored, added.to(table)])


def apply_rope(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring pairs of x [B, A, L, E] by table [>=L, E/2, 2]; positions start at its first row."""
    cos, sin = table[: x.shape[-2], :, 0].to(x.dtype), table[: x.shape[-2], :, 1].to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class LocalSelfAttention(nn.Module):
    """Self-attention with residual and layer norm: LN(x + OutProj(attention(x)))."""

    def __init__(self, d_model: int, num_heads: int, dropout: float = 0.1, max_frames: int = 8192) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.max_frames = num_heads, d_model // num_heads, max_frames
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.layer_norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        # Published files carry this table after a round trip through bfloat16, and it must then be used (quirk 1).
        self.register_buffer("rope_freqs", rope_table(max_frames, self.head_dim))

    def forward(self, x: torch.Tensor, blocked: torch.Tensor | Segments, first: int = 0) -> torch.Tensor:
        """x [B, L, C], blocked bool [L, L] or [B, L, L] (True = no attention) or segments -> [B, L, C].

        Args:
            first: position of the first frame, for a piece of something longer.

        Raises:
            ValueError: without a mask.
        """
        if blocked is None:
            raise ValueError("attention needs a segment mask")
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.num_heads, self.head_dim)
        q, k, v = (t.transpose(1, 2) for t in qkv.unbind(2))  # [B, A, L, E]
        rows = rope_rows(self.rope_freqs, first, first + length)
        q, k = apply_rope(q, rows), apply_rope(k, rows)
        if isinstance(blocked, Segments) and length > WHOLE:
            mixed = torch.cat([self._mix(q, k, v, blocked, part) for part in query_parts(blocked)], dim=2)
        else:
            mask = blocked.blocked(slice(None), slice(None)) if isinstance(blocked, Segments) else blocked
            mixed = self._attend(q, k, v, mask)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        return self.layer_norm(x + self.dropout(self.out_proj(mixed)))

    def _mix(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, blocks: Segments, part: tuple[slice, slice]
    ) -> torch.Tensor:
        """A part of the queries with the keys they can see -> [B, A, Q, E]."""
        queries, keys = part
        return self._attend(q[:, :, queries], k[:, :, keys], v[:, :, keys], blocks.blocked(queries, keys))

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, blocked: torch.Tensor) -> torch.Tensor:
        """Queries [B, A, Q, E], keys and values [B, A, K, E], blocked [Q, K] or [B, Q, K] -> [B, A, Q, E]."""
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(self.head_dim)
        blocked = blocked[None, None] if blocked.dim() == 2 else blocked[:, None]
        return torch.matmul(self.dropout(scores.masked_fill(blocked, float("-inf")).softmax(-1)), v)


def query_parts(blocks: Segments) -> Iterator[tuple[slice, slice]]:
    """All queries in order, as many at a time as keep a head's scores within `CELLS`, each with the keys they see."""
    start, size = 0, WHOLE
    while start < blocks.length:
        stop = min(start + size, blocks.length)
        low, high = blocks.keys(start, stop)
        if (stop - start) * (high - low) > CELLS and stop - start > 1:
            size = (stop - start) // 2
            continue
        yield slice(start, stop), slice(low, high)
        start, size = stop, min(2 * size, WHOLE)


class LocalAttentionEncoderLayer(nn.Module):
    """Attention sublayer, then LN(a + FFN(a)) with exact GELU."""

    def __init__(self, d_model: int, num_heads: int, ff_dim: int, dropout: float, max_frames: int) -> None:
        super().__init__()
        self.self_attn = LocalSelfAttention(d_model, num_heads, dropout, max_frames)
        self.ffn = nn.Sequential(
            nn.Linear(d_model, ff_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(ff_dim, d_model), nn.Dropout(dropout)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: torch.Tensor, blocked: torch.Tensor | Segments, first: int = 0) -> torch.Tensor:
        """x [B, L, C] -> [B, L, C]."""
        x = self.self_attn(x, blocked, first)
        return self.norm(x + self.ffn(x))


class LocalAttentionEncoder(nn.Module):
    """Optional input projection, layers, final norm; plain or in overlapping windows.

    Args:
        d_input: input width; a projection `input_proj` exists only where it differs from `d_model`.
        max_frames: rows of the rotary table as stored; positions beyond are computed.
    """

    def __init__(
        self,
        d_model: int,
        num_layers: int,
        num_heads: int,
        ff_dim: int,
        dropout: float = 0.1,
        d_input: int | None = None,
        max_frames: int = 8192,
    ) -> None:
        super().__init__()
        differs = d_input is not None and d_input != d_model
        self.input_proj = nn.Linear(d_input, d_model) if differs else nn.Identity()
        self.layers = nn.ModuleList(
            LocalAttentionEncoderLayer(d_model, num_heads, ff_dim, dropout, max_frames) for _ in range(num_layers)
        )
        self.final_norm = nn.LayerNorm(d_model)

    def forward(
        self,
        x: torch.Tensor,
        blocked: torch.Tensor | Segments,
        window: int | None = None,
        stride: int | None = None,
        first: int = 0,
    ) -> torch.Tensor:
        """x [B, L, d_input], blocked [L, L] or [B, L, L] or segments -> [B, L, d_model].

        With `window` and `stride` (frames) longer inputs run in windows, as published: the first is kept whole, each
        later one overwrites from the middle of its overlap with the one before, positions restart in each. Windows are
        ignored in training mode. `first` is the position of the first frame of a piece of something longer.
        """
        if window is None or stride is None or self.training or x.shape[1] <= window:
            return self._run(x, blocked, first)
        length, end_before, out = x.shape[1], 0, None
        for start in range(0, length, stride):
            end = min(start + window, length)
            inside = blocked.window(start, end) if isinstance(blocked, Segments) else blocked[..., start:end, start:end]
            piece = self._run(x[:, start:end], inside)
            if out is None:
                out = piece.new_empty(x.shape[0], length, piece.shape[-1])
            keep = start + max(end_before - start, 0) // 2
            out[:, keep:end] = piece[:, keep - start :]
            end_before = end
            if end == length:
                break
        return out

    def _run(self, x: torch.Tensor, blocked: torch.Tensor | Segments, first: int = 0) -> torch.Tensor:
        x = self.input_proj(x)
        if isinstance(blocked, Segments) and x.shape[1] <= WHOLE:
            blocked = blocked.blocked(slice(None), slice(None))  # once for all layers
        for layer in self.layers:
            x = layer(x, blocked, first)
        return self.final_norm(x)
