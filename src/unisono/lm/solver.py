"""Following a velocity field from noise to data.

A solver is a record of two plain functions: which times it will ask for, and the walk itself. The walk sees the
velocity as a callable of an index into those times, so that whatever depends on time alone can be computed before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

Velocity = Callable[[int, torch.Tensor], torch.Tensor]
Correction = Callable[[float, torch.Tensor], torch.Tensor]


def euler(
    velocity: Velocity, x: torch.Tensor, grid: Sequence[float], correct: Correction | None = None
) -> torch.Tensor:
    """Explicit Euler: x ← x + (t[i+1] − t[i]) · v(x, t[i]).

    Args:
        velocity: (i, x) -> velocity at time grid[i], same shape as x.
        x: the starting point, any shape.
        grid: N + 1 increasing times.
        correct: (t, x) -> x, applied after each step at the time just reached; see `hold_forced`.
    """
    for index in range(len(grid) - 1):
        x = torch.add(x, velocity(index, x), alpha=grid[index + 1] - grid[index])
        if correct is not None:
            x = correct(grid[index + 1], x)
    return x


@dataclass(frozen=True)
class Solver:
    """`nodes`: grid of N + 1 times -> the times at which velocities are needed; `run`: the walk, as `euler`."""

    nodes: Callable[[Sequence[float]], tuple[float, ...]]
    run: Callable[..., torch.Tensor]


SOLVERS: Mapping[str, Solver] = {"euler": Solver(nodes=lambda grid: tuple(grid[:-1]), run=euler)}


def hold_forced(noise: torch.Tensor, forced: Mapping[int, torch.Tensor]) -> Correction:
    """A correction that keeps blocks of the vector on the straight line to given values.

    Args:
        noise: [M, X], the starting point. forced: first column of a block -> its values at time 1, [M, width].

    Returns:
        (t, x) -> x with each block replaced by (1 − t) · noise + t · value (spec section 11).
    """

    def correct(time: float, x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        for start, value in forced.items():
            block = slice(start, start + value.shape[-1])
            x[:, block] = (1 - time) * noise[:, block] + time * value
        return x

    return correct
