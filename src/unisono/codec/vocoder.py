"""A source-filter waveform head: harmonic pulses and noise shaped in the STFT domain, joined by overlap-add.

An alternative to the DAC stack for small models ("iSTFT head with a harmonic source"). The network predicts two
magnitude envelopes per mel frame; the envelope of the pulses is made minimum-phase through the cepstrum, as in
classic vocoders, so that no adversary is needed to avoid buzz.

Axes: B batch, M mel frames (100 a second), F mel bands, K = n_fft/2+1 bins, N = M·hop samples, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from unisono.audio.mel import istft, stft
from unisono.codec.convnext import ConvNeXtBlock


def pulse_train(f0: torch.Tensor, hop: int, sample_rate: int) -> torch.Tensor:
    """Band-limited unit-power pulses: f0 [B, M] in Hz (> 0) -> [B, M·hop].

    The sum of cos(kφ) over all harmonics k below 0.48 of the sampling rate, in its closed (Dirichlet) form.
    """
    rate = functional.interpolate(f0[:, None].double(), scale_factor=hop, mode="linear", align_corners=False)[:, 0]
    phase = torch.cumsum(rate / sample_rate, -1) % 1.0
    phase = (2 * math.pi * phase).float()
    harmonics = torch.floor(0.48 * sample_rate / rate).float()
    half = torch.sin(phase / 2)
    near = half.abs() < 1e-4
    ratio = torch.sin((harmonics + 0.5) * phase) / (2 * torch.where(near, torch.ones_like(half), half))
    total = torch.where(near, harmonics, ratio - 0.5)
    return total * torch.sqrt(2 / harmonics)


def minimum_phase(log_magnitude: torch.Tensor, n_fft: int) -> torch.Tensor:
    """Complex minimum-phase spectrum [B, K, M] with the given log magnitude [B, K, M] (folded real cepstrum)."""
    cepstrum = torch.fft.irfft(log_magnitude, n_fft, dim=1)
    fold = torch.zeros(n_fft, device=log_magnitude.device)
    fold[0] = fold[n_fft // 2] = 1.0
    fold[1 : n_fft // 2] = 2.0
    return torch.exp(torch.fft.rfft(cepstrum * fold[None, :, None], dim=1))


def fixed_noise(samples: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """White noise [samples] that depends on nothing but the position, so that decoding is deterministic."""
    generator = torch.Generator().manual_seed(20240217)
    period = torch.randn(240 * 1000, generator=generator)
    return period.repeat(-(-samples // len(period)))[:samples].to(device)


class SourceFilterVocoder(nn.Module):
    """Log-mel, pitch and voicing -> waveform.

    Args:
        bands: mel bands F. n_fft, hop: the STFT in which sources are shaped. channels, blocks, inner: ConvNeXt trunk.
    """

    def __init__(
        self,
        bands: int = 100,
        channels: int = 256,
        blocks: int = 6,
        inner: int = 640,
        n_fft: int = 1024,
        hop: int = 240,
        sample_rate: int = 24000,
    ) -> None:
        super().__init__()
        self.n_fft, self.hop, self.sample_rate = n_fft, hop, sample_rate
        self.input = nn.Conv1d(bands + 2, channels, 7, padding=3)
        self.input_norm = nn.LayerNorm(channels)
        self.blocks = nn.ModuleList(ConvNeXtBlock(channels, inner, 1 / blocks) for _ in range(blocks))
        self.output_norm = nn.LayerNorm(channels)
        self.output = nn.Linear(channels, 2 * (n_fft // 2 + 1))
        nn.init.constant_(self.output.bias, -4.0)  # begin quieter than speech: training then rises smoothly
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def envelopes(
        self, mel: torch.Tensor, log_f0: torch.Tensor, voicing: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log magnitudes of the pulse and noise filters, each [B, K, M]."""
        x = torch.cat([mel, (log_f0 - 5.3)[:, None] * voicing[:, None], voicing[:, None]], dim=1)
        x = self.input_norm(self.input(x).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        both = self.output(self.output_norm(x.transpose(1, 2))).transpose(1, 2).float()
        harmonic, noise = both.clamp(-12, 6).chunk(2, dim=1)
        return harmonic, noise

    def forward(
        self, mel: torch.Tensor, log_f0: torch.Tensor, voicing: torch.Tensor, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Synthesise.

        Args:
            mel: standardised log-mel [B, F, M]. log_f0: natural log of Hz [B, M], finite also where unvoiced.
            voicing: probability [B, M]. noise: optional white noise [B, N]; `fixed_noise` when absent.

        Returns:
            waveform [B, N], N = M·hop.
        """
        harmonic, breath = self.envelopes(mel, log_f0, voicing)
        f0 = log_f0.float().clamp(math.log(40.0), math.log(800.0)).exp()
        pulses = pulse_train(f0, self.hop, self.sample_rate)
        if noise is None:
            noise = fixed_noise(pulses.shape[-1], pulses.device).expand_as(pulses)
        gate = voicing.float().clamp_min(1e-4).log()[:, None]
        shaped = stft(pulses, self.n_fft, self.hop, self.window) * minimum_phase(harmonic + gate, self.n_fft)
        shaped = shaped + stft(noise, self.n_fft, self.hop, self.window) * breath.exp()
        return istft(shaped, self.n_fft, self.hop, self.window)
