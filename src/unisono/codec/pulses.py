"""The harmonic source: where in its cycle the voice is at every sample, and pulses from that.

The phase is a running sum of pitch, so that a rounding error lasts as long as the sum. Voice starts anew after every
stretch without voice, as vocal folds do; there the sum starts at 0 again. Thus a piece of sound knows its phase without
all that came before, and what is far away in time cannot shift it.

Axes: B batch, M mel frames (100 a second), N = M·hop samples.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional

UNVOICED = 0.1  # voicing under which pulses are 20 dB down: a restart there is not heard
TOP = 0.48  # of the sampling rate: the highest harmonic


class Anchor(NamedTuple):
    """A place where the phase is known: before sample `at` (at a frame's start) it is `phase` [B] in cycles."""

    at: int
    phase: torch.Tensor


class Track(NamedTuple):
    """Phase after each sample [B, N] in cycles (only its fraction counts), the last restart at or before each sample
    int64 [B, N] (-1 = none), and pitch at each sample [B, N] in Hz; all but the restarts float64."""

    phase: torch.Tensor
    since: torch.Tensor
    pitch: torch.Tensor


def restarts(voicing: torch.Tensor) -> torch.Tensor:
    """Frames [B, M] at whose start the phase is 0: the first and the last of every stretch without voice."""
    low = voicing < UNVOICED
    after = functional.pad(low, (1, 0), value=True)[:, :-1]
    before = functional.pad(low, (0, 1), value=True)[:, 1:]
    return low & ~(after & before)


def phase_track(f0: torch.Tensor, restart: torch.Tensor, hop: int, sample_rate: int, anchor: Anchor | None) -> Track:
    """Run the phase over f0 [B, M] in Hz (> 0), interpolated between the frames' centres.

    Args:
        restart: bool [B, M].
        anchor: what is known of the phase; None = 0 before the first sample. Restarts before it do not count, and the
            phase before it means nothing where there is one between.
    """
    pitch = functional.interpolate(f0[:, None].double(), scale_factor=hop, mode="linear", align_corners=False)[:, 0]
    cycles = pitch / sample_rate
    total = cycles.cumsum(-1)  # [B, N] after each sample
    at, phase = (0, total.new_zeros(len(f0))) if anchor is None else anchor
    frame = torch.arange(f0.shape[1], device=f0.device)
    since = torch.where(restart & (frame * hop >= at), frame * hop, -1).cummax(-1).values  # [B, M]
    known = (total[:, at] - cycles[:, at] if at < total.shape[1] else total[:, -1]) - phase
    begun = since.clamp_min(0)
    base = torch.where(since < 0, known[:, None], total.gather(1, begun) - cycles.gather(1, begun))
    total -= base.repeat_interleave(hop, -1)
    return Track(total, since.repeat_interleave(hop, -1), pitch)


def pull(track: Track, anchor: Anchor, start: int) -> Track:
    """Bend a track so that it meets a second anchor: by half a cycle at most, spread evenly.

    The bend begins at sample `start`, or where the phase last started anew before the anchor; it stays until the phase
    starts anew again.
    """
    at, phase = anchor
    found = track.phase[:, at - 1] if at else torch.zeros_like(phase)
    missing = (phase - found + 0.5) % 1.0 - 0.5  # [B]
    own = track.since[:, at - 1 : at]
    sample = torch.arange(track.phase.shape[1], device=phase.device)
    start = own.clamp_min(start)
    ramp = ((sample - start + 1) / (at - start).clamp_min(1)).clamp(0, 1)
    return track._replace(phase=track.phase + torch.where(track.since == own, missing[:, None] * ramp, 0.0))


def pulses(track: Track, sample_rate: int) -> torch.Tensor:
    """Band-limited unit-power pulses float32 [B, N].

    The sum of cos(kφ) over all harmonics k below 0.48 of the sampling rate, in its closed (Dirichlet) form; the topmost
    one fades in and out, so that a small change of pitch is a small change of sound.
    """
    # Counted from the pulse, which is where float32 must be exact: the pulse is a quotient of two small sines.
    phase = (2 * math.pi * (track.phase - track.phase.round())).float()
    exact = TOP * sample_rate / track.pitch
    harmonics = torch.floor(exact)
    half = torch.sin(phase / 2)
    near = half.abs() < 1e-4
    count = harmonics.float()
    ratio = torch.sin((count + 0.5) * phase) / (2 * torch.where(near, torch.ones_like(half), half))
    total = torch.where(near, count, ratio - 0.5) + (exact - harmonics).float() * torch.cos((count + 1) * phase)
    return total * torch.sqrt(2 / exact).float()
