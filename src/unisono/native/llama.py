"""A step of a small Llama on float16 weights in one call. Axes as in `lm.backbone`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch

from unisono.lm.llama import Llama
from unisono.native.library import BLOCK, LANES, Long, Packed, Pointer, Weight, library


class _Layer(ctypes.Structure):
    _fields_ = (("qkv", Weight), ("out", Weight), ("both", Weight), ("down", Weight))


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
    def __init__(self, model: Llama) -> None:
        sizes, self.model = model.sizes, model
        self.packed: list[Packed] = []
        layers = []
        for layer in model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            before, between = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
            qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]) * before
            both = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]) * between
            parts = [Packed(part) for part in (qkv, attention.o_proj.weight, both, mlp.down_proj.weight)]
            self.packed += parts
            layers.append(_Layer(*(part.weight for part in parts)))
        self.layers = (_Layer * len(layers))(*layers)
        self.norm = model.norm.weight.detach().clone()
        self.about = _Llama(
            self.layers, self.norm.data_ptr(), len(layers), sizes.hidden, sizes.inner, sizes.heads, sizes.kv_heads,
            sizes.head_dim, sizes.eps,
        )  # fmt: skip
        self.tables: tuple[torch.Tensor, torch.Tensor] | None = None

    @staticmethod
    def takes(model: Llama) -> bool:
        """Whether there are kernels, and the model is of a shape for them."""
        sizes, weight = model.sizes, model.norm.weight
        widths = (sizes.hidden, sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim, 2 * sizes.inner)
        return (
            library() is not None
            and weight.device.type == "cpu"
            and weight.dtype == torch.float32
            and not (sizes.attention_bias or sizes.mlp_bias)
            and all(width % BLOCK == 0 for width in widths)
            and sizes.head_dim % LANES == 0
        )

    def step(
        self, embeds: torch.Tensor, stored: torch.Tensor, places: Sequence[int], positions: Sequence[int]
    ) -> torch.Tensor:
        """One position of every row.

        Args:
            embeds: float32 [R, H]. stored: [layers, .., 2k, N, d], contiguous. places: which of the [2k, N, d] of a
                layer each row has. positions: how far each is filled; the new position is written there.

        Returns:
            hidden [R, H] after the final norm.
        """
        rows, capacity = len(embeds), stored.shape[-2]
        size = stored.shape[-3] * capacity * stored.shape[-1]
        if self.tables is None or len(self.tables[0]) < capacity:
            self.tables = self.model.rope(capacity, stored)
        hidden = embeds.clone(memory_format=torch.contiguous_format)
        longs = ctypes.c_long * rows
        failed = library().llama_step(
            ctypes.byref(self.about), rows, hidden.data_ptr(), stored.data_ptr(), stored.stride(0),
            longs(*(place * size for place in places)), longs(*positions), capacity,
            self.tables[0].data_ptr(), self.tables[1].data_ptr(),
        )  # fmt: skip
        if failed:
            raise MemoryError("no memory for a step of the language model")
        return hidden
