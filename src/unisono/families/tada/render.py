"""From slots to sound (TADA, spec section 14).

Axes: n slots, L frames of 1/50 s, A acoustic width, N samples at 24 kHz.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from unisono.errors import GenerationError
from unisono.families.tada.heads import HOP
from unisono.families.tada.windows import Grid, decode_grid

if TYPE_CHECKING:
    from unisono.families.tada.decoder import Decoder


class Rendered(NamedTuple):
    """`audio` [N] and `positions` int64 [n]: 1-based frames of the slots in it; the first slot is cut away (≤ 0)."""

    audio: torch.Tensor
    positions: torch.Tensor


def slot_frames(before: torch.Tensor, slots: int) -> torch.Tensor:
    """1-based frames int64 [n] of slots before trimming; a slot with before = 0 still takes a frame (quirk 11)."""
    return before[:slots].clamp_min(1).cumsum(0)


def slot_grid(vectors: torch.Tensor, before: torch.Tensor) -> Grid:
    """Put vectors back on the frame grid.

    Args:
        vectors: [n, A], not normalised. before: int64 [≥ n + 1], frames since the slot before; entry n is the
            silence after the last slot, further ones are not read.
    """
    frames = slot_frames(before, len(vectors)).cpu()
    return Grid(vectors, frames - 1, int(frames[-1]) + max(int(before[len(vectors)]), 0))


def expand(vectors: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All frames of `slot_grid`.

    Returns:
        expanded [1, L, A], zeros between slots, and token_masks int64 [1, L], 1 where the vector's norm is not zero.
    """
    grid = slot_grid(vectors, before)
    return grid.expanded(0, grid.length)


def render(decoder: Decoder, vectors: torch.Tensor, before: torch.Tensor) -> Rendered:
    """Decode slots, the first of which is the last prompt token, and cut its silence and its own frame away.

    Raises:
        GenerationError: there is no slot, or the decoder made a value that is not finite.
    """
    if len(vectors) == 0 or len(before) <= len(vectors):
        raise GenerationError(f"{len(vectors)} slots and {len(before)} durations cannot be rendered: need n and n + 1")
    wave = decode_grid(decoder, slot_grid(vectors, before))
    if not bool(torch.isfinite(wave).all()):
        raise GenerationError("the decoder made a value that is not a finite number: the decoder or voice is damaged")
    lead = int(before[0])
    return Rendered(wave[HOP * lead :], slot_frames(before, len(vectors)) - lead)
