"""Mel spectrogram -> waveform: HiFT, a harmonic source shaped by convolutions and an inverse STFT (spec section 1.5).

Parameter names are those of `hift.*` in the published `voice_generator.pth`, weight norm in its older form
(`weight_g`, `weight_v`).

Axes: B batch, F mel bands, M frames, N = 256·M samples at 22,050 Hz, C channels, H = 1 + harmonics, Q STFT frames.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

N_FFT = 16
STFT_HOP = 4
LOUDEST = 100.0  # of a spectral magnitude
TOP = 0.99  # of a sample
DILATIONS = (1, 3, 5)
SINE_LEVEL, NOISE_LEVEL, VOICED_ABOVE = 0.1, 0.003, 10.0


@dataclass
class HiFTConfig:
    """Sizes; the defaults are the published ones."""

    in_channels: int = 80
    base_channels: int = 512
    f0_cond_channels: int = 512
    sampling_rate: int = 22050
    harmonics: int = 8
    upsample_rates: Sequence[int] = (8, 8)
    upsample_kernels: Sequence[int] = (16, 16)
    resblock_kernels: Sequence[int] = (3, 7, 11)
    source_kernels: Sequence[int] = (7, 11)


class NormedWeight(nn.Module):
    """Weight norm over all dimensions but the first, as stored: `weight_g`, `weight_v`, `bias`."""

    def __init__(self, shape: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(shape[0], 1, 1))
        self.weight_v = nn.Parameter(torch.randn(shape) / math.sqrt(shape[1] * shape[2]))
        self.bias = nn.Parameter(torch.zeros(outputs))

    @property
    def weight(self) -> torch.Tensor:
        """The weight that convolves."""
        return self.weight_v * (self.weight_g / self.weight_v.norm(dim=(1, 2), keepdim=True))


class Conv(NormedWeight):
    """A weight-normalised convolution that keeps the length."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        super().__init__((outputs, inputs, kernel), outputs)
        self.dilation, self.padding = dilation, dilation * (kernel - 1) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, N] -> [B, C', N]."""
        return functional.conv1d(x, self.weight, self.bias, padding=self.padding, dilation=self.dilation)


class Upsample(NormedWeight):
    """A weight-normalised transposed convolution; the norm is over all but the input channels."""

    def __init__(self, inputs: int, outputs: int, kernel: int, rate: int) -> None:
        super().__init__((inputs, outputs, kernel), outputs)
        self.rate, self.padding = rate, (kernel - rate) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, N] -> [B, C', N·rate]."""
        return functional.conv_transpose1d(x, self.weight, self.bias, stride=self.rate, padding=self.padding)


class Snake(nn.Module):
    """x + sin²(αx)/(α + 1e-9), one α a channel, stored [C]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, N] -> [B, C, N]."""
        alpha = self.alpha[:, None]
        return x + torch.sin(alpha * x).square() / (alpha + 1e-9)


class ResBlock(nn.Module):
    """Three times x + conv(snake(dilated conv(snake(x))))."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(Conv(channels, channels, kernel, dilation) for dilation in DILATIONS)
        self.convs2 = nn.ModuleList(Conv(channels, channels, kernel) for _ in DILATIONS)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in DILATIONS)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in DILATIONS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, N] -> [B, C, N]."""
        parts = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for first, dilated, second, plain in parts:
            x = x + plain(second(dilated(first(x))))
        return x


class PitchPredictor(nn.Module):
    """Mel [B, F, M] -> pitch [B, M] in Hz, never negative."""

    def __init__(self, bands: int, channels: int, layers: int = 5) -> None:
        super().__init__()
        widths = [bands] + [channels] * layers
        pairs = ((Conv(a, b, 3), nn.ELU()) for a, b in itertools.pairwise(widths))
        self.condnet = nn.Sequential(*(module for pair in pairs for module in pair))
        self.classifier = nn.Linear(channels, 1)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """[B, F, M] -> [B, M]."""
        return self.classifier(self.condnet(mel).transpose(1, 2))[..., 0].abs()


class HarmonicSource(nn.Module):
    """Sines of the pitch and its harmonics, noise where there is no voice, mixed to one channel."""

    def __init__(self, harmonics: int, sample_rate: int) -> None:
        super().__init__()
        self.sample_rate, self.count = sample_rate, harmonics + 1
        self.l_linear = nn.Linear(self.count, 1)

    def draw(self, pitch: torch.Tensor, generator: torch.Generator | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Random phases [B, H, 1] (0 for the fundamental) and noise [B, H, N] for pitch [B, N]."""
        batch, samples = pitch.shape
        phase = (2 * torch.rand(batch, self.count, 1, generator=generator) - 1) * math.pi
        phase[:, 0] = 0
        noise = torch.randn(batch, self.count, samples, generator=generator)
        return phase.to(pitch), noise.to(pitch)

    def sines(self, pitch: torch.Tensor, phase: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Pitch [B, N] in Hz, phase [B, H, 1], noise [B, H, N] -> [B, H, N]."""
        order = torch.arange(1, self.count + 1, device=pitch.device, dtype=pitch.dtype)[None, :, None]
        cycles = (pitch[:, None] * order / self.sample_rate).cumsum(-1) % 1
        voiced = (pitch > VOICED_ABOVE).to(pitch)[:, None]
        level = voiced * NOISE_LEVEL + (1 - voiced) * SINE_LEVEL / 3
        return SINE_LEVEL * torch.sin(2 * math.pi * cycles + phase) * voiced + level * noise

    def forward(self, pitch: torch.Tensor, phase: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """As `sines` -> [B, N]."""
        return torch.tanh(self.l_linear(self.sines(pitch, phase, noise).transpose(1, 2)))[..., 0]


class HiFT(nn.Module):
    """Log-mel [B, F, M] -> waveform [B, 256·M]."""

    def __init__(self, config: HiFTConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or HiFTConfig()
        self.m_source = HarmonicSource(config.harmonics, config.sampling_rate)
        self.conv_pre = Conv(config.in_channels, config.base_channels, 7)
        widths = [config.base_channels >> stage for stage in range(len(config.upsample_rates) + 1)]
        stages = list(zip(widths[:-1], widths[1:], config.upsample_kernels, config.upsample_rates, strict=True))
        self.ups = nn.ModuleList(Upsample(*stage) for stage in stages)
        later = [math.prod(config.upsample_rates[index + 1 :]) for index in range(len(stages))]
        self.source_downs = nn.ModuleList(
            nn.Conv1d(N_FFT + 2, width, 1)
            if rate == 1
            else nn.Conv1d(N_FFT + 2, width, 2 * rate, rate, padding=rate // 2)
            for width, rate in zip(widths[1:], later, strict=True)
        )
        self.source_resblocks = nn.ModuleList(
            ResBlock(width, kernel) for width, kernel in zip(widths[1:], config.source_kernels, strict=True)
        )
        self.resblocks = nn.ModuleList(
            ResBlock(width, kernel) for width in widths[1:] for kernel in config.resblock_kernels
        )
        self.conv_post = Conv(widths[-1], N_FFT + 2, 7)
        self.f0_predictor = PitchPredictor(config.in_channels, config.f0_cond_channels)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    @property
    def hop(self) -> int:
        """Samples of one mel frame."""
        return math.prod(self.config.upsample_rates) * STFT_HOP

    def forward(
        self,
        mel: torch.Tensor,
        phase: torch.Tensor | None = None,
        noise: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Synthesise.

        Args:
            mel: natural log-mel [B, F, M]. phase, noise: as `HarmonicSource.draw` makes them from `generator`.

        Returns:
            waveform [B, N] within ±0.99.
        """
        pitch = self.f0_predictor(mel).repeat_interleave(self.hop, -1)
        if phase is None or noise is None:
            phase, noise = self.m_source.draw(pitch, generator)
        return self.shape(mel, self.spectrum(self.m_source(pitch, phase, noise)))

    def spectrum(self, source: torch.Tensor) -> torch.Tensor:
        """Source [B, N] -> real and imaginary parts [B, 18, Q]."""
        found = torch.stft(source, N_FFT, STFT_HOP, N_FFT, self.window, return_complex=True)
        return torch.cat([found.real, found.imag], 1)

    def shape(self, mel: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Mel [B, F, M] and the source's spectrum [B, 18, Q] -> waveform [B, N]."""
        return self._wave(self.filtered(mel, source))

    def filtered(self, mel: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """As `shape`, before the inverse STFT: log magnitudes and phases [B, 18, Q]."""
        x, kernels = self.conv_pre(mel), len(self.config.resblock_kernels)
        for stage, upsample in enumerate(self.ups):
            x = upsample(functional.leaky_relu(x, 0.1))
            if stage == len(self.ups) - 1:
                x = functional.pad(x, (1, 0), mode="reflect")
            x = x + self.source_resblocks[stage](self.source_downs[stage](source))
            blocks = self.resblocks[stage * kernels : (stage + 1) * kernels]
            x = sum(block(x) for block in blocks) / kernels
        return self.conv_post(functional.leaky_relu(x, 0.01))

    def _wave(self, both: torch.Tensor) -> torch.Tensor:
        bins = N_FFT // 2 + 1
        magnitude, phase = both[:, :bins].exp().clamp(max=LOUDEST), both[:, bins:].sin()
        spectrum = torch.polar(magnitude, phase)
        return torch.istft(spectrum, N_FFT, STFT_HOP, N_FFT, self.window).clamp(-TOP, TOP)
