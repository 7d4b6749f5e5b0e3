"""The flow head: a call for all modulations of a token, and one a solver step. Axes as in `lm.fused_head`."""

from __future__ import annotations

import ctypes

import torch

from unisono.lm.head import FlowHead
from unisono.lm.native.kernels import LANES, Long, Pointer, Weight, Weights, fits, padded, run


class _Layer(ctypes.Structure):
    _fields_ = (*((name, Weight) for name in ("modulation", "gate", "up", "down")), ("norm", Pointer))


class _Head(ctypes.Structure):
    _fields_ = (
        *((name, Weight) for name in ("entry", "condition", "exit")),
        ("layers", ctypes.POINTER(_Layer)),
        *((name, Long) for name in ("width", "latent", "inner", "count")),
        ("eps", ctypes.c_float),
    )


class NativeHead:
    """What `FusedHead` runs on where `takes` says so."""

    @torch.no_grad()
    def __init__(self, head: FlowHead, packing: str) -> None:
        self.weights = Weights(packing)
        add, numbers, final = self.weights.add, self.weights.numbers, head.final_layer
        layers = []
        for layer in head.layers:
            products = layer.adaLN_modulation[1], layer.ffn.gate_proj, layer.ffn.up_proj, layer.ffn.down_proj
            layers.append(_Layer(*(add(part.weight) for part in products), numbers(layer.norm.weight)))
        layers.append(_Layer(modulation=add(final.adaLN_modulation[1].weight)))
        self.layers = (_Layer * len(layers))(*layers)
        self.latent, self.step = head.latent, (3 * len(head.layers) + 2) * len(head.like)
        # What flows enters as it is wherever that can be read in whole vectors.
        self.entry = Weights("none" if packing != "half" and head.latent % LANES == 0 else "half")
        ends = self.entry.add(head.noisy_images_proj.weight), add(head.cond_proj.weight), add(final.linear.weight)
        shape = len(head.like), head.latent, head.layers[0].ffn.down_proj.in_features, len(head.layers)
        self.about = _Head(*ends, self.layers, *shape, final.eps)

    @staticmethod
    def takes(head: FlowHead, packing: str) -> bool:
        """Whether there are kernels for a head."""
        like, layers = head.like, head.layers
        if packing == "none" and head.latent % LANES:
            return False  # weights of such rows would have to be rounded
        return len(layers) > 0 and fits(like, packing, len(like), layers[0].ffn.down_proj.in_features)

    def modulations(self, condition: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        """Conditions [M, C] and embedded times [S, C] -> modulation [S, M, (3L + 2) C]. Raises ValueError for S = 0."""
        if not len(embedded):
            raise ValueError("no times to modulate for")
        return self._modulated(condition, embedded, len(embedded)).view(len(embedded), len(condition), -1)

    def paired(self, condition: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        """Conditions [M, C] and embedded times [M, C] -> modulation [M, (3L + 2) C]."""
        return self._modulated(condition, embedded, 0)

    def _modulated(self, condition: torch.Tensor, embedded: torch.Tensor, times: int) -> torch.Tensor:
        """`head_modulate` of kernels.h; times = 0 for paired ones. Raises ValueError for other widths."""
        width = self.about.width
        unpaired = not times and len(embedded) != len(condition)
        if unpaired or condition.shape[1] != width or embedded.shape[1] != width:
            raise ValueError(f"conditions {tuple(condition.shape)} and times {tuple(embedded.shape)}")
        condition, embedded = condition.float().contiguous(), embedded.float().contiguous()
        made = condition.new_empty(max(times, 1) * len(condition), self.step)
        given = condition.data_ptr(), embedded.data_ptr()
        run("head_modulate", ctypes.byref(self.about), len(condition), times, *given, made.data_ptr())
        return made

    def velocity(self, x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        """Points [M, X], or one [1, X] for all rows, under modulations [M, (3L + 2) C] -> [M, X].

        Raises ValueError for other shapes.
        """
        x, modulation = x.float().contiguous(), modulation.float().contiguous()
        if len(x) not in (1, len(modulation)) or x.shape[1] != self.latent or modulation.shape[1] != self.step:
            raise ValueError(f"points {tuple(x.shape)} under modulations {tuple(modulation.shape)}")
        made = x.new_empty(len(modulation), padded(self.latent))
        given = x.data_ptr(), modulation.data_ptr()
        run("head_velocity", ctypes.byref(self.about), len(modulation), len(x), *given, made.data_ptr())
        return made[:, : self.latent]
