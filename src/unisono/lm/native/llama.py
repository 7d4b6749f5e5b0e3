"""A step of a Llama in one call. Axes as in `lm.backbone`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from unisono.lm.llama import Llama
from unisono.lm.native.kernels import LANES, Long, Pointer, Weight, Weights, fits, run


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, Weight) for name in ("q", "k", "v", "out", "gate", "up", "down")),
        ("before", Pointer),
        ("between", Pointer),
    )


class _Llama(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.POINTER(_Layer)),
        ("norm", Pointer),
        *((name, Long) for name in ("count", "hidden", "inner", "heads", "kv_heads", "head")),
        ("eps", ctypes.c_float),
    )


class NativeLlama:
    """What `LlamaBackbone` steps with where `takes` says so."""

    @torch.no_grad()
    def __init__(self, model: Llama, packing: str) -> None:
        sizes, self.model, self.weights = model.sizes, model, Weights(packing)
        add, numbers = self.weights.add, self.weights.numbers
        layers = []
        for layer in model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            products = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
            products += (mlp.gate_proj, mlp.up_proj, mlp.down_proj)
            norms = layer.input_layernorm, layer.post_attention_layernorm
            layers.append(_Layer(*(add(part.weight) for part in products), *(numbers(norm.weight) for norm in norms)))
        self.layers = (_Layer * len(layers))(*layers)
        shape = sizes.hidden, sizes.inner, sizes.heads, sizes.kv_heads, sizes.head_dim
        self.about = _Llama(self.layers, numbers(model.norm.weight), len(layers), *shape, sizes.eps)
        self.tables: tuple[torch.Tensor, torch.Tensor] | None = None

    @staticmethod
    def takes(model: Llama, packing: str) -> bool:
        """Whether there are kernels for a model."""
        sizes = model.sizes
        widths = sizes.hidden, sizes.inner, sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
        plain = not (sizes.attention_bias or sizes.mlp_bias) and sizes.head_dim % LANES == 0
        return plain and fits(model.norm.weight, packing, *widths)

    def step(
        self, embeds: torch.Tensor, stored: torch.Tensor, places: Sequence[int], positions: Sequence[int]
    ) -> torch.Tensor:
        """One position of every row. Rows may be positions of one sequence, in their order.

        Args:
            embeds: [R, H]. stored: float32 [layers, .., 2k, N, d], contiguous. places: which of the [2k, N, d] of a
                layer each row has. positions: how far each is filled; the new position is written there.

        Returns:
            hidden float32 [R, H] after the final norm.

        Raises:
            ValueError: rows, a cache or positions that do not fit, or gradients that are asked for.
        """
        rows, capacity = len(embeds), stored.shape[-2]
        size = stored.shape[-3] * capacity * stored.shape[-1]
        sizes, room = self.model.sizes, stored[0].numel() // size
        if (
            embeds.shape[1] != sizes.hidden
            or stored.dtype != torch.float32
            or not stored.is_contiguous()
            or (len(stored), *stored.shape[-3::2]) != (self.about.count, 2 * sizes.kv_heads, sizes.head_dim)
            or not 0 <= min(places) <= max(places) < room
            or not 0 <= min(positions) <= max(positions) < capacity
            or not len(places) == len(positions) == rows
        ):
            raise ValueError(
                f"rows {tuple(embeds.shape)} at {list(places)}, {list(positions)} of {tuple(stored.shape)}"
            )
        if embeds.requires_grad and torch.is_grad_enabled():
            raise ValueError("kernels have no gradients")
        tables = self.tables  # another thread may put others in their place
        if tables is None or len(tables[0]) < capacity:
            self.tables = tables = self.model.rope(capacity, stored)
        cosine, sine = (table.data_ptr() for table in tables)
        hidden = embeds.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        longs = Long * rows
        cache = stored.data_ptr(), stored.stride(0), longs(*(place * size for place in places)), longs(*positions)
        run("llama_step", ctypes.byref(self.about), rows, hidden.data_ptr(), *cache, capacity, cosine, sine)
        return hidden
