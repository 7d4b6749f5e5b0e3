"""Token ids, positions and alignment scores of a whole corpus, as one safetensors file.

Axes: A all tokens of all clips, one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unisono.train.corpus import Clip


@dataclass
class Marks:
    """`ids` and `places` (1-based frames) [A], `starts` [clips + 1], `scores` [clips]: mean log-probability a token."""

    ids: np.ndarray
    places: np.ndarray
    starts: np.ndarray
    scores: np.ndarray
    threshold: float = -6.0

    @classmethod
    def load(cls, path: Path) -> Marks:
        """Read what `save` wrote. Raises CheckpointError for a damaged file."""
        from unisono.files import load_tensors

        tensors, _ = load_tensors(path)
        return cls(**{name: value.numpy() for name, value in tensors.items()})

    def save(self, path: Path) -> None:
        """Write one file, atomically."""
        from unisono.files import save_tensors

        names = ("ids", "places", "starts", "scores")
        save_tensors(path, {name: torch.from_numpy(getattr(self, name)) for name in names}, {})

    def span(self, clip: Clip) -> slice:
        """Where a clip's tokens lie."""
        return slice(int(self.starts[clip.index]), int(self.starts[clip.index + 1]))

    def positions(self, clip: Clip) -> np.ndarray:
        """1-based frames [T] of a clip's tokens."""
        return self.places[self.span(clip)].astype(np.int64)

    def tokens(self, clip: Clip) -> np.ndarray:
        """Token ids [T] of a clip."""
        return self.ids[self.span(clip)].astype(np.int64)

    def good(self, clips: list[Clip]) -> list[Clip]:
        """Clips that were aligned, with a score that a right pair of text and sound gets."""
        return [
            c
            for c in clips
            if self.starts[c.index + 1] > self.starts[c.index] and self.scores[c.index] > self.threshold
        ]
