"""Durations as Gray-coded bits of −1 and +1, most significant first (TADA, spec section 8).

Axes: b bits of one duration; `...` any leading axes. Durations are counted in frames of 1/50 s.
"""

from __future__ import annotations

import numpy as np
import torch

SHIFTS = (1, 2, 4, 8, 16)  # that undo the code, one after the other


def bit_width(classes: int) -> int:
    """Bits that hold durations 0 .. classes − 1: ceil(log2(classes)). Raises ValueError below two classes."""
    if classes < 2:
        raise ValueError(f"{classes} duration classes, expected at least 2")
    return (classes - 1).bit_length()


def encode_gray(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Durations [...] -> float32 [..., b] of −1 and +1; values outside 0 .. 2^b − 1 are clamped."""
    clamped = values.long().clamp(0, 2**bits - 1)
    gray = clamped ^ (clamped >> 1)
    shifts = torch.arange(bits - 1, -1, -1, device=values.device)
    return (((gray[..., None] >> shifts) & 1) * 2 - 1).float()


def digits(soft: torch.Tensor) -> torch.Tensor:
    """Soft bits -> int64 digits of the same shape: nearest integer of (x + 1) / 2, ties to even, not clamped."""
    return torch.round((soft + 1) / 2).long()


def decode_gray(soft: torch.Tensor) -> torch.Tensor:
    """Soft bits [..., b] -> durations int64 [...].

    Digits are not clamped, as published: beyond ±2 they corrupt their neighbours and may leave the class range, so
    callers clamp the result (spec section 18, quirk 3).
    """
    bits = soft.shape[-1]
    if soft.device.type == "cpu" and soft.dtype == torch.float32:
        return torch.from_numpy(_decoded(soft.detach().numpy()))
    weights = 1 << torch.arange(bits - 1, -1, -1, device=soft.device)
    value = (digits(soft) * weights).sum(-1)
    for shift in SHIFTS:
        value = value ^ (value >> shift)
    return value


def _decoded(soft: np.ndarray) -> np.ndarray:
    """`decode_gray` in NumPy: the same numbers in a fifth of the time."""
    with np.errstate(invalid="ignore"):
        value = np.rint((soft + 1) / 2).astype(np.int64) @ (1 << np.arange(soft.shape[-1] - 1, -1, -1))
    for shift in SHIFTS:
        value = value ^ (value >> shift)
    return np.asarray(value)
