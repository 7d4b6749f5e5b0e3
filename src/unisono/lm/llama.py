"""Llama's decoder with the library's parameter names and numbers, and without its five seconds of import.

Axes: B rows, P positions, H hidden width, h heads, k key and value heads, d head width.
Tests hold it against `transformers.LlamaModel`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from unisono.lm.norms import RMSNorm

ROPE_TYPES = ("default", "llama3", "linear")


@dataclass(frozen=True)
class LlamaSizes:
    """What a Llama decoder is made of. `rope` holds "rope_theta", "rope_type" and what that type needs."""

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float = 1e-5
    rope: Mapping[str, Any] = field(default_factory=dict)
    attention_bias: bool = False
    mlp_bias: bool = False
    attention_dropout: float = 0.0
    initial_std: float = 0.02


class KeyValues(NamedTuple):
    """Keys and values of one layer, each [B, k, P, d]; keys are already rotated."""

    keys: torch.Tensor
    values: torch.Tensor


def rope_frequencies(head_dim: int, rope: Mapping[str, Any]) -> torch.Tensor:
    """Inverse frequencies float32 [d / 2] of half-split rotary positions. Raises ValueError for an unknown type."""
    kind = rope.get("rope_type", "default")
    if kind not in ROPE_TYPES:
        raise ValueError(f"rope_type {kind!r} is unknown, expected one of {', '.join(ROPE_TYPES)}")
    exponents = torch.arange(0, head_dim, 2, device="cpu").float() / head_dim
    frequencies = 1.0 / (rope.get("rope_theta", 10000.0) ** exponents)
    if kind == "linear":
        return frequencies / rope["factor"]
    if kind == "default":
        return frequencies
    # llama3: long waves are stretched by the factor, short ones kept, those between are blended.
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * math.pi)  # in the original context
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    blend = ((turns - low) / (high - low)).clamp(0, 1)
    return blend * frequencies + (1 - blend) * frequencies / rope["factor"]


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn x [.., P, d] by tables [P, d] of `Llama.rope`, whose sine has its first half negated."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


class Attention(nn.Module):
    """Causal self-attention with grouped keys and values."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = sizes.heads, sizes.kv_heads, sizes.head_dim
        self.dropout = sizes.attention_dropout
        queries, keys, bias = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim, sizes.attention_bias
        self.q_proj = nn.Linear(sizes.hidden, queries, bias=bias)
        self.k_proj = nn.Linear(sizes.hidden, keys, bias=bias)
        self.v_proj = nn.Linear(sizes.hidden, keys, bias=bias)
        self.o_proj = nn.Linear(queries, sizes.hidden, bias=bias)

    def forward(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, past: KeyValues | None = None
    ) -> tuple[torch.Tensor, KeyValues]:
        """Sequences [B, P, H], from position 0 or after `past` -> the same, and what a cache would keep of all."""

        def split(projected: torch.Tensor) -> torch.Tensor:
            return projected.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)  # [B, heads, P, d]

        queries = rotate(split(self.q_proj(x)), cos, sin)
        kept = KeyValues(rotate(split(self.k_proj(x)), cos, sin), split(self.v_proj(x)))
        seen = None
        if past is not None:
            kept = KeyValues(*(torch.cat(pair, 2) for pair in zip(past, kept, strict=True)))
            seen = torch.ones(x.shape[1], kept.keys.shape[2], dtype=torch.bool, device=x.device)
            seen = seen.tril(past.keys.shape[2])
        attended = functional.scaled_dot_product_attention(
            queries,
            *kept,
            attn_mask=seen,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=past is None,
            enable_gqa=self.heads != self.kv_heads,
        )
        return self.o_proj(attended.transpose(1, 2).flatten(2)), kept


class MLP(nn.Module):
    """down(SiLU(gate(x)) · up(x))."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(sizes.hidden, sizes.inner, bias=sizes.mlp_bias)
        self.up_proj = nn.Linear(sizes.hidden, sizes.inner, bias=sizes.mlp_bias)
        self.down_proj = nn.Linear(sizes.inner, sizes.hidden, bias=sizes.mlp_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., H] -> [.., H]."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """Pre-norm attention and MLP, each with a residual."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.self_attn = Attention(sizes)
        self.mlp = MLP(sizes)
        self.input_layernorm = RMSNorm(sizes.hidden, sizes.eps)
        self.post_attention_layernorm = RMSNorm(sizes.hidden, sizes.eps)

    def forward(
        self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, past: KeyValues | None = None
    ) -> tuple[torch.Tensor, KeyValues]:
        """[B, P, H] -> [B, P, H] and what a cache would keep."""
        attended, kept = self.self_attn(self.input_layernorm(x), cos, sin, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), kept


class Llama(nn.Module):
    """Token embeddings, layers and final norm. `forward` runs whole sequences; `lm.backbone` runs steps."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embed_tokens = nn.Embedding(sizes.vocabulary, sizes.hidden)
        self.layers = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))
        self.norm = RMSNorm(sizes.hidden, sizes.eps)
        rope_frequencies(sizes.head_dim, sizes.rope)  # an unknown type is refused here, not while speaking
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=sizes.initial_std)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self, embeds: torch.Tensor, past: list[KeyValues] | None = None
    ) -> tuple[torch.Tensor, list[KeyValues]]:
        """Sequences from position 0, or after what `past` holds; padding on the right changes nothing to its left.

        Args:
            embeds: [B, P, H]. past: what an earlier call returned.

        Returns:
            hidden [B, P, H] after the final norm, and keys and values of every layer, the past's included.
        """
        before = 0 if past is None else past[0].keys.shape[2]
        cos, sin = (table[before:] for table in self.rope(before + embeds.shape[1], embeds))
        kept = []
        for index, layer in enumerate(self.layers):
            embeds, pair = layer(embeds, cos, sin, None if past is None else past[index])
            kept.append(pair)
        return self.norm(embeds), kept

    def rope(self, length: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines [P, d] in the place and format of `like`; the sine's first half is negated."""
        frequencies = rope_frequencies(self.sizes.head_dim, self.sizes.rope).to(like.device)
        angles = torch.arange(length, device=like.device).float()[:, None] * frequencies
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([cos, cos], -1).to(like.dtype), torch.cat([-sin, sin], -1).to(like.dtype)
