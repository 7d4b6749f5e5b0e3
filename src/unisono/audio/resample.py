"""Changing the sampling rate: the published windowed sinc for models, soxr for everything else.

Axes: N samples, n phases of the kernel, o input samples a phase step.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from unisono.errors import AudioError
from unisono.interface import Audio

if TYPE_CHECKING:
    import torch

WIDTH = 6  # zero crossings of the low-pass on each side
BLOCK = 1 << 21  # samples that are resampled at once
ROLLOFF = 0.99  # cut-off as a part of the lower Nyquist frequency


@lru_cache(maxsize=32)
def sinc_kernel(orig: int, new: int) -> torch.Tensor:
    """The kernels of all phases, float32 [n, 2w + o], computed in float64 (spec/tada.md section 4).

    Args:
        orig, new: rates divided by their greatest common divisor.
    """
    import torch

    base = ROLLOFF * min(orig, new)
    wing = math.ceil(WIDTH * orig / base)
    tap = torch.arange(-wing, wing + orig, dtype=torch.float64) / orig  # [2w + o]
    phase = torch.arange(new, dtype=torch.float64)[:, None] / new  # [n, 1]
    tau = (base * (tap - phase)).clamp(-WIDTH, WIDTH)
    window = torch.cos(tau * math.pi / (2 * WIDTH)).square()
    return (torch.sinc(tau) * window * (base / orig)).float()


def resample_sinc(x: torch.Tensor, orig: int, new: int) -> torch.Tensor:
    """Resample as the published models' front ends do (spec/tada.md section 4).

    Args:
        x: float [..., N] at `orig` Hz.
        orig, new: rates in Hz.

    Returns:
        [..., ceil(new·N / orig)] at `new` Hz; the same tensor when the rates are equal.

    Raises:
        AudioError: rates that are not positive whole numbers.
    """
    from torch.nn import functional

    if orig != int(orig) or new != int(new) or min(orig, new) < 1:
        raise AudioError(f"cannot resample from {orig} Hz to {new} Hz: rates are positive whole numbers")
    divisor = math.gcd(int(orig), int(new))
    o, n = int(orig) // divisor, int(new) // divisor
    if o == n:
        return x
    kernel = sinc_kernel(o, n).to(x)
    wing = (kernel.shape[-1] - o) // 2
    flat = functional.pad(x.reshape(-1, 1, x.shape[-1]), (wing, wing + o))  # [..., 1, w + N + w + o]
    length = -(-n * x.shape[-1] // o)
    if flat.shape[-1] <= BLOCK:
        phases = functional.conv1d(flat, kernel[:, None], stride=o)  # [..., n, steps]
        return phases.transpose(1, 2).reshape(*x.shape[:-1], -1)[..., :length]
    # In blocks: the product holds every sample as often as kernels overlap.
    steps = (flat.shape[-1] - kernel.shape[-1]) // o + 1
    done = flat.new_empty(len(flat), steps, n)
    for start in range(0, steps, BLOCK // o):
        stop = min(start + BLOCK // o, steps)
        piece = flat[..., start * o : (stop - 1) * o + kernel.shape[-1]]
        done[:, start:stop] = functional.conv1d(piece, kernel[:, None], stride=o).transpose(1, 2)
    return done.reshape(*x.shape[:-1], -1)[..., :length]


def resample(audio: Audio, rate: int) -> Audio:
    """Resample a recording with soxr (high quality); the same object when the rate already fits."""
    import soxr

    if audio.sample_rate == rate:
        return audio
    samples = soxr.resample(np.asarray(audio.samples, np.float32), audio.sample_rate, rate, quality="HQ")
    return Audio(samples, rate)
