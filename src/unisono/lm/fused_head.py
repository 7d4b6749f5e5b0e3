"""The flow head as it runs while speaking: a few products over copies of its weights, in place of a module tree.

Axes: M rows, S evaluation times, C condition width = head width, X width of the vector that flows, L layers.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional

from unisono.lm.head import FlowHead, Modulation
from unisono.lm.native import NativeHead
from unisono.lm.packing import Product, feed_forward, product, row_format, steady, unit_rms


class FusedHead:
    """`FlowHead` without gradients: equal numbers on plain weights, near ones on packed weights.

    The modulation of all layers is one product, whose rows carry the weights of the norms; its inputs and the ends of
    the network stay as they are.

    Args:
        packing: see `packing.PACKINGS`.
    """

    @torch.no_grad()
    def __init__(self, head: FlowHead, packing: str = "none") -> None:
        self.latent, self.like, self.t_embedder = head.latent, head.like, head.t_embedder
        eps = {layer.norm.eps for layer in head.layers} | {head.final_layer.eps}
        if len(eps) != 1:
            raise ValueError(f"norms with different eps cannot be fused: {sorted(eps)}")
        self.native = NativeHead(head, packing) if NativeHead.takes(head, packing) else None
        if self.native is not None:
            return
        self.form = row_format(head.like, packing)
        entry = head.noisy_images_proj.weight.detach()
        self.entry = product(entry, packing) if packing == "half" else partial(steady, entry)
        self.width = len(head.like)
        self.condition = product(head.cond_proj.weight, packing)
        self.exit = product(head.final_layer.linear.weight, packing)
        self.feeds = [
            feed_forward(layer.ffn.gate_proj.weight, layer.ffn.up_proj.weight, layer.ffn.down_proj.weight, packing)
            for layer in head.layers
        ]
        weights, self.offset = _modulation(head)
        self.modulation = product(weights, packing)
        self.norm: Product = unit_rms(eps.pop(), self.width, self.like)

    def __call__(self, x: torch.Tensor, times: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Velocity [M, X] at points [M, X] and times [M] under conditions [M, C]."""
        embedded = self.t_embedder(times)
        if self.native is not None:
            return self.native.velocity(x, self.native.paired(condition, embedded))
        return self.velocity(x, self._rows(self._condition(condition) + embedded))

    def modulations(self, condition: torch.Tensor, time_embeddings: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Conditions [M, C] and embedded times [S, C] -> the modulation [M, (3L + 2) C] of all layers at each time."""
        if self.native is not None:
            return self.native.modulations(condition, time_embeddings).unbind(0)
        signal = self._condition(condition) + time_embeddings[:, None]  # [S, M, C]
        return self._rows(signal.flatten(0, 1)).view(*signal.shape[:2], -1).unbind(0)

    @np.errstate(all="ignore")  # values that are not finite are looked at once a step
    def velocity(self, x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        """Points [M, X] -> velocities [M, X]; one point [1, X] serves all rows of the modulation [M, (3L + 2) C]."""
        if self.native is not None:
            return self.native.velocity(x, modulation)
        layers, last = self._split(modulation)
        hidden, norm, form = self.entry(x), self.norm, self.form
        for feed, layer in zip(self.feeds, layers, strict=True):
            normed = torch.addcmul(layer.shift, norm(hidden), layer.scale)
            hidden = torch.addcmul(hidden, layer.gate, feed(normed.to(form)).to(hidden.dtype))
        return self.exit(torch.addcmul(last.shift, norm(hidden), last.scale).to(form)).to(x.dtype)

    def _condition(self, condition: torch.Tensor) -> torch.Tensor:
        return self.condition(condition.to(self.form)).to(condition.dtype)

    def _rows(self, signal: torch.Tensor) -> torch.Tensor:
        """[M, C] -> [M, (3L + 2) C]."""
        return self.modulation(functional.silu(signal).to(self.form)).to(signal.dtype) + self.offset

    def _split(self, rows: torch.Tensor) -> tuple[list[Modulation], Modulation]:
        """[M, (3L + 2) C] -> shift, scale and gate of every layer, and what the last norm gets."""
        parts = rows.view(len(rows), -1, self.width).unbind(1)
        layers = [Modulation(*parts[start:end]) for start, end in pairwise(range(0, len(parts), 3))]
        return layers, Modulation(parts[-2], parts[-1], None)


def _modulation(head: FlowHead) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [(3L + 2) C, C] and what is added [(3L + 2) C], so that scales come out as norm weight · (1 + scale)."""
    weights, offsets = [], []
    for layer in head.layers:
        shift, scale, gate = layer.adaLN_modulation[1].weight.chunk(3)
        weights += [shift, scale * layer.norm.weight[:, None], gate]
        offsets += [torch.zeros_like(head.like), layer.norm.weight, torch.zeros_like(head.like)]
    weights.append(head.final_layer.adaLN_modulation[1].weight)
    offsets += [torch.zeros_like(head.like), torch.ones_like(head.like)]
    return torch.cat(weights), torch.cat(offsets).detach()
