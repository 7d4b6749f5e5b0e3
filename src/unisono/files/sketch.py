"""A short sketch of a module's weights: whether two checkpoints hold the same module, however they are stored.

A hash of the bytes would change with number format, shards and file order. A sketch is 24 random projections of some
hundred weights: rounding to bfloat16 moves it by about .001, another training run by about 1.4, and the distance
between two sketches estimates the relative distance between the weights (Johnson and Lindenstrauss, 1984).

Axes: K values of a tensor, P projections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import shake_256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unisono.errors import CheckpointError
from unisono.files.checkpoint import INDEX, WEIGHTS, matches, read_index
from unisono.files.tensors import open_tensors

if TYPE_CHECKING:
    import torch

PROJECTIONS = 24
VALUES = 16  # read of every tensor, from its first row
FEWEST_VALUES = 8  # a shorter row says too little
STEP = 1 / 4096  # of a projection, as stored in 16 bits
SAME = 0.05  # relative distance under which two modules are the same; see the module docstring


def sketch_weights(folder: Path, passed_over: Sequence[str] = ()) -> str:
    """The sketch of the weights in a module's folder, 96 hexadecimal digits; "" where there are none.

    Only a few hundred numbers are read, whatever the size of the module.

    Args:
        passed_over: patterns of names that a checkpoint may lack (`Checkpoint.ignored_keys`, `optional_keys`).

    Raises:
        CheckpointError: a damaged file.
    """
    total, count = np.zeros(PROJECTIONS), 0
    for name, values in _samples(folder):
        if matches(name, passed_over):
            continue
        bits = np.unpackbits(np.frombuffer(shake_256(name.encode()).digest(PROJECTIONS * VALUES // 8), np.uint8))
        signs = 2.0 * bits.reshape(PROJECTIONS, VALUES)[:, : len(values)] - 1  # [P, K]
        total += signs @ values
        count += len(values)
    if not count:
        return ""
    levels = np.clip(np.round(total / np.sqrt(count) / STEP), -(2**15), 2**15 - 1)
    return levels.astype(">i2").tobytes().hex()


def same_weights(first: str, second: str) -> bool:
    """Whether two sketches are of the same module. False where one of them is no sketch."""
    a, b = _levels(first), _levels(second)
    return a is not None and b is not None and float(np.sqrt(np.square(a - b).mean())) < SAME


def _levels(sketch: str) -> np.ndarray | None:
    """The projections [P] of a sketch; None for any other string."""
    try:
        content = bytes.fromhex(sketch)
    except ValueError:
        return None
    return np.frombuffer(content, ">i2") * STEP if len(content) == 2 * PROJECTIONS else None


def _samples(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and some values of every weight that has rows, brought to mean square 1."""
    for file_name in _files(folder):
        with open_tensors(folder / file_name) as file:
            for name in file.keys():  # noqa: SIM118  (a safetensors handle is no dict)
                part = file.get_slice(name)
                shape = part.get_shape()
                if len(shape) < 2 or shape[0] < 2 or int(np.prod(shape[1:])) < FEWEST_VALUES:
                    continue
                yield name, _pick(part[0:1])


def _pick(row: torch.Tensor) -> np.ndarray:
    """At most `VALUES` numbers spread over a row, float64 [K], of mean square 1 (or all 0)."""
    flat = row.flatten().double().numpy()
    values = flat[np.unique(np.linspace(0, len(flat) - 1, VALUES).round().astype(np.int64))]
    size = float(np.sqrt(np.square(values).mean()))
    if not np.isfinite(size):
        raise CheckpointError("an encoder's weights hold NaN or infinite numbers: copy it again")
    return values / size if size else values


def _files(folder: Path) -> list[str]:
    """The weight files of a module's folder."""
    if (folder / WEIGHTS).exists():
        return [WEIGHTS]
    return list(read_index(folder)) if (folder / INDEX).exists() else []
