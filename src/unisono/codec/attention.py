"""Post-norm attention stack under a segment mask, shared by codec encoder and decoder (TADA, spec section 6.2).

Axes: B batch, L frames, C channels, A heads, E head width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import nn

from unisono.codec.segments import Segments

WHOLE = 1024  # frames up to which masks are kept for all layers, and an accelerator's attention is one product
FEW = 64  # queries of one product on a CPU, where its arithmetic is what counts
CELLS = 1 << 20  # query-key pairs of one head at most: 4 MB of scores


class Part(NamedTuple):
    """Some queries, the keys that they can see, and what is added to their scores [B, 1, Q, K]: −∞ where blocked."""

    queries: slice
    keys: slice
    bias: torch.Tensor


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

    def forward(
        self, x: torch.Tensor, blocked: torch.Tensor | Segments | Iterable[Part], first: int = 0
    ) -> torch.Tensor:
        """x [B, L, C], blocked bool [L, L] or [B, L, L] (True = no attention) or segments, parted or not -> [B, L, C].

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
        parts = dense(blocked) if isinstance(blocked, torch.Tensor) else blocked
        parts = parted(parts) if isinstance(parts, Segments) else parts
        mixed = torch.cat([self._attend(q, k, v, part) for part in parts], dim=2)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        return self.layer_norm(x + self.dropout(self.out_proj(mixed)))

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, part: Part) -> torch.Tensor:
        """Queries, keys and values [B, A, L, E] -> what a part's queries attend to [B, A, Q, E]."""
        scores = torch.matmul(q[:, :, part.queries], k[:, :, part.keys].transpose(-1, -2))
        scores = scores.div_(math.sqrt(self.head_dim)).add_(part.bias)
        return torch.matmul(self.dropout(scores.softmax(-1)), v[:, :, part.keys])


def dense(blocked: torch.Tensor) -> list[Part]:
    """All queries with all keys under a mask [L, L] or [B, L, L]."""
    blocked = blocked[None, None] if blocked.dim() == 2 else blocked[:, None]
    return [Part(slice(None), slice(None), _bias(blocked))]


def parted(blocks: Segments) -> Iterator[Part]:
    """All queries in order, with the keys that they can see."""
    for queries, keys in query_parts(blocks):
        yield Part(queries, keys, _bias(blocks.blocked(queries, keys)[:, None]))


def _bias(blocked: torch.Tensor) -> torch.Tensor:
    """Zeros, and −∞ where blocked."""
    return torch.zeros(blocked.shape, device=blocked.device).masked_fill_(blocked, -math.inf)


def query_parts(blocks: Segments) -> Iterator[tuple[slice, slice]]:
    """All queries in order, few or as many as keep a head's scores within `CELLS`, each time with the keys they see."""
    most = FEW if blocks.block.device.type == "cpu" else WHOLE
    start, size = 0, most
    while start < blocks.length:
        stop = min(start + size, blocks.length)
        low, high = blocks.keys(start, stop)
        if (stop - start) * (high - low) > CELLS and stop - start > 1:
            size = (stop - start) // 2
            continue
        yield slice(start, stop), slice(low, high)
        start, size = stop, min(2 * size, most)


class LocalAttentionEncoderLayer(nn.Module):
    """Attention sublayer, then LN(a + FFN(a)) with exact GELU."""

    def __init__(self, d_model: int, num_heads: int, ff_dim: int, dropout: float, max_frames: int) -> None:
        super().__init__()
        self.self_attn = LocalSelfAttention(d_model, num_heads, dropout, max_frames)
        self.ffn = nn.Sequential(
            nn.Linear(d_model, ff_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(ff_dim, d_model), nn.Dropout(dropout)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(
        self, x: torch.Tensor, blocked: torch.Tensor | Segments | Iterable[Part], first: int = 0
    ) -> torch.Tensor:
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
            blocked = list(parted(blocked))  # once for all layers
        for layer in self.layers:
            x = layer(x, blocked, first)
        return self.final_norm(x)
