"""Spectrograms as plain pictures: one column per 10 ms, so that the page can lay a ruler of seconds over them.

Axes: M frames, F mel bands.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unisono.audio import resample
from unisono.audio.cepstra import mel_spectrum
from unisono.interface import Audio

RATE = 24000
WINDOW, HOP, BANDS = 1024, 240, 64
HZ = (0.0, 12000.0)
FLOOR = 1e-8
RANGE_DB = 75.0  # from black to white
STRETCH = 2  # pixel rows per band


def save_spectrogram(path: Path, audio: Audio) -> None:
    """Write the mel spectrum of mono samples [N] as a PNG of M columns and STRETCH·F rows, low frequencies below."""
    from matplotlib.image import imsave

    samples = resample(audio, RATE).samples
    mel = mel_spectrum(samples, RATE, WINDOW, HOP, BANDS, HZ, FLOOR)
    mel = mel[WINDOW // 2 // HOP : -(WINDOW // HOP) or None]  # without the silence that was added
    loudest = max(float(mel.max()), -RANGE_DB)
    picture = np.repeat(mel.T, STRETCH, axis=0)
    imsave(path, picture, vmin=loudest - RANGE_DB, vmax=loudest, cmap="magma", origin="lower", format="png")
