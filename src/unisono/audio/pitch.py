"""Fundamental frequency by normalised autocorrelation and a Viterbi path (after Boersma 1993).

Axes: M frames (100 a second, centred as in `mel.py`), Q candidates per frame.
"""

from __future__ import annotations

import numpy as np
import soxr

RATE = 8000
HOP = 80
WINDOW = 480  # 60 ms: three periods of 50 Hz
FFT = 1024
CANDIDATES = 5
UNVOICED_SCORE = 0.45
VOICING_CHANGE = 0.14
OCTAVE_JUMP = 0.35
OCTAVE_COST = 0.01


def pitch(wave: np.ndarray, sample_rate: int, low_hz: float = 60.0, high_hz: float = 450.0) -> np.ndarray:
    """Pitch track float32 [M] in Hz, 0 where unvoiced, M = ceil(N / (sample_rate/100)).

    Args:
        wave: float [N] in [-1, 1].
    """
    frames = -(-len(wave) * 100 // sample_rate)
    low = soxr.resample(wave.astype(np.float32), sample_rate, RATE) if sample_rate != RATE else wave
    side = (WINDOW - HOP) // 2
    low = np.pad(low, (side, frames * HOP + WINDOW))
    windows = np.lib.stride_tricks.sliding_window_view(low, WINDOW)[::HOP][:frames]
    correlation, loud = _correlation(windows, int(RATE / low_hz) + 2)
    lags, scores = _candidates(correlation, int(RATE / high_hz), int(RATE / low_hz))
    return _best_path(lags, scores, loud)


def _correlation(windows: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Normalised autocorrelation [M, lags] corrected for the window, and the relative loudness [M]."""
    shape = np.hanning(WINDOW).astype(np.float32)
    centred = windows - windows.mean(1, keepdims=True)
    energy = np.sqrt((centred**2).mean(1))
    own = np.fft.irfft(np.abs(np.fft.rfft(shape, FFT)) ** 2)[:lags]
    spectrum = np.fft.rfft(centred * shape, FFT)
    raw = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[:, :lags]
    normalised = raw / np.maximum(raw[:, :1], 1e-9) / (own / own[0])
    return normalised.astype(np.float32), energy / max(float(energy.max()), 1e-6)


def _candidates(r: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """The strongest local maxima of r [M, lags]: fractional lags [M, Q] and scores [M, Q]."""
    middle = r[:, first : last + 1]
    before, after = r[:, first - 1 : last], r[:, first + 1 : last + 2]
    peak = (middle > before) & (middle >= after)
    score = np.where(peak, middle - OCTAVE_COST * np.log2(np.arange(first, last + 1) / first), -1.0)
    best = np.argpartition(-score, CANDIDATES, axis=1)[:, :CANDIDATES]
    rows = np.arange(len(r))[:, None]
    a, b, c = before[rows, best], middle[rows, best], after[rows, best]
    curve = a - 2 * b + c
    shift = np.where(np.abs(curve) > 1e-9, 0.5 * (a - c) / np.where(curve == 0, 1, curve), 0.0).clip(-0.5, 0.5)
    return best + first + shift, score[rows, best]


def _best_path(lags: np.ndarray, scores: np.ndarray, loud: np.ndarray) -> np.ndarray:
    """Viterbi over Q voiced states and one unvoiced state; returns Hz [M]."""
    frames, states = lags.shape[0], lags.shape[1] + 1
    if frames == 0:
        return np.zeros(0, np.float32)
    log_lag = np.log2(lags)
    local = np.empty((frames, states))
    local[:, :-1] = scores
    local[:, -1] = UNVOICED_SCORE + np.clip(1.0 - loud / 0.03, 0.0, 1.0)
    total, back = local[0].copy(), np.zeros((frames, states), np.int8)
    change = np.full((states, states), VOICING_CHANGE)
    change[-1, -1] = 0.0
    for m in range(1, frames):
        change[:-1, :-1] = OCTAVE_JUMP * np.abs(log_lag[m - 1][:, None] - log_lag[m][None])
        reach = total[:, None] - change
        back[m] = reach.argmax(0)
        total = reach.max(0) + local[m]
    state, out = int(total.argmax()), np.zeros(frames, np.float32)
    for m in range(frames - 1, -1, -1):
        if state < states - 1:
            out[m] = RATE / lags[m, state]
        state = int(back[m, state])
    return out


def continuous_log_pitch(hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Natural log pitch interpolated through unvoiced frames, and voicing 0/1; both float32 [M].

    Wholly unvoiced input gives log 200 everywhere, never log 0.
    """
    voiced = hz > 0
    if not voiced.any():
        return np.full(len(hz), np.log(200.0), np.float32), np.zeros(len(hz), np.float32)
    index = np.arange(len(hz))
    log_hz = np.interp(index, index[voiced], np.log(hz[voiced]))
    return log_hz.astype(np.float32), voiced.astype(np.float32)
