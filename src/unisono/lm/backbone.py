"""Running a decoder-only backbone with a cache that is a value: filled once, then one position per step.

Axes: R rows (branches of a batch), P positions of the prefill, N capacity, H hidden width, h heads, k key and value
heads, d head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from unisono.lm.llama import Layer, Llama, rotate
from unisono.lm.norms import rms_norm
from unisono.lm.packing import FUSED_LIMIT, Product, feed_forward, product, row_format, unit_rms


class Backbone(Protocol):
    """What the generation loop needs of a backbone. A cache belongs to the backbone that made it."""

    def start(self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int) -> tuple[torch.Tensor, Any]:
        """Run the prefill.

        Args:
            embeds: [R', P, H], P may be 0.
            branches: int64 [R], which prefill row each row of the cache continues; rows with equal pasts share it.
            capacity: positions the cache will hold in the end; it grows where that was too few.

        Returns:
            hidden [R', P, H] after the final norm, and the cache of R rows.
        """
        ...

    def step(self, embeds: torch.Tensor, cache: Any) -> torch.Tensor:
        """One position: embeds [R, H] -> hidden [R, H] after the final norm; the cache grows by one."""
        ...


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
class LlamaCache:
    """Keys and values of each layer [R, k, N, d] of which the first `length` positions are filled."""

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    length: int


@dataclass(frozen=True)
class _StepLayer:
    """What a step does in one layer to rows [R, H]: `norm`, `qkv` -> [R, (h + 2k) d], `out`, `ffn_norm` and `ffn`.

    Norms give rows as the products after them want them.
    """

    norm: Product
    qkv: Product
    out: Product
    ffn_norm: Product
    ffn: Product


class LlamaBackbone:
    """`Llama` step by step. Small models run on fused copies of their weights, large ones on the weights themselves.

    Args:
        packing: see `packing.PACKINGS`; all but "none" step on packed copies, the prefill stays as it is.
    """

    def __init__(self, model: Llama, packing: str = "none") -> None:
        sizes = model.sizes
        self.model = model
        self.heads, self.kv_heads, self.head_dim = sizes.heads, sizes.kv_heads, sizes.head_dim
        small = sum(parameter.numel() for parameter in model.layers.parameters()) <= FUSED_LIMIT
        plain = not (sizes.attention_bias or sizes.mlp_bias)
        if packing != "none" and not plain:
            raise ValueError(f"{packing} weights are for models without biases")
        fused = plain and (small or packing != "none")
        self.layers = [_fused(layer, packing) if fused else _shared(layer) for layer in model.layers]
        self.rows = row_format(model.norm.weight, packing)
        self.tables: tuple[torch.Tensor, torch.Tensor] | None = None

    def start(self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int) -> tuple[torch.Tensor, LlamaCache]:
        """As `Backbone.start`."""
        past = embeds.shape[1]
        hidden, kept = self.model(embeds) if past else (embeds, None)
        shape = (len(branches), self.kv_heads, max(capacity, past + 1), self.head_dim)
        self.rope_tables(shape[2], embeds)
        cache = LlamaCache([], [], past)
        for index in range(len(self.layers)):
            keys, values = embeds.new_empty(shape), embeds.new_empty(shape)
            if kept is not None:
                keys[:, :, :past] = kept[index].keys[branches]
                values[:, :, :past] = kept[index].values[branches]
            cache.keys.append(keys)
            cache.values.append(values)
        return hidden, cache

    def step(self, embeds: torch.Tensor, cache: LlamaCache) -> torch.Tensor:
        """As `Backbone.step`."""
        position = cache.length
        if position >= cache.keys[0].shape[2]:
            _grow(cache)
        cos, sin = self.rope_tables(cache.keys[0].shape[2], embeds)
        cos, sin, x = cos[position], sin[position], embeds
        for index, layer in enumerate(self.layers):
            projected = layer.qkv(layer.norm(x)).to(x.dtype)
            x = x + layer.out(self._attend(projected, cache, index, cos, sin).to(self.rows))
            x = x + layer.ffn(layer.ffn_norm(x))
        cache.length = position + 1
        return rms_norm(x, self.model.norm.weight, self.model.sizes.eps)

    def _attend(
        self, qkv: torch.Tensor, cache: LlamaCache, index: int, cos: torch.Tensor, sin: torch.Tensor
    ) -> torch.Tensor:
        """Projections [R, (h + 2k) d] of the new position -> attended [R, h d]; writes the cache."""
        heads, kv_heads, end = self.heads, self.kv_heads, cache.length + 1
        split = qkv.view(qkv.shape[0], heads + 2 * kv_heads, self.head_dim)
        turned = rotate(split[:, : heads + kv_heads], cos, sin)
        keys, values = cache.keys[index], cache.values[index]
        keys[:, :, cache.length] = turned[:, heads:]
        values[:, :, cache.length] = split[:, heads + kv_heads :]
        return self.mix(turned[:, :heads], keys[:, :, :end], values[:, :, :end])

    def mix(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Queries [R, h, d] of one position, keys and values [R, k, N, d] that they see -> attended [R, h d]."""
        attended = functional.scaled_dot_product_attention(
            queries[:, :, None], keys, values, enable_gqa=self.heads != self.kv_heads
        )
        return attended.reshape(queries.shape[0], self.heads * self.head_dim)

    def rope_tables(self, capacity: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotary tables [≥ N, d], kept from call to call."""
        kept = None if self.tables is None else self.tables[0]
        if kept is None or len(kept) < capacity or (kept.device, kept.dtype) != (like.device, like.dtype):
            self.tables = self.model.rope(capacity, like)
        return self.tables


def _grow(cache: LlamaCache) -> None:
    """Double the capacity, for texts whose length was not known."""
    for tensors in (cache.keys, cache.values):
        tensors[:] = [functional.pad(tensor, (0, 0, 0, tensor.shape[2])) for tensor in tensors]


@torch.no_grad()
def _fused(layer: Layer, packing: str) -> _StepLayer:
    """A layer on copies of its weights: q, k and v in one product, gate and up in another, each with its norm's
    weight."""
    attention, mlp, before, between = layer.self_attn, layer.mlp, layer.input_layernorm, layer.post_attention_layernorm
    qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
    form = row_format(qkv, packing)
    norm = unit_rms(before.eps, qkv.shape[1], qkv)
    return _StepLayer(
        norm=lambda x: norm(x).to(form),
        qkv=product(qkv * before.weight, packing),
        out=product(attention.o_proj.weight, packing),
        ffn_norm=lambda x: norm(x).to(form),
        ffn=feed_forward(
            mlp.gate_proj.weight * between.weight, mlp.up_proj.weight * between.weight, mlp.down_proj.weight, packing
        ),
    )


def _shared(layer: Layer) -> _StepLayer:
    """A layer on its own weights."""
    attention, mlp = layer.self_attn, layer.mlp
    parts, out, ffn = (attention.q_proj, attention.k_proj, attention.v_proj), attention.o_proj, mlp
    if all(part.bias is None for part in (*parts, out, mlp.gate_proj, mlp.up_proj, mlp.down_proj)):
        parts, out = [product(part.weight, "none") for part in parts], product(out.weight, "none")
        ffn = feed_forward(mlp.gate_proj.weight, mlp.up_proj.weight, mlp.down_proj.weight, "none")
    return _StepLayer(
        norm=layer.input_layernorm,
        qkv=lambda x: torch.cat([part(x) for part in parts], -1),
        out=out,
        ffn_norm=layer.post_attention_layernorm,
        ffn=ffn,
    )
