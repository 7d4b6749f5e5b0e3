"""Post-norm attention stack under a segment mask, shared by codec encoder and decoder (TADA, spec section 6.2).

Axes: B batch, L frames, C channels, A heads, E head width.
"""

from __future__ import annotations

import math

import torch
from torch import nn


def rope_table(length: int, head_dim: int) -> torch.Tensor:
    """Cosines and sines of interleaved rotary positions, float32 [length, head_dim/2, 2]."""
    frequency = 1.0 / (10000 ** (torch.arange(0, head_dim, 2).float() / head_dim))
    angle = torch.arange(length).float()[:, None] * frequency
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def apply_rope(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring pairs of x [B, A, L, E] by table [>=L, E/2, 2]; positions start at 0."""
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

    def forward(self, x: torch.Tensor, blocked: torch.Tensor) -> torch.Tensor:
        """x [B, L, C], blocked bool [L, L] or [B, L, L] (True = no attention) -> [B, L, C].

        Raises:
            ValueError: without a mask, or with more frames than `max_frames` (163.8 s at 50 Hz).
        """
        if blocked is None:
            raise ValueError("attention needs a segment mask")
        batch, length, width = x.shape
        if length > self.max_frames:
            raise ValueError(f"{length} frames in one window, at most {self.max_frames}; use windows")
        qkv = self.qkv(x).view(batch, length, 3, self.num_heads, self.head_dim)
        q, k, v = (t.transpose(1, 2) for t in qkv.unbind(2))  # [B, A, L, E]
        q, k = apply_rope(q, self.rope_freqs), apply_rope(k, self.rope_freqs)
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(self.head_dim)
        blocked = blocked[None, None] if blocked.dim() == 2 else blocked[:, None]
        weights = self.dropout(scores.masked_fill(blocked, float("-inf")).softmax(-1))
        mixed = torch.matmul(weights, v).transpose(1, 2).reshape(batch, length, width)
        return self.layer_norm(x + self.dropout(self.out_proj(mixed)))


class LocalAttentionEncoderLayer(nn.Module):
    """Attention sublayer, then LN(a + FFN(a)) with exact GELU."""

    def __init__(self, d_model: int, num_heads: int, ff_dim: int, dropout: float, max_frames: int) -> None:
        super().__init__()
        self.self_attn = LocalSelfAttention(d_model, num_heads, dropout, max_frames)
        self.ffn = nn.Sequential(
            nn.Linear(d_model, ff_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(ff_dim, d_model), nn.Dropout(dropout)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: torch.Tensor, blocked: torch.Tensor) -> torch.Tensor:
        """x [B, L, C] -> [B, L, C]."""
        x = self.self_attn(x, blocked)
        return self.norm(x + self.ffn(x))


class LocalAttentionEncoder(nn.Module):
    """Optional input projection, layers, final norm; plain or in overlapping windows.

    Args:
        d_input: input width; a projection `input_proj` exists only where it differs from `d_model`.
        max_frames: rows of the rotary table, the longest window.
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
        self, x: torch.Tensor, blocked: torch.Tensor, window: int | None = None, stride: int | None = None
    ) -> torch.Tensor:
        """x [B, L, d_input], blocked [L, L] or [B, L, L] -> [B, L, d_model].

        With `window` and `stride` (frames) longer inputs run in windows: the first is kept whole, each later one
        overwrites from the middle of its overlap with the one before. Windows are ignored in training mode.
        """
        if window is None or stride is None or self.training or x.shape[1] <= window:
            return self._run(x, blocked)
        length, end_before, out = x.shape[1], 0, None
        for start in range(0, length, stride):
            end = min(start + window, length)
            piece = self._run(x[:, start:end], blocked[..., start:end, start:end])
            if out is None:
                out = piece.new_empty(x.shape[0], length, piece.shape[-1])
            keep = start + max(end_before - start, 0) // 2
            out[:, keep:end] = piece[:, keep - start :]
            end_before = end
            if end == length:
                break
        return out

    def _run(self, x: torch.Tensor, blocked: torch.Tensor) -> torch.Tensor:
        x = self.input_proj(x)
        for layer in self.layers:
            x = layer(x, blocked)
        return self.final_norm(x)
