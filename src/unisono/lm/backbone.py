"""Running a decoder-only backbone with a cache that is a value: filled once, then one position per step.

Axes: R rows (branches of a batch), P positions of the prefill, N capacity, H hidden width, h heads, k key and value
heads, d head width.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from unisono.lm import few
from unisono.lm.llama import KeyValues, Layer, Llama, rotate
from unisono.lm.native import NativeLlama
from unisono.lm.norms import RMSNorm
from unisono.lm.packing import FEW_ROWS, FUSED_LIMIT, Product, feed_forward, product, row_format, unit_rms

PREFIXES = 4  # prefills kept: a voice each


class Backbone(Protocol):
    """What the generation loop needs of a backbone. A cache belongs to the backbone that made it."""

    def start(
        self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int, shared: int = 0
    ) -> tuple[torch.Tensor, Any]:
        """Run the prefill.

        Args:
            embeds: [R', P, H], P may be 0.
            branches: int64 [R], which prefill row each row of the cache continues; rows with equal pasts share it.
            capacity: positions the cache will hold in the end; it grows where that was too few.
            shared: so many first positions may be the same in further calls.

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

    def start(
        self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int, shared: int = 0
    ) -> tuple[torch.Tensor, Any]:
        """As `Backbone.start`; nothing is shared."""
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
    """Keys, then values, of all layers [layers, R, 2k, N, d], of which the first `length` positions are filled."""

    stored: torch.Tensor
    length: int

    @property
    def capacity(self) -> int:
        """N."""
        return self.stored.shape[3]


class _Prefix(NamedTuple):
    """The beginning of a prefill: embeds [R', p, H], hidden [R', p, H], and keys and values of every layer."""

    embeds: torch.Tensor
    hidden: torch.Tensor
    kept: list[KeyValues]


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
    """`Llama` step by step, by compiled kernels where there are some for it (`lm.native`), which know no gradients.

    Else small models run on fused copies of their weights, large ones on the weights themselves.

    Args:
        packing: see `packing.PACKINGS`; all but "none" step on packed copies. The prefill runs on the weights as they
            are, but for a few positions behind what is shared by several calls, which kernels take like steps.
    """

    def __init__(self, model: Llama, packing: str = "none") -> None:
        sizes = model.sizes
        self.model = model
        self.heads, self.kv_heads, self.head_dim = sizes.heads, sizes.kv_heads, sizes.head_dim
        self.small = sum(parameter.numel() for parameter in model.layers.parameters()) <= FUSED_LIMIT
        plain = not (sizes.attention_bias or sizes.mlp_bias)
        if packing != "none" and not plain:
            raise ValueError(f"{packing} weights are for models without biases")
        fused = plain and (self.small or packing != "none")
        self.native = NativeLlama(model, packing) if NativeLlama.takes(model, packing) else None
        steps = [] if self.native is not None else model.layers
        self.layers = [_fused(layer, packing) if fused else _shared(layer) for layer in steps]
        self.norm = _weighted(model.norm) if fused else model.norm
        self.rows = row_format(model.norm.weight, packing)
        self.tables: tuple[torch.Tensor, torch.Tensor] | None = None
        self.prefixes: deque[_Prefix] = deque(maxlen=PREFIXES)

    def start(
        self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int, shared: int = 0
    ) -> tuple[torch.Tensor, LlamaCache]:
        """As `Backbone.start`."""
        past = embeds.shape[1]
        shape = (len(self.model.layers), len(branches), 2 * self.kv_heads, max(capacity, past + 1), self.head_dim)
        stored = embeds.new_empty(shape)
        hidden = embeds
        if past:
            hidden, filled = self._prefill(embeds, min(shared, past))
            stored[:, :, :, :past] = filled[:, branches]
        return hidden, LlamaCache(stored, past)

    def _prefill(self, embeds: torch.Tensor, shared: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Run [R', P, H] -> hidden and the cache [layers, R', 2k, P, d], in two parts, the first of which is kept from
        call to call.

        The parts are the same whether the first is at hand or not, so that the numbers are.
        """
        if shared < 1:
            hidden, kept = self.model(embeds)
            return hidden, _stacked(kept)
        first, rest = embeds.split([shared, embeds.shape[1] - shared], 1)
        known = next((entry for entry in tuple(self.prefixes) if torch.equal(entry.embeds, first)), None)
        if known is None:
            known = _Prefix(first.clone(), *self.model(first))
            self.prefixes.appendleft(known)
        rows, more, width = rest.shape
        if not more:
            return known.hidden, _stacked(known.kept)
        if self.native is None or rows * more > FEW_ROWS or torch.is_grad_enabled():
            hidden, kept = self.model(rest, known.kept)
            return torch.cat([known.hidden, hidden], 1), _stacked(kept)
        filled = functional.pad(_stacked(known.kept), (0, 0, 0, more))
        places = [row for row in range(rows) for _ in range(more)]  # positions of a row in their order: each is heard
        positions = [*range(shared, shared + more)] * rows  # by those behind it
        hidden = self.native.step(rest.reshape(-1, width), filled, places, positions)
        return torch.cat([known.hidden, hidden.view(rest.shape)], 1), filled

    def step(self, embeds: torch.Tensor, cache: LlamaCache) -> torch.Tensor:
        """As `Backbone.step`."""
        position, x = cache.length, embeds
        if position >= cache.capacity:  # a text whose length was not known
            cache.stored = functional.pad(cache.stored, (0, 0, 0, cache.capacity))
        if self.native is not None:
            rows = len(embeds)
            cache.length += 1
            return self.native.step(embeds, cache.stored, range(rows), [position] * rows)
        turn = [table[position] for table in self.rope_tables(cache.capacity, embeds)]
        places, pasts = cache.stored.select(3, position), cache.stored.narrow(3, 0, position + 1)
        attend = self._attend
        if self.small and few.takes(embeds):
            attend, turn = self._attend_few, [few.halves(table) for table in turn]
            places, pasts = places.numpy(), pasts.numpy()
        with np.errstate(all="ignore"):
            for index, layer in enumerate(self.layers):
                projected = layer.qkv(layer.norm(x)).to(x.dtype)
                x = x + layer.out(attend(projected, places[index], pasts[index], turn).to(self.rows))
                x = x + layer.ffn(layer.ffn_norm(x))
            cache.length = position + 1
            return self.norm(x)

    def _attend(
        self, qkv: torch.Tensor, place: torch.Tensor, past: torch.Tensor, turn: list[torch.Tensor]
    ) -> torch.Tensor:
        """Projections [R, (h + 2k) d] of the new position -> attended [R, h d].

        Args:
            place: [R, 2k, d] of the cache, where the position is written. past: [R, 2k, P, d] of it, up to there.
            turn: cosines and sines [h + 2k, d].
        """
        turned = rotate(qkv.view(-1, *turn[0].shape), *turn)
        place.copy_(turned[:, self.heads :])
        return self.mix(turned[:, : self.heads], past)

    def _attend_few(
        self, qkv: torch.Tensor, place: np.ndarray, past: np.ndarray, turn: list[np.ndarray]
    ) -> torch.Tensor:
        """`_attend` in NumPy, with tables [h + 2k, 2, d / 2]."""
        turned = few.turn(qkv.numpy().reshape(-1, *turn[0].shape), *turn)
        place[:] = turned[:, self.heads :]
        return torch.from_numpy(few.attend(turned[:, : self.heads], past))

    def mix(self, queries: torch.Tensor, past: torch.Tensor) -> torch.Tensor:
        """Queries [R, h, d] of one position, keys and values [R, 2k, P, d] that they see -> attended [R, h d]."""
        keys, values = past.chunk(2, 1)
        attended = functional.scaled_dot_product_attention(
            queries[:, :, None], keys, values, enable_gqa=self.heads != self.kv_heads
        )
        return attended.flatten(1)

    def rope_tables(self, capacity: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tables [≥ N, h + 2k, d] that turn queries and keys and leave values as they are, kept from call to call."""
        tables = self.tables  # another thread may put others in their place
        kept = None if tables is None else tables[0]
        if kept is None or len(kept) < capacity or (kept.device, kept.dtype) != (like.device, like.dtype):
            turned, left = (self.heads + self.kv_heads, self.kv_heads)
            cos, sin = (table[:, None].repeat(1, turned, 1) for table in self.model.rope(capacity, like))
            self.tables = tables = (
                torch.cat([cos, cos.new_ones(capacity, left, self.head_dim)], 1),
                torch.cat([sin, sin.new_zeros(capacity, left, self.head_dim)], 1),
            )
        return tables


def _stacked(kept: list[KeyValues]) -> torch.Tensor:
    """Keys, then values, of all layers: [layers, R', 2k, P, d]."""
    return torch.stack([torch.cat(pair, 1) for pair in kept])


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


def _weighted(norm: RMSNorm) -> Product:
    """A norm whose rows are weighed, as `unit_rms` computes it."""
    weight, plain = norm.weight.detach(), unit_rms(norm.eps, norm.weight.shape[0], norm.weight.detach())
    return lambda x: (plain(x) * weight).to(x.dtype)


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
