"""The flow head on float16 weights in two calls a token and one a solver step. Axes as in `lm.fused_head`."""

from __future__ import annotations

import ctypes

import torch

from unisono.lm.head import FlowHead
from unisono.native.library import BLOCK, Long, Packed, Pointer, Weight, all_weights, library, padded


class _Head(ctypes.Structure):
    _fields_ = (
        *((name, Weight) for name in ("entry", "condition", "modulation", "exit")),
        *((name, Pointer) for name in ("both", "down", "offset")),
        *((name, Long) for name in ("width", "latent", "inner", "layers")),
        ("eps", ctypes.c_float),
    )


class NativeHead:
    """What `FusedHead` runs on where `takes` says so.

    Args:
        modulation, offset: weights [(3L + 2) C, C] of all layers' modulation and what is added [(3L + 2) C].
    """

    @torch.no_grad()
    def __init__(self, head: FlowHead, modulation: torch.Tensor, offset: torch.Tensor) -> None:
        feeds = [layer.ffn for layer in head.layers]
        self.ends = [
            Packed(weight)
            for weight in (head.noisy_images_proj.weight, head.cond_proj.weight, modulation, head.final_layer.linear.weight)
        ]
        self.feeds = [
            [Packed(torch.cat([feed.gate_proj.weight, feed.up_proj.weight])) for feed in feeds],
            [Packed(feed.down_proj.weight) for feed in feeds],
        ]
        self.layers = [all_weights(parts) for parts in self.feeds]
        self.offset, self.latent = offset.contiguous(), head.latent
        self.about = _Head(
            *(part.weight for part in self.ends), *(ctypes.addressof(parts) for parts in self.layers),
            self.offset.data_ptr(), len(head.like), head.latent, feeds[0].down_proj.in_features, len(feeds),
            head.final_layer.eps,
        )  # fmt: skip

    @staticmethod
    def takes(head: FlowHead) -> bool:
        """Whether there are kernels, and the head is of a shape for them."""
        like, layers = head.like, head.layers
        return (
            library() is not None
            and like.device.type == "cpu"
            and like.dtype == torch.float32
            and len(layers) > 0
            and len(like) % BLOCK == 0
            and 2 * layers[0].ffn.down_proj.in_features % BLOCK == 0
        )

    def modulations(self, condition: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        """Conditions [M, C] and embedded times [S, C] -> modulation [S, M, (3L + 2) C]."""
        return self._modulated(condition, embedded, len(embedded)).view(len(embedded), len(condition), -1)

    def paired(self, condition: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        """Conditions [M, C] and embedded times [M, C] -> modulation [M, (3L + 2) C]."""
        return self._modulated(condition, embedded, 0)

    def _modulated(self, condition: torch.Tensor, embedded: torch.Tensor, times: int) -> torch.Tensor:
        """`head_modulate` of kernels.h; times = 0 for paired ones."""
        condition, embedded = condition.contiguous(), embedded.contiguous()
        made = condition.new_empty(max(times, 1) * len(condition), len(self.offset))
        failed = library().head_modulate(
            ctypes.byref(self.about), len(condition), times, condition.data_ptr(), embedded.data_ptr(), made.data_ptr()
        )
        if failed:
            raise MemoryError("no memory for the flow head")
        return made

    def velocity(self, x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        """Points [M, X], or one [1, X] for all rows, under modulations [M, (3L + 2) C] -> [M, X]."""
        x, modulation = x.contiguous(), modulation.contiguous()
        made = x.new_empty(len(modulation), padded(self.latent))
        failed = library().head_velocity(
            ctypes.byref(self.about), len(modulation), len(x), x.data_ptr(), modulation.data_ptr(), made.data_ptr()
        )
        if failed:
            raise MemoryError("no memory for the flow head")
        return made[:, : self.latent]
