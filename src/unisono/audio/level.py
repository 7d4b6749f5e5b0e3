"""How loud speech is: the root mean square of what sounds, pauses left out."""

from __future__ import annotations

import math

import numpy as np

from unisono.interface import Audio

FRAME_SECONDS = 0.02
LOUD = 95  # percentile of the frames that says how loud the loud ones are
BELOW_LOUD = 25.0  # dB under which a frame counts as a pause


def speech_level(audio: Audio) -> float:
    """Level of the sounding frames in dB, 0 being that of a full-scale square wave; -inf for silence."""
    size = max(round(FRAME_SECONDS * audio.sample_rate), 1)
    samples = np.asarray(audio.samples, np.float64)
    padded = np.pad(samples, (0, -len(samples) % size))
    frames = np.square(padded).reshape(-1, size).mean(1)
    loud = np.percentile(frames, LOUD) if len(frames) else 0.0
    if loud <= 0:
        return -math.inf
    return 10 * math.log10(frames[frames >= loud * 10 ** (-BELOW_LOUD / 10)].mean())
