"""The flow head: a small network that says where a noisy vector should move (TADA, spec section 10).

Axes: M rows, S evaluation times, C condition width = head width, X width of the vector that flows (TADA: acoustic
numbers, then the bits of two durations).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from unisono.lm.norms import RMSNorm, rms_norm

SINUSOID_WIDTH = 256
LONGEST_PERIOD = 10000.0


class Modulation(NamedTuple):
    """Shift [.., C], 1 + scale [.., C] and gate [.., C] (None in the last layer) for one layer."""

    shift: torch.Tensor
    scale: torch.Tensor
    gate: torch.Tensor | None


@dataclass(frozen=True)
class HeadModulation:
    """What time and condition do to every layer; computed once for all evaluation times of a token."""

    layers: tuple[Modulation, ...]
    final: Modulation


def sinusoid(times: torch.Tensor, width: int = SINUSOID_WIDTH) -> torch.Tensor:
    """Flow times [M] -> [M, width]: cosines, then sines; an odd width ends with a zero. Times are used unscaled."""
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=times.device)
    angles = times.float()[:, None] * torch.exp(-math.log(LONGEST_PERIOD) * steps / half)
    waves = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return functional.pad(waves, (0, width % 2))


class TimestepEmbedder(nn.Module):
    """Flow time -> vector: sinusoid and two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(SINUSOID_WIDTH, width, bias=False), nn.SiLU(), nn.Linear(width, width, bias=False)
        )

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        """[M] -> [M, C]."""
        return self.mlp(sinusoid(times).to(self.mlp[0].weight.dtype))


class GatedFeedForward(nn.Module):
    """down(SiLU(gate(x)) · up(x)), without biases."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., C] -> [.., C]."""
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class HeadLayer(nn.Module):
    """x + gate · FFN(RMSNorm(x) · (1 + scale) + shift)."""

    def __init__(self, width: int, inner: int, eps: float) -> None:
        super().__init__()
        self.ffn = GatedFeedForward(width, inner)
        self.norm = RMSNorm(width, eps)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width, bias=False))

    def modulate(self, signal: torch.Tensor) -> Modulation:
        """Time-and-condition signal [.., C] -> modulation of this layer."""
        shift, scale, gate = self.adaLN_modulation(signal).chunk(3, dim=-1)
        return Modulation(shift, 1 + scale, gate)

    def forward(self, x: torch.Tensor, modulation: Modulation) -> torch.Tensor:
        """[.., C] -> [.., C]."""
        normed = torch.addcmul(modulation.shift, self.norm(x), modulation.scale)
        return torch.addcmul(x, modulation.gate, self.ffn(normed))


class FinalLayer(nn.Module):
    """Modulated norm without a weight, and the projection to a velocity."""

    def __init__(self, width: int, latent: int, eps: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, latent, bias=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width, bias=False))
        self.eps = eps

    def modulate(self, signal: torch.Tensor) -> Modulation:
        """Time-and-condition signal [.., C] -> modulation of this layer."""
        shift, scale = self.adaLN_modulation(signal).chunk(2, dim=-1)
        return Modulation(shift, 1 + scale, None)

    def forward(self, x: torch.Tensor, modulation: Modulation) -> torch.Tensor:
        """[.., C] -> [.., X]."""
        return self.linear(torch.addcmul(modulation.shift, rms_norm(x, None, self.eps), modulation.scale))


class FlowHead(nn.Module):
    """Velocity of a flowing vector, given its time and a condition.

    `forward` is the plain call. Solvers use its two halves, so that everything that depends on time and condition
    alone is computed once per token: `modulations` for all times at once, then `velocity` per time.
    """

    def __init__(self, width: int, latent: int, layers: int, ffn_ratio: float, eps: float = 1e-5) -> None:
        super().__init__()
        self.latent = latent
        self.noisy_images_proj = nn.Linear(latent, width, bias=False)
        self.cond_proj = nn.Linear(width, width, bias=False)
        self.t_embedder = TimestepEmbedder(width)
        self.layers = nn.ModuleList(HeadLayer(width, int(width * ffn_ratio), eps) for _ in range(layers))
        self.final_layer = FinalLayer(width, latent, eps)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the zero velocity: all modulations and the last projection are zero (spec section 17)."""
        for layer in (*self.layers, self.final_layer):
            nn.init.zeros_(layer.adaLN_modulation[1].weight)
        nn.init.zeros_(self.final_layer.linear.weight)
        for index in (0, 2):
            nn.init.normal_(self.t_embedder.mlp[index].weight, std=0.02)

    @property
    def like(self) -> torch.Tensor:
        """A weight that stands for the head's device and number format."""
        return self.layers[0].norm.weight

    def forward(self, x: torch.Tensor, times: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Velocity at given points.

        Args:
            x: [M, X]. times: [M] in [0, 1]. condition: [M, C].

        Returns:
            [M, X].
        """
        return self.velocity(x, self.modulate(self.cond_proj(condition) + self.t_embedder(times)))

    def modulations(self, condition: torch.Tensor, time_embeddings: torch.Tensor) -> list[HeadModulation]:
        """Conditions [M, C] and embedded times [S, C] -> the modulation [M, C] of every layer at each time.

        All times go through one product per layer, so that its weights are read once per token and not once per step.
        """
        together = self.modulate(self.cond_proj(condition) + time_embeddings[:, None])  # [S, M, C]
        layers = [_unbind(layer) for layer in together.layers]
        final = _unbind(together.final)
        return [HeadModulation(tuple(layer[index] for layer in layers), final[index]) for index in range(len(final))]

    def modulate(self, signal: torch.Tensor) -> HeadModulation:
        """[.., C] -> the modulation of every layer, with the same leading axes."""
        layers = tuple(layer.modulate(signal) for layer in self.layers)
        return HeadModulation(layers, self.final_layer.modulate(signal))

    def velocity(self, x: torch.Tensor, modulation: HeadModulation) -> torch.Tensor:
        """Points [M, X] -> velocities [M, X]; one point [1, X] serves all rows of the modulation."""
        hidden = self.noisy_images_proj(x)  # [M, C]
        for layer, layer_modulation in zip(self.layers, modulation.layers, strict=True):
            hidden = layer(hidden, layer_modulation)
        return self.final_layer(hidden, modulation.final)


def _unbind(modulation: Modulation) -> Sequence[Modulation]:
    """One modulation [S, M, C] -> S modulations [M, C]."""
    shifts, scales = modulation.shift.unbind(0), modulation.scale.unbind(0)
    gates = [None] * len(shifts) if modulation.gate is None else modulation.gate.unbind(0)
    return [Modulation(*parts) for parts in zip(shifts, scales, gates, strict=True)]
