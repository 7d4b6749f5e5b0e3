"""Kaldi's log-mel filter bank features, as speaker networks trained with Kaldi want them.

Axes: N samples at 16 kHz, M frames (100 a second), F bands. No dither; the formula is that of golden/taste's README.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

RATE = 16000
WINDOW, HOP, FFT = 400, 160, 512
PRE_EMPHASIS = 0.97
LOW, HIGH = 20.0, 8000.0
FLOOR = 1.1920928955078125e-07


def _mel(hz: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log(1.0 + np.asarray(hz) / 700.0)


@lru_cache(maxsize=4)
def _filters(bands: int) -> np.ndarray:
    """Triangles in mel, float64 [FFT/2, F]; the last bin of the spectrum belongs to none."""
    edges = np.linspace(_mel(LOW), _mel(HIGH), bands + 2)
    bins = _mel(np.arange(FFT // 2) * RATE / FFT)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0.0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))


def filter_bank(wave: np.ndarray, bands: int = 80) -> np.ndarray:
    """Log filter bank float32 [M, F] of a wave [N] in [-1, 1]; M = 0 for less than 25 ms."""
    if len(wave) < WINDOW:
        return np.zeros((0, bands), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), WINDOW)[::HOP]
    frames = frames - frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    shape = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))) ** 0.85
    spectrum = np.abs(np.fft.rfft((frames - PRE_EMPHASIS * before) * shape, FFT)) ** 2
    return np.log(np.maximum(spectrum[:, : FFT // 2] @ _filters(bands), FLOOR)).astype(np.float32)
