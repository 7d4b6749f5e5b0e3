"""The convolution stacks of the published codec, with weight norm unfolded and published parameter names.

TADA, spec sections 2.2, 2.3 and 6.1. Axes: B batch, C channels, N samples, L frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

UNIT_DILATIONS = (1, 3, 9)
UNIT_REACH = sum(3 * dilation for dilation in UNIT_DILATIONS)  # samples to each side of three residual units


class Snake1d(nn.Module):
    """x + sin²(αx)/(α + 1e-9), one α per channel; x [B, C, N]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, N] -> [B, C, N]."""
        turns = self.alpha * x
        wave = turns.sin().square() if turns.requires_grad else turns.sin_().square_()  # large: no copies to speak
        return torch.addcmul(x, wave, 1 / (self.alpha + 1e-9))


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> nn.Module:
    """A weight-normalised convolution (norm over all dims but 0)."""
    return weight_norm(nn.Conv1d(inputs, outputs, kernel, stride, padding, dilation))


class ResidualUnit(nn.Module):
    """x + conv1(snake(conv7(snake(x)))) with dilation δ; [B, C, N] -> [B, C, N]."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            Snake1d(channels),
            conv(channels, channels, 7, padding=3 * dilation, dilation=dilation),
            Snake1d(channels),
            conv(channels, channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, N] -> [B, C, N]."""
        return x + self.block(x)


class EncoderBlock(nn.Module):
    """Three residual units, snake, strided conv: [B, C, N] -> [B, 2C, N/stride]."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *(ResidualUnit(channels, dilation) for dilation in UNIT_DILATIONS),
            Snake1d(channels),
            conv(channels, 2 * channels, 2 * stride, stride, math.ceil(stride / 2)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, N] -> [B, 2C, ~N/stride]."""
        return self.block(x)


class DecoderBlock(nn.Module):
    """Snake, transposed conv, three residual units: [B, C, L] -> [B, C/2, ~L·stride] (odd strides lose a sample)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        half = channels // 2
        upsample = weight_norm(nn.ConvTranspose1d(channels, half, 2 * stride, stride, math.ceil(stride / 2)))
        units = (ResidualUnit(half, dilation) for dilation in UNIT_DILATIONS)
        self.block = nn.Sequential(Snake1d(channels), upsample, *units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, L] -> [B, C/2, ~L·stride]."""
        return self.block(x)


class WavEncoder(nn.Module):
    """Waveform [B, 1, N] at 24 kHz -> features [B, latent, L] at 50 Hz (no padding of its own)."""

    def __init__(self, d_model: int = 64, strides: Sequence[int] = (6, 5, 4, 4), d_latent: int = 1024) -> None:
        super().__init__()
        self.strides = tuple(strides)
        layers: list[nn.Module] = [conv(1, d_model, 7, padding=3)]
        for stride in strides:
            layers.append(EncoderBlock(d_model, stride))
            d_model *= 2
        layers += [Snake1d(d_model), conv(d_model, d_latent, 3, padding=1)]
        self.block = nn.Sequential(*layers)

    @property
    def margin(self) -> int:
        """Frames to each side whose sound takes part in one frame."""
        reach = 1  # of the last convolution, k3
        for stride in reversed(self.strides):
            reach = reach * stride + 2 * stride + UNIT_REACH
        return math.ceil((reach + 3) / math.prod(self.strides))

    def frame_count(self, samples: int) -> int:
        """L, frames of so many samples."""
        for stride in self.strides:
            samples = (samples + 2 * math.ceil(stride / 2) - 2 * stride) // stride + 1
        return samples

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """[B, 1, N] -> [B, latent, L]."""
        return self.block(wave)


class WavDecoder(nn.Module):
    """Features [B, C, L] at 50 Hz -> waveform [B, 1, 480·L − 6] at 24 kHz with the published strides."""

    def __init__(self, d_input: int = 1024, channels: int = 1536, strides: Sequence[int] = (4, 4, 5, 6)) -> None:
        super().__init__()
        self.strides = tuple(strides)
        layers: list[nn.Module] = [conv(d_input, channels, 7, padding=3)]
        for stride in strides:
            layers.append(DecoderBlock(channels, stride))
            channels //= 2
        layers += [Snake1d(channels), conv(channels, 1, 7, padding=3), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    @property
    def margin(self) -> int:
        """Frames to each side that take part in one sample."""
        reach = 3  # of the last convolution, k7
        for stride in reversed(self.strides):
            reach = math.ceil((reach + UNIT_REACH) / stride) + 2
        return reach + 3

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, C, L] -> [B, 1, N]."""
        return self.model(features)
