"""Log-mel spectra on the 50 Hz grid of the codec.

Axes: B batch, N samples, M mel frames (two per codec frame), F bands.
Mel frame m is centred on sample m·hop + hop/2, so two mel frames lie symmetrically inside one 480-sample codec frame
and a signal of 480·L samples gives exactly 2·L mel frames.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

FLOOR = 1e-5


def mel_filters(sample_rate: int, n_fft: int, bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Triangular mel filters [n_fft/2+1, bands], area-normalised (Slaney), through transformers' audio utilities."""
    from transformers.audio_utils import mel_filter_bank

    return mel_filter_bank(
        n_fft // 2 + 1, bands, low_hz, high_hz, sample_rate, norm="slaney", mel_scale="slaney"
    ).astype(np.float32)


class LogMel(nn.Module):
    """Natural-log magnitude mel spectrum.

    Shapes: wave [B, N] -> [B, F, M] with M = ceil(N / hop); the wave is zero-padded to whole hops.
    """

    def __init__(self, sample_rate: int = 24000, n_fft: int = 1024, hop: int = 240, bands: int = 100) -> None:
        super().__init__()
        self.n_fft, self.hop, self.bands = n_fft, hop, bands
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        filters = torch.from_numpy(mel_filters(sample_rate, n_fft, bands, 0.0, sample_rate / 2))
        self.register_buffer("filters", filters, persistent=False)  # [n_fft/2+1, F]

    def magnitude(self, wave: torch.Tensor) -> torch.Tensor:
        """|STFT| [B, n_fft/2+1, M] of wave [B, N] on the centred grid."""
        return stft(wave, self.n_fft, self.hop, self.window).abs()

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [B, N] in [-1, 1] -> log-mel [B, F, M]."""
        bands = torch.matmul(self.filters.T, self.magnitude(wave.float()))  # [B, F, M]
        return bands.clamp_min(FLOOR).log()


def stft(wave: torch.Tensor, n_fft: int, hop: int, window: torch.Tensor) -> torch.Tensor:
    """Complex STFT [B, n_fft/2+1, ceil(N/hop)], frame m centred on m·hop + hop/2."""
    samples = wave.shape[-1]
    frames = -(-samples // hop)
    side = (n_fft - hop) // 2
    padded = functional.pad(wave, (side, frames * hop - samples + n_fft - hop - side))
    return torch.stft(padded, n_fft, hop, n_fft, window, center=False, return_complex=True)


def istft(spectrum: torch.Tensor, n_fft: int, hop: int, window: torch.Tensor) -> torch.Tensor:
    """Inverse of `stft` by weighted overlap-add: [B, n_fft/2+1, M] -> [B, M·hop]."""
    pieces = torch.fft.irfft(spectrum.transpose(1, 2), n_fft) * window  # [B, M, n_fft]
    weights = window.square().expand(1, pieces.shape[1], -1)
    wave = _overlapped(pieces, hop) / _overlapped(weights, hop).clamp_min(1e-3)
    side = (n_fft - hop) // 2
    return wave[:, side : side + pieces.shape[1] * hop]


def _overlapped(pieces: torch.Tensor, hop: int) -> torch.Tensor:
    """The sum of pieces [B, M, n_fft], each `hop` samples after the one before: [B, ≥ (M − 1)·hop + n_fft]."""
    batch, frames, size = pieces.shape
    wave = pieces.new_zeros(batch, frames - 1 + -(-size // hop), hop)
    for index, start in enumerate(range(0, size, hop)):
        part = pieces[..., start : start + hop]
        wave[:, index : index + frames, : part.shape[-1]] += part
    return wave.flatten(1)


class StackedMel(nn.Module):
    """Log-mel with two frames side by side: wave [B, N] -> [B, 2F, L], L = ceil(N / 480) codec frames."""

    def __init__(self, sample_rate: int = 24000, bands: int = 100, center: float = -5.0, scale: float = 2.5) -> None:
        super().__init__()
        self.mel = LogMel(sample_rate, bands=bands)
        self.center, self.scale = center, scale
        self.channels = 2 * bands

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [B, N] -> standardised stacked log-mel [B, 2F, L]."""
        hop = 2 * self.mel.hop
        wave = functional.pad(wave, (0, -wave.shape[-1] % hop))
        return stack_pairs((self.mel(wave) - self.center) / self.scale)


def stack_pairs(frames: torch.Tensor) -> torch.Tensor:
    """[B, F, 2L] -> [B, 2F, L]: neighbouring frames become channels (first half: even frames)."""
    return torch.cat([frames[..., 0::2], frames[..., 1::2]], dim=1)


def unstack_pairs(stacked: torch.Tensor) -> torch.Tensor:
    """Inverse of `stack_pairs`: [B, 2F, L] -> [B, F, 2L]."""
    even, odd = stacked.chunk(2, dim=1)
    return torch.stack([even, odd], dim=-1).flatten(-2)
