"""Speech units -> mel spectrogram: TASTE's flow decoder, conditional flow matching with guidance (spec section 1.5).

Axes: B batch (1), S units at 50 Hz, M mel frames of 256 samples at 22,050 Hz, F mel bands, W speaker width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from unisono.errors import InputError
from unisono.families.taste.relative import RelativeStack
from unisono.families.taste.sound.estimator import EstimatorConfig, UNet

UNIT_RATE = 50
SAMPLE_RATE = 22050
HOP = 256


@dataclass
class FlowConfig:
    """Sizes and the solver; the defaults are the published ones.

    Attributes:
        vocab_size: units. input_size: width of the encoder. mel: bands F. spk_embed_dim: W.
        encoder: {blocks, heads, linear_units}. estimator: fields of `EstimatorConfig`.
        steps, guidance: of the Euler solver.
    """

    vocab_size: int = 4096
    input_size: int = 512
    mel: int = 80
    spk_embed_dim: int = 192
    encoder: dict[str, int] = field(default_factory=lambda: {"blocks": 6, "heads": 8, "linear_units": 2048})
    estimator: dict[str, Any] = field(default_factory=dict)
    steps: int = 10
    guidance: float = 0.7


def frames_of_units(units: int) -> int:
    """Mel frames of a number of units, as published: int(S / 50 · 22050 / 256)."""
    return int(units / UNIT_RATE * SAMPLE_RATE / HOP)


def time_grid(steps: int) -> torch.Tensor:
    """Times [steps + 1] from 0 to 1, dense near the noise: 1 - cos(pi/2 · s)."""
    return 1 - torch.cos(torch.linspace(0, 1, steps + 1) * (0.5 * math.pi))


class LengthRegulator(nn.Module):
    """From unit rate to frame rate: nearest neighbour, then convolutions with GroupNorm and Mish, a 1×1 one last."""

    def __init__(self, bands: int, convolutions: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(convolutions):
            layers += [nn.Conv1d(bands, bands, 3, padding=1), nn.GroupNorm(1, bands), nn.Mish()]
        self.model = nn.Sequential(*layers, nn.Conv1d(bands, bands, 1))

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """[B, F, S] -> [B, F, frames]."""
        return self.model(functional.interpolate(x, size=frames, mode="nearest"))


class Guided(nn.Module):
    """The solver's network (`decoder.estimator`)."""

    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        self.estimator = UNet(config)


class Condition(NamedTuple):
    """What the flow is conditioned on: `mu` [B, F, M], `speaker` [B, F], `known` mel [B, F, M] (zeros)."""

    mu: torch.Tensor
    speaker: torch.Tensor
    known: torch.Tensor

    def channels(self, x: torch.Tensor) -> torch.Tensor:
        """Beside a state x [B, F, M]: [B, 4F, M]."""
        return torch.cat([x, self.mu, self.speaker[:, :, None].expand_as(x), self.known], 1)


class Flow(nn.Module):
    """Units and speaker vector -> mel; parameters named as `flow.*` of the published `voice_generator.pth`."""

    def __init__(self, config: FlowConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FlowConfig()
        self.input_embedding = nn.Embedding(config.vocab_size, config.input_size)
        self.spk_embed_affine_layer = nn.Linear(config.spk_embed_dim, config.mel)
        sizes = config.encoder
        width = config.input_size
        self.encoder = RelativeStack(width, width, sizes["heads"], sizes["linear_units"], sizes["blocks"], causal=False)
        self.encoder_proj = nn.Linear(config.input_size, config.mel)
        self.length_regulator = LengthRegulator(config.mel)
        self.decoder = Guided(EstimatorConfig(**config.estimator))

    def condition(self, units: torch.Tensor, speaker: torch.Tensor) -> Condition:
        """Units [1, S] and speaker [1, W] -> what the solver needs. Raises InputError for units that give no frame."""
        if units.ndim != 2 or units.shape[0] != 1 or units.shape[1] == 0:
            raise InputError(f"the flow decoder got units {tuple(units.shape)}; it wants one row of one unit or more")
        if int(units.min()) < 0 or int(units.max()) >= self.config.vocab_size:
            raise InputError(f"unit {int(units.max())} is none of the flow decoder's {self.config.vocab_size}")
        encoded = self.encoder_proj(self.encoder(self.input_embedding(units)))  # [1, S, F]
        mu = self.length_regulator(encoded.transpose(1, 2), frames_of_units(units.shape[1]))
        return Condition(mu, self.spk_embed_affine_layer(functional.normalize(speaker, dim=1)), torch.zeros_like(mu))

    def velocities(self, x: torch.Tensor, t: torch.Tensor, given: Condition) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocity with and without the condition, each [1, F, M], in one pass; t [] is the time."""
        none = Condition(*(torch.zeros_like(part) for part in given))
        both = torch.cat([given.channels(x), none.channels(x)])
        with_it, without = self.decoder.estimator(both, t.expand(2)).chunk(2)
        return with_it, without

    def forward(
        self,
        units: torch.Tensor,
        speaker: torch.Tensor,
        noise: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Sample a mel spectrogram.

        Args:
            units: int64 [1, S]. speaker: [1, W], any length. noise: [1, F, M]; drawn from `generator` without it.

        Returns:
            log-mel [1, F, M] with M = `frames_of_units(S)`.

        Raises:
            InputError: no units, or unknown ones.
        """
        given = self.condition(units, speaker)
        x = noise if noise is not None else torch.randn(given.mu.shape, generator=generator).to(given.mu)
        grid = time_grid(self.config.steps).to(x)
        t, strength = grid[0], self.config.guidance
        for after in grid[1:]:
            step = after - t
            with_it, without = self.velocities(x, t, given)
            x = x + step * ((1 + strength) * with_it - strength * without)
            t = t + step
        return x
