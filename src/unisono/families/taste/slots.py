"""What a TASTE model folder is made of beside the model itself, and what TASTE asks of whatever turns units to sound.

Axes: N samples at 24 kHz, S units (50 a second), E width of a speaker vector.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from unisono.errors import CheckpointError

HEARING_RATE = 24000  # Hz of what units and speaker vectors are made from


class Sound(Protocol):
    """Units and speaker vectors of recordings, and sound from both; made by `sound.load.load_sound`."""

    sample_rate: int

    def units(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [N] -> units int64 [ceil(N / 480)]."""
        ...

    def speaker(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [N] -> speaker vector float32 [E]."""
        ...

    def decode(self, units: torch.Tensor, speaker: torch.Tensor, seed: int = 0) -> torch.Tensor:
        """Units int64 [S] and a speaker vector [E] -> wave float32 [S · sample_rate / 50]."""
        ...


def part_folder(folder: Path, name: str) -> Path:
    """Where a part of a model lies: in its folder, else in the folder above, whose model it then shares parts with.

    Raises:
        CheckpointError: in neither.
    """
    found = next((place / name for place in (folder, folder.parent) if (place / name).is_dir()), None)
    if found is None:
        raise CheckpointError(f"{folder} has no {name}/, and neither has the folder above: it was not copied whole")
    return found
