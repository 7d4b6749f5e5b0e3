"""What TASTE's networks read of a recording: Whisper's log-mel, and Kaldi's filter bank for speakers (spec 1.2, 1.5).

Axes: N samples at 16 kHz, F frames of 10 ms, M mel bands.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from unisono.audio.mel import mel_filters
from unisono.errors import AudioError

RATE = 16000
WINDOW_SECONDS = 30
N_FFT, HOP = 400, 160
FLOOR = 1e-10
# Kaldi's filter bank
KALDI_FFT, KALDI_LOW, KALDI_BANDS, PREEMPHASIS, POWER = 512, 20.0, 80, 0.97, 0.85
KALDI_FLOOR = 1.1921e-7


@lru_cache(maxsize=2)
def _whisper_filters(bands: int) -> torch.Tensor:
    """[M, n_fft/2 + 1]."""
    return torch.from_numpy(mel_filters(RATE, N_FFT, bands, 0.0, RATE / 2)).T.contiguous()


def log_mel(wave: torch.Tensor, bands: int = 128) -> torch.Tensor:
    """Whisper's log-mel of a recording as long as it is: [N] -> [M, F] with F = N // 160."""
    window = torch.hann_window(N_FFT, device=wave.device)
    spectrum = torch.stft(wave.float(), N_FFT, HOP, N_FFT, window, return_complex=True)[:, :-1].abs().square()
    logs = (_whisper_filters(bands).to(wave.device) @ spectrum).clamp_min(FLOOR).log10()
    return (logs.clamp_min(logs.max() - 8) + 4) / 4


def whisper_features(wave: torch.Tensor, bands: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    """Features as the published encoder reads them, filled up to 30 s.

    Args:
        wave: [N].

    Returns:
        [1, 3000, M], and the frames that are sound, int64 [1] (nothing uses them as a mask).

    Raises:
        AudioError: more than 30 s, of which the published code silently drops the rest.
    """
    samples = WINDOW_SECONDS * RATE
    if len(wave) > samples:
        raise AudioError(f"the recording has {len(wave) / RATE:.1f} s, TASTE hears {WINDOW_SECONDS} s: cut it")
    padded = functional.pad(wave, (0, samples - len(wave)))
    return log_mel(padded, bands).T[None], torch.tensor([len(wave) // HOP])


@lru_cache(maxsize=1)
def _kaldi_filters() -> torch.Tensor:
    """Triangles on Kaldi's mel scale, [n_fft/2, M]; the Nyquist bin belongs to none."""
    edges = np.linspace(*(1127 * np.log1p(np.array([KALDI_LOW, RATE / 2]) / 700)), KALDI_BANDS + 2)
    mels = 1127 * np.log1p(np.arange(KALDI_FFT // 2) * RATE / KALDI_FFT / 700)[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    return torch.from_numpy(np.maximum(0, np.minimum(rising, falling)))


def kaldi_fbank(wave: torch.Tensor) -> torch.Tensor:
    """Kaldi's log filter bank without dither: wave [N] in [−1, 1] -> [F, 80], F = 1 + (N − 400) // 160.

    Computed in float64, since the published stand-in itself is 3e-4 off where little energy is left.
    """
    frames = wave.double().unfold(0, N_FFT, HOP)  # [F, 400]
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
    places = torch.arange(N_FFT, dtype=torch.float64, device=wave.device)
    window = (0.5 - 0.5 * (2 * torch.pi * places / (N_FFT - 1)).cos()) ** POWER
    power = torch.fft.rfft((frames - PREEMPHASIS * before) * window, KALDI_FFT).abs().square()
    bands = power[:, :-1] @ _kaldi_filters().to(wave.device)
    return bands.clamp_min(KALDI_FLOOR).log().float()


def speaker_features(wave: torch.Tensor) -> torch.Tensor:
    """What CAM++ reads: the filter bank with each band's mean over time taken away, [F, 80]."""
    bank = kaldi_fbank(wave)
    return bank - bank.mean(0)


def mean_speaker(references: torch.Tensor) -> torch.Tensor:
    """Speaker vector of several references [n, E] -> [E] of length 1."""
    return functional.normalize(references.mean(0), dim=0)
