"""Prepared shards as clips, and batches of similar length in an order that only the seed and the step decide.

Axes: B batch, N samples at 24 kHz, M pitch frames (100 a second).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unisono.errors import DataError

SAMPLE_RATE = 24000
HOP = 480  # samples of one codec frame


@dataclass
class Clip:
    """One clip of a corpus: where its sound lies, and what is known of it."""

    index: int
    audio: str
    shard: int
    offset: int
    samples: int
    pitch_offset: int
    text: str
    speaker: str
    language: str
    split: str

    @property
    def frames(self) -> int:
        """Length in codec frames, rounded up."""
        return -(-self.samples // HOP)


@dataclass
class Corpus:
    """A prepared folder; sounds and pitch tracks are read from memory maps on demand."""

    folder: Path
    clips: list[Clip]
    _maps: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str | Path) -> Corpus:
        """Open what `unisono prepare` wrote. Raises DataError when it is not such a folder."""
        folder = Path(folder)
        try:
            version = json.loads((folder / "corpus.json").read_text())["version"]
            lines = (folder / "clips.jsonl").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder} is no prepared corpus; make one with `unisono prepare`") from error
        if version != 1:
            raise DataError(f"{folder} is a corpus of version {version}, this program reads version 1")
        keys = Clip.__dataclass_fields__.keys() - {"index"}
        rows = [json.loads(line) for line in lines]
        return cls(folder, [Clip(i, **{key: row[key] for key in keys}) for i, row in enumerate(rows)])

    def wave(self, clip: Clip, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Samples [start, stop) of a clip, float32 in [-1, 1]."""
        stop = clip.samples if stop is None else stop
        data = self._map(f"audio-{clip.shard:04d}.i16", np.int16)
        return data[clip.offset + start : clip.offset + stop].astype(np.float32) / 32767

    def pitch(self, clip: Clip) -> np.ndarray:
        """Pitch float32 [M] in Hz, 0 where unvoiced, M = ceil(samples / 240)."""
        frames = -(-clip.samples * 100 // SAMPLE_RATE)
        data = self._map(f"pitch-{clip.shard:04d}.f16", np.float16)
        return data[clip.pitch_offset : clip.pitch_offset + frames].astype(np.float32)

    def _map(self, name: str, dtype: type) -> np.ndarray:
        if name not in self._maps:
            self._maps[name] = np.memmap(self.folder / name, dtype=dtype, mode="r")
        return self._maps[name]


@dataclass
class Selection:
    """Which clips a stage uses and how often: `weights` by speaker (0 leaves a speaker out; the default is "*")."""

    weights: Mapping[str, float] = field(default_factory=dict)
    min_seconds: float = 0.5
    max_seconds: float = 15.0
    split: str = "train"

    def weight(self, speaker: str) -> float:
        """Repeats per epoch of a speaker's clips."""
        return float(self.weights.get(speaker, self.weights.get("*", 1.0)))

    def pick(self, clips: Sequence[Clip]) -> list[Clip]:
        """Clips of the split and lengths wanted whose speaker has weight."""
        low, high = self.min_seconds * SAMPLE_RATE, self.max_seconds * SAMPLE_RATE
        kept = [c for c in clips if c.split == self.split and low <= c.samples <= high and self.weight(c.speaker) > 0]
        if not kept:
            raise DataError(f"no clip of split {self.split!r} is left by the recipe's selection")
        return kept


class BucketedOrder:
    """Batches of similar length, up to `budget` units each, in an endless order fixed by the seed.

    Batch `step` is the same whenever it is asked for, which makes resuming exact.
    """

    def __init__(self, lengths: Sequence[int], weights: Sequence[float], budget: int, seed: int) -> None:
        self.lengths, self.weights = np.asarray(lengths), np.asarray(weights, float)
        self.budget, self.seed = budget, seed
        self._first_step, self._epoch, self._batches = 0, -1, []

    def batch(self, step: int) -> list[int]:
        """Indices of the items in batch `step` (steps may only go forward; a new object starts anywhere)."""
        while step >= self._first_step + len(self._batches):
            self._first_step += len(self._batches)
            self._epoch += 1
            self._batches = self._plan(self._epoch)
        return self._batches[step - self._first_step]

    def _plan(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng([self.seed, epoch])
        whole = np.floor(self.weights).astype(int)
        repeats = whole + (rng.random(len(whole)) < self.weights - whole)
        items = np.repeat(np.arange(len(self.lengths)), repeats)
        # Jitter before sorting: neighbours differ from epoch to epoch while lengths stay close.
        items = items[np.argsort(self.lengths[items] * rng.uniform(0.9, 1.1, len(items)))]
        batches, current, longest = [], [], 0
        for item in items:
            longest = max(longest, int(self.lengths[item]))
            if current and longest * (len(current) + 1) > self.budget:
                batches.append(current)
                current, longest = [], int(self.lengths[item])
            current.append(int(item))
        batches.append(current)
        return [batches[i] for i in rng.permutation(len(batches))]
