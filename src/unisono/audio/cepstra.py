"""Mel spectra in dB and their cosine transform, in NumPy: what statistics of a sound are made of.

Axes: N samples, M frames, F mel bands.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def mel_spectrum(
    samples: np.ndarray, rate: int, window: int, hop: int, bands: int, hz: tuple[float, float], floor: float
) -> np.ndarray:
    """Power in mel bands, [M, F] in dB, of samples [N]; one window of silence is added on either side.

    Args:
        rate: Hz. window, hop: samples. hz: lower edge of the first and upper edge of the last band.
        floor: added to every power.
    """
    padded = np.pad(samples, window)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]  # [M, window]
    power = np.abs(np.fft.rfft(pieces * np.hanning(window))) ** 2
    return 10 * np.log10(power @ _triangles(rate, power.shape[1], bands, *hz).T + floor)


@lru_cache(maxsize=8)
def _triangles(rate: int, bins: int, bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Triangular filters [F, bins] of peak 1."""
    edges = _edges(bands, low_hz, high_hz)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hz = np.linspace(0, rate / 2, bins)
    return np.maximum(0, np.minimum((hz - left) / (middle - left), (right - hz) / (right - middle)))


def band_centres(bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Hz of the peaks of the filters, [F]."""
    return _edges(bands, low_hz, high_hz)[1:-1]


def _edges(bands: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Hz, [F + 2]: each band begins at one, peaks at the next and ends at the one after; equal steps in HTK's mel."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (low_hz, high_hz))
    return 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)


def loud_frames(mel: np.ndarray, least: float) -> np.ndarray:
    """Which frames [M] of a spectrum [M, F] in dB have more than the part `least` of the loudest one's power."""
    power = (10 ** (mel / 10)).sum(1)
    return power > power.max() * least


def cepstra(mel: np.ndarray, first: int, last: int) -> np.ndarray:
    """Cosine transform [M, last - first + 1] of spectra [M, F]: coefficients `first` to `last`, orthonormal for > 0."""
    bands = mel.shape[1]
    angles = np.pi * np.arange(first, last + 1)[:, None] * (np.arange(bands) + 0.5) / bands
    return mel @ (np.cos(angles) * np.sqrt(2 / bands)).T
