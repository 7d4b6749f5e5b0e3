"""How a sound differs from a recording: long-term spectrum, cepstra and mel spectrum after time warping.

Axes: N samples, M frames, F mel bands, C cepstral coefficients; I and J frames of two sounds.
All spectra are in dB. The recipe is that of `judge.py sound`, and its numbers are reproduced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from unisono.audio import resample
from unisono.audio.cepstra import cepstra, loud_frames, mel_spectrum
from unisono.interface import Audio

RATE = 24000
WINDOW, HOP = 1024, 240  # samples; 100 frames a second
BANDS, HIGHEST_HZ = 40, 11500.0
CEPSTRA = 13
THINNING = 2  # every second frame is warped: 50 a second
LOUD = 1e-4  # power of a frame against the loudest one: 40 dB below it is silence
FLOOR = 1e-8
MOST_CELLS = 36_000_000  # of a table of costs: two sounds of 120 s; longer ones are not warped


class Spectrum(NamedTuple):
    """Sum over loud frames of the mel spectrum in dB, float64 [F], and the number of frames; adds up over sounds."""

    total: np.ndarray
    frames: int

    def shape(self) -> np.ndarray:
        """The mean spectrum without its level, [F] in dB."""
        mean = self.total / self.frames
        return mean - mean.mean()


@dataclass(frozen=True)
class Distances:
    """Between a sound and a recording of the same text: dB, dB, dB, and sound's length by recording's length.

    cepstral_db and mel_db are None where the sounds are too long to be warped.
    """

    spectrum_db: float
    cepstral_db: float | None
    mel_db: float | None
    duration_ratio: float


@dataclass(frozen=True)
class Profile:
    """What the distances are computed from: mel spectrum of the loud frames [M, F] in dB, and the length in seconds."""

    mel: np.ndarray
    seconds: float

    def spectrum(self) -> Spectrum:
        """Sum over the frames."""
        return Spectrum(self.mel.sum(0), len(self.mel))


def profile(audio: Audio) -> Profile:
    """Mel spectrum of the frames of a sound that are loud. `audio` has mono float samples [N] at any rate."""
    samples = resample(audio, RATE).samples
    mel = mel_spectrum(samples, RATE, WINDOW, HOP, BANDS, (0.0, HIGHEST_HZ), FLOOR)
    return Profile(mel[loud_frames(mel, LOUD)], len(samples) / RATE)


def compare(sound: Profile, recording: Profile) -> Distances:
    """All distances between a sound and a recording of the same text."""
    spectrum_db = spectrum_distance(sound.spectrum(), recording.spectrum())
    ratio = sound.seconds / recording.seconds
    ours, theirs = sound.mel[::THINNING], recording.mel[::THINNING]
    if len(ours) * len(theirs) > MOST_CELLS:
        return Distances(spectrum_db, None, None, ratio)
    costs = distances(cepstra(ours, 1, CEPSTRA), cepstra(theirs, 1, CEPSTRA)) / np.sqrt(BANDS) * np.sqrt(2)
    path = warp(costs)
    cepstral_db = float(costs[path[:, 0], path[:, 1]].mean())
    apart = (ours - ours.mean())[path[:, 0]] - (theirs - theirs.mean())[path[:, 1]]  # [steps, F]
    return Distances(spectrum_db, cepstral_db, float(np.abs(apart).mean()), ratio)


def spectrum_distance(ours: Spectrum, theirs: Spectrum) -> float:
    """Mean difference in dB between two long-term spectra, whatever their levels."""
    return float(np.abs(ours.shape() - theirs.shape()).mean())


def distances(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Euclidean distances [I, J] between the rows of [I, C] and [J, C]."""
    square = np.zeros((len(ours), len(theirs)))
    for column in range(ours.shape[1]):  # one at a time: all at once need C tables
        square += (ours[:, None, column] - theirs[None, :, column]) ** 2
    return np.sqrt(square)


def warp(costs: np.ndarray) -> np.ndarray:
    """The cheapest way through a table of costs [I, J] from corner to corner: int [steps, 2], pairs of frames.

    Steps are diagonal, down or right; at equal cost in this order of preference. The table of sums is filled along its
    anti-diagonals, whose cells do not depend on each other.
    """
    rows, columns = costs.shape
    sums = np.full((rows + 1, columns + 1), np.inf)
    sums[0, 0] = 0
    came = np.zeros((rows, columns), np.uint8)
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows - 1, diagonal) + 1)
        j = diagonal - i
        before = np.stack([sums[i, j], sums[i, j + 1], sums[i + 1, j]])
        best = before.argmin(0)
        sums[i + 1, j + 1] = before[best, np.arange(len(i))] + costs[i, j]
        came[i, j] = best
    i, j = rows - 1, columns - 1
    path = [(i, j)]
    while i or j:
        step = came[i, j]
        i, j = i - (step != 2), j - (step != 1)
        path.append((i, j))
    return np.array(path[::-1])
