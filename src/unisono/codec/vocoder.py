"""A source-filter waveform head: harmonic pulses and noise shaped in the STFT domain, joined by overlap-add.

An alternative to the DAC stack for small models ("iSTFT head with a harmonic source"). The network predicts two
magnitude envelopes per mel frame; the envelope of the pulses is made minimum-phase through the cepstrum, as in
classic vocoders, so that no adversary is needed to avoid buzz.

Axes: B batch, M mel frames (100 a second), F mel bands, K = n_fft/2+1 bins, N = M·hop samples, C channels.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import nn

from unisono.audio.mel import istft, stft
from unisono.codec.convnext import REACH, ConvNeXtBlock
from unisono.codec.pulses import Anchor, Track, phase_track, pulses, restarts


def pulse_train(f0: torch.Tensor, hop: int, sample_rate: int) -> torch.Tensor:
    """Band-limited unit-power pulses with voice throughout: f0 [B, M] in Hz (> 0) -> [B, M·hop]."""
    return pulses(phase_track(f0, torch.zeros_like(f0, dtype=torch.bool), hop, sample_rate, None), sample_rate)


def minimum_phase(log_magnitude: torch.Tensor, n_fft: int) -> torch.Tensor:
    """Complex minimum-phase spectrum [B, K, M] with the given log magnitude [B, K, M] (folded real cepstrum)."""
    # Along what lies together in memory: frames come from a linear layer, and go to `istft`, one after the other.
    cepstrum = torch.fft.irfft(log_magnitude.transpose(1, 2), n_fft)  # [B, M, n_fft]
    fold = torch.zeros(n_fft, device=log_magnitude.device)
    fold[0] = fold[n_fft // 2] = 1.0
    fold[1 : n_fft // 2] = 2.0
    spectrum = torch.fft.rfft(cepstrum * fold).transpose(1, 2)
    size, angle = spectrum.real.exp(), spectrum.imag  # the complex exponential itself takes ten times as long
    return torch.complex(size * angle.cos(), size * angle.sin())


@lru_cache(maxsize=1)
def _noise_period() -> torch.Tensor:
    """Ten seconds of white noise [240000]."""
    return torch.randn(240 * 1000, generator=torch.Generator().manual_seed(20240217))


def fixed_noise(samples: int, device: torch.device | str = "cpu", start: int = 0) -> torch.Tensor:
    """White noise [samples] from sample `start` on, a function of the position: decoding is deterministic."""
    period = _noise_period()
    first = start % len(period)
    times = -(-(first + samples) // len(period))
    return period.expand(times, -1).flatten()[first : first + samples].to(device)


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
        self.input = nn.Conv1d(bands + 2, channels, 2 * REACH + 1, padding=REACH)
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
        pitch = (log_f0 - 5.3).to(mel.dtype) * voicing
        x = torch.cat([mel, pitch[:, None], voicing[:, None]], dim=1)
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
            mel: standardised log-mel [B, F, M].
            log_f0: natural log of Hz [B, M], float32 or float64, finite also where unvoiced.
            voicing: probability [B, M]. noise: optional white noise [B, N]; `fixed_noise` when absent.

        Returns:
            waveform [B, N], N = M·hop.
        """
        source = pulses(self.track(log_f0, voicing), self.sample_rate)
        if noise is None:
            noise = fixed_noise(source.shape[-1], source.device).expand_as(source)
        return self.shape(mel, log_f0, voicing, source, noise)

    @property
    def margin(self) -> int:
        """Mel frames to each side that take part in one sample, the phase apart."""
        return REACH * (1 + len(self.blocks)) + self.overlap

    @property
    def overlap(self) -> int:
        """Mel frames to each side whose place in the STFT a sample lies in."""
        return math.ceil((self.n_fft + self.hop) / 2 / self.hop)

    def track(self, log_f0: torch.Tensor, voicing: torch.Tensor, anchor: Anchor | None = None) -> Track:
        """The phase of the harmonic source; arguments as in `forward`, `anchor` as in `phase_track`."""
        f0 = log_f0.double().clamp(math.log(40.0), math.log(800.0)).exp()
        return phase_track(f0, restarts(voicing), self.hop, self.sample_rate, anchor)

    def shape(
        self, mel: torch.Tensor, log_f0: torch.Tensor, voicing: torch.Tensor, source: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """Filter pulses `source` [B, N] and `noise` [B, N] by what the features [B, ·, M] say -> [B, N]."""
        harmonic, breath = self.envelopes(mel, log_f0, voicing)
        gate = voicing.float().clamp_min(1e-4).log()[:, None]
        shaped = stft(source, self.n_fft, self.hop, self.window) * minimum_phase(harmonic + gate, self.n_fft)
        shaped = shaped + stft(noise, self.n_fft, self.hop, self.window) * breath.exp()
        return istft(shaped, self.n_fft, self.hop, self.window)
