"""Running a decoder-only backbone with a cache that is a value: filled once, then one position per step.

Axes: R rows (branches of a batch), P positions of the prefill, N capacity, H hidden width, h heads, d head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from unisono.lm.packing import FeedForward, packed_product

FUSED_LIMIT = 64_000_000  # parameters; larger backbones are bound by memory, not by the cost of calling them


class Backbone(Protocol):
    """What the generation loop needs of a backbone. A cache belongs to the backbone that made it."""

    def start(self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int) -> tuple[torch.Tensor, Any]:
        """Run the prefill.

        Args:
            embeds: [R', P, H], P may be 0.
            branches: int64 [R], which prefill row each row of the cache continues; rows with equal pasts share it.
            capacity: positions the cache will hold in the end.

        Returns:
            hidden [R', P, H] after the final norm, and the cache of R rows.
        """
        ...

    def step(self, embeds: torch.Tensor, cache: Any) -> torch.Tensor:
        """One position: embeds [R, H] -> hidden [R, H] after the final norm; the cache grows by one."""
        ...


def open_backbone(model: nn.Module, packing: str = "none") -> Backbone:
    """The quickest runner for a transformers decoder.

    Without packing its numbers equal the library's: fused for small Llama models, else the library itself. With
    packing (see `packing.PACKINGS`) the single steps run on packed weights, and the prefill as before.

    Raises:
        ValueError: packing asked of a model that is not a plain float32 Llama.
    """
    size = sum(parameter.numel() for parameter in model.layers.parameters())
    fusable = model.config.model_type == "llama" and _fusable(model)
    if packing != "none" and not fusable:
        raise ValueError(f"{packing} weights need a plain Llama backbone in float32")
    if fusable and (packing != "none" or size <= FUSED_LIMIT):
        return FusedLlama(model, packing)
    return LibraryBackbone(model)


class LibraryBackbone:
    """Any transformers decoder, with its dynamic cache."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def start(self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int) -> tuple[torch.Tensor, Any]:
        """As `Backbone.start`."""
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config)
        if embeds.shape[1] == 0:
            return embeds, cache
        hidden = self.model(inputs_embeds=embeds, past_key_values=cache, use_cache=True).last_hidden_state
        cache.batch_select_indices(branches)
        return hidden, cache

    def step(self, embeds: torch.Tensor, cache: Any) -> torch.Tensor:
        """As `Backbone.step`."""
        output = self.model(inputs_embeds=embeds[:, None], past_key_values=cache, use_cache=True)
        return output.last_hidden_state[:, 0]


@dataclass
class FusedCache:
    """Keys and values of each layer [R, h, N, d] of which the first `length` positions are filled."""

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    length: int


@dataclass(frozen=True)
class _FusedLayer:
    """One decoder layer with q, k and v in one product, gate and up in another."""

    norm: torch.Tensor
    qkv: nn.Module
    out: nn.Module
    ffn_norm: torch.Tensor
    ffn: nn.Module


class FusedLlama:
    """Llama's single step in a dozen tensor operations a layer, on copies of the weights laid out for it.

    The library's step costs more in Python than the arithmetic of a small model; the prefill still runs there.
    """

    def __init__(self, model: nn.Module, packing: str = "none") -> None:
        config = model.config
        self.library = LibraryBackbone(model)
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.head_dim
        self.eps = config.rms_norm_eps
        self.layers = [_fuse(layer, packing) for layer in model.layers]
        self.norm = model.norm.weight
        self.rotary = model.rotary_emb
        self.cos = self.sin = self.norm.new_zeros(0, self.head_dim)

    def start(self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int) -> tuple[torch.Tensor, FusedCache]:
        """As `Backbone.start`."""
        hidden, filled = self.library.start(embeds, branches, capacity)
        self._extend_rope(capacity, embeds)
        shape = (len(branches), self.kv_heads, capacity, self.head_dim)
        cache = FusedCache([], [], embeds.shape[1])
        for index in range(len(self.layers)):
            keys, values = embeds.new_empty(shape), embeds.new_empty(shape)
            if embeds.shape[1]:
                keys[:, :, : cache.length] = filled.layers[index].keys
                values[:, :, : cache.length] = filled.layers[index].values
            cache.keys.append(keys)
            cache.values.append(values)
        return hidden, cache

    def step(self, embeds: torch.Tensor, cache: FusedCache) -> torch.Tensor:
        """As `Backbone.step`."""
        position = cache.length
        if position >= cache.keys[0].shape[2]:
            self._grow(cache, embeds)
        cos, sin = self.cos[position], self.sin[position]
        x = embeds
        for index, layer in enumerate(self.layers):
            normed = functional.rms_norm(x, x.shape[-1:], layer.norm, self.eps)
            x = x + layer.out(self._attend(layer.qkv(normed), cache, index, cos, sin))
            normed = functional.rms_norm(x, x.shape[-1:], layer.ffn_norm, self.eps)
            x = x + layer.ffn(normed)
        cache.length = position + 1
        return functional.rms_norm(x, x.shape[-1:], self.norm, self.eps)

    def _attend(
        self, qkv: torch.Tensor, cache: FusedCache, index: int, cos: torch.Tensor, sin: torch.Tensor
    ) -> torch.Tensor:
        """Projections [R, (h + 2 kv) d] of the new position -> attended [R, h d]; writes the cache."""
        heads, kv_heads, end = self.heads, self.kv_heads, cache.length + 1
        split = qkv.view(qkv.shape[0], heads + 2 * kv_heads, self.head_dim)
        turned = split[:, : heads + kv_heads]
        # rotate_half(x) · sin is a half-turn of x times sin with its first half negated.
        turned = torch.addcmul(turned * cos, turned.roll(self.head_dim // 2, -1), sin)
        keys, values = cache.keys[index], cache.values[index]
        keys[:, :, cache.length] = turned[:, heads:]
        values[:, :, cache.length] = split[:, heads + kv_heads :]
        attended = functional.scaled_dot_product_attention(
            turned[:, :heads, None], keys[:, :, :end], values[:, :, :end], enable_gqa=heads != kv_heads
        )
        return attended.reshape(qkv.shape[0], heads * self.head_dim)

    def _extend_rope(self, capacity: int, like: torch.Tensor) -> None:
        """Rotary tables [N, d] for at least `capacity` positions; the sine's first half is negated."""
        if len(self.cos) >= capacity:
            return
        cos, sin = self.rotary(like, torch.arange(capacity, device=like.device)[None])
        half = self.head_dim // 2
        self.cos, self.sin = cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], -1)

    def _grow(self, cache: FusedCache, like: torch.Tensor) -> None:
        """Double the capacity, for texts whose length was not known."""
        for tensors in (cache.keys, cache.values):
            tensors[:] = [functional.pad(tensor, (0, 0, 0, max(tensor.shape[2], 16))) for tensor in tensors]
        self._extend_rope(cache.keys[0].shape[2], like)


def _fusable(model: nn.Module) -> bool:
    """Plain float32 Llama layers: no biases, SiLU, and a rotary table that does not change with the length."""
    config = model.config
    fixed_rope = config.rope_parameters["rope_type"] in ("default", "llama3", "linear")
    plain = config.hidden_act == "silu" and not config.attention_bias and not config.mlp_bias
    linear = all(type(layer.mlp.down_proj) is nn.Linear for layer in model.layers)
    return plain and fixed_rope and linear and model.norm.weight.dtype == torch.float32


@torch.no_grad()
def _fuse(layer: nn.Module, packing: str) -> _FusedLayer:
    """Copy a library layer's weights into their fused layout."""
    attention, mlp = layer.self_attn, layer.mlp
    qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
    return _FusedLayer(
        norm=layer.input_layernorm.weight,
        qkv=packed_product(qkv, packing),
        out=packed_product(attention.o_proj.weight, packing),
        ffn_norm=layer.post_attention_layernorm.weight,
        ffn=FeedForward(mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight, packing),
    )
