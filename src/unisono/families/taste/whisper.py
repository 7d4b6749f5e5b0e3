"""Whisper's encoder and decoder layers with the library's parameter names, and keys apart from values.

TASTE's aggregator attends with keys from the encoder's last hidden state and values from an early one, which the
library's decoder cannot do. Axes: B batch, P text positions, S source positions (50 a second), H width, M mel frames.
Tests hold these against `transformers.WhisperModel`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class WhisperAttention(nn.Module):
    """Multi-head attention whose keys and values come from two sources; the key projection has no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self,
        x: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        causal: bool = False,
        allowed: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """x [B, P, H] attends keys and values [B, S, H]; allowed bool, broadcast to [B, P, S], True = may."""

        def split(projected: torch.Tensor) -> torch.Tensor:
            return projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        attended = functional.scaled_dot_product_attention(
            split(self.q_proj(x)),
            split(self.k_proj(keys)),
            split(self.v_proj(values)),
            attn_mask=None if allowed is None else allowed[:, None],
            is_causal=causal,
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and GELU feed-forward."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn = WhisperAttention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, S, H] -> [B, S, H]."""
        normed = self.self_attn_layer_norm(x)
        x = x + self.self_attn(normed, normed, normed)
        return x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention with keys apart from values, feed-forward; all pre-norm."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn = WhisperAttention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.encoder_attn = WhisperAttention(width, heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(
        self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, allowed: torch.Tensor | None
    ) -> torch.Tensor:
        """x [B, P, H], keys and values [B, S, H] -> [B, P, H]."""
        normed = self.self_attn_layer_norm(x)
        x = x + self.self_attn(normed, normed, normed, causal=True)
        x = x + self.encoder_attn(self.encoder_attn_layer_norm(x), keys, values, allowed=allowed)
        return x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))


def sinusoids(length: int, width: int) -> torch.Tensor:
    """Whisper's fixed source positions [S, H]: sines, then cosines."""
    rates = torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class WhisperEncoder(nn.Module):
    """Two convolutions, fixed positions, layers, final norm. Sizes as in a Whisper configuration."""

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        width, positions = sizes["d_model"], sizes["max_source_positions"]
        self.conv1 = nn.Conv1d(sizes["num_mel_bins"], width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(positions, width)
        self.embed_positions.weight.requires_grad_(False)
        if not self.embed_positions.weight.is_meta:
            self.embed_positions.weight.data.copy_(sinusoids(positions, width))
        self.layers = nn.ModuleList(
            EncoderLayer(width, sizes["encoder_attention_heads"], sizes["encoder_ffn_dim"])
            for _ in range(sizes["encoder_layers"])
        )
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, features: torch.Tensor, value_layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-mel frames -> what the aggregator attends.

        Args:
            features: [B, F, M]; filled with 0 to twice the source positions, as published.
            value_layer: hidden state whose copy gives the values; 0 is what enters the first layer.

        Returns:
            keys [B, S, H] after the final norm, values [B, S, H] without one.

        Raises:
            ValueError: more frames than that.
        """
        wanted = 2 * self.embed_positions.num_embeddings
        if features.shape[1] > wanted:
            raise ValueError(f"{features.shape[1]} frames are more than the {wanted} that this encoder hears")
        features = functional.pad(features, (0, 0, 0, wanted - features.shape[1]))
        x = functional.gelu(self.conv1(features.transpose(1, 2)))
        x = functional.gelu(self.conv2(x)).transpose(1, 2) + self.embed_positions.weight
        values = x
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index + 1 == value_layer:
                values = x
        return self.layer_norm(x), values


class AggregatorDecoder(nn.Module):
    """The decoder layers of a distilled Whisper, each attending keys apart from values."""

    def __init__(self, sizes: Mapping[str, Any], vocabulary: int, layers: int) -> None:
        super().__init__()
        width = sizes["d_model"]
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.embed_positions = nn.Embedding(sizes["max_target_positions"], width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, sizes["decoder_attention_heads"], sizes["decoder_ffn_dim"]) for _ in range(layers)
        )
        self.layer_norm = nn.LayerNorm(width)

    def forward(
        self, ids: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, allowed: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Ids [B, P] over keys and values [B, S, H] -> normed states [B, P, H].

        Raises:
            ValueError: more positions than the decoder has.
        """
        if ids.shape[1] > self.embed_positions.num_embeddings:
            raise ValueError(f"{ids.shape[1]} positions are more than {self.embed_positions.num_embeddings}")
        x = self.embed_tokens(ids) + self.embed_positions.weight[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, keys, values, allowed)
        return self.layer_norm(x)

    def reset_values(self) -> None:
        """Make every value projection of the cross-attention the identity (`make_v_proj_identity`)."""
        for layer in self.layers:
            nn.init.eye_(layer.encoder_attn.v_proj.weight)
            nn.init.zeros_(layer.encoder_attn.v_proj.bias)
