"""Where a recording is silent: the pauses that word times are bounded by.

Axes: N samples, E energy frames of 10 ms. Times are seconds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unisono.interface import Audio

HOP_SECONDS = 0.01
SHORTEST_PAUSE = 0.15  # the closure of a stop consonant is shorter, and belongs to its word
FLOOR_PART = 0.4  # threshold, as a part of the way from the noise floor to the loud frames, in dB
DEEPEST_DB = 40.0  # ... but never further below the loud frames: silence may be digital zero
QUIETEST_DB = -100.0


class Pause(NamedTuple):
    """Silence from `start` to `end` in seconds."""

    start: float
    end: float


def energy_db(audio: Audio) -> np.ndarray:
    """Energy in dB of frames of 30 ms every 10 ms, float64 [E]; frame e is centred on second e * 0.01 + 0.005.

    The first difference lifts fricatives, which are soft but speech, above hum, which is loud but silence.
    """
    samples = np.asarray(audio.samples, dtype=np.float32)
    if not len(samples):
        return np.zeros(0)
    bright = np.diff(samples, prepend=samples[:1])
    hops = math.ceil(len(samples) / (audio.sample_rate * HOP_SECONDS))
    edges = np.minimum(np.round(np.arange(hops) * HOP_SECONDS * audio.sample_rate), len(samples) - 1).astype(np.int64)
    power = np.add.reduceat(np.square(bright, out=bright), edges).astype(np.float64)  # [E] sums over a hop
    power /= np.diff(edges, append=len(samples))
    around = np.convolve(np.pad(power, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")  # [E]
    return 10 * np.log10(around * (audio.sample_rate / 16000) ** 2 + 10 ** (QUIETEST_DB / 10))


def find_pauses(audio: Audio, shortest: float = SHORTEST_PAUSE) -> list[Pause]:
    """All silences of at least `shortest` seconds, in order; [] for a sound without loud and soft parts."""
    return silences(energy_db(audio), len(audio.samples) / audio.sample_rate, shortest)


def silences(level: np.ndarray, seconds: float, shortest: float = SHORTEST_PAUSE) -> list[Pause]:
    """As `find_pauses`, from the energy [E] of a sound of `seconds`; what is loud and soft is judged by these alone."""
    if not len(level):
        return []
    floor, loud = np.percentile(level, [5, 95])
    threshold = max(floor + FLOOR_PART * (loud - floor), loud - DEEPEST_DB)
    quiet = np.concatenate([[False], level < threshold, [False]])
    edges = np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2)  # [runs, 2], half-open in frames
    runs = (Pause(float(a * HOP_SECONDS), float(min(b * HOP_SECONDS, seconds))) for a, b in edges)
    return [pause for pause in runs if pause.end - pause.start >= shortest]
