"""Following a velocity field from noise to data.

A solver is a record of two plain functions: which times it will ask for, and the walk itself. The walk sees the
velocity as a callable of an index into those times, so that whatever depends on time alone can be computed before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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


def midpoint(
    velocity: Velocity, x: torch.Tensor, grid: Sequence[float], correct: Correction | None = None
) -> torch.Tensor:
    """The velocity half-way through each step: two evaluations a step, second order. Arguments as `euler`."""
    correct = correct or _leave
    for index, (start, end) in enumerate(pairwise(grid)):
        half = correct((start + end) / 2, torch.add(x, velocity(2 * index, x), alpha=(end - start) / 2))
        x = correct(end, torch.add(x, velocity(2 * index + 1, half), alpha=end - start))
    return x


def heun(velocity: Velocity, x: torch.Tensor, grid: Sequence[float], correct: Correction | None = None) -> torch.Tensor:
    """The mean of the velocities at both ends of each step: two evaluations a step, second order. As `euler`."""
    correct = correct or _leave
    for index, (start, end) in enumerate(pairwise(grid)):
        first = velocity(2 * index, x)
        there = correct(end, torch.add(x, first, alpha=end - start))
        x = correct(end, torch.add(x, first + velocity(2 * index + 1, there), alpha=(end - start) / 2))
    return x


def dpm(velocity: Velocity, x: torch.Tensor, grid: Sequence[float], correct: Correction | None = None) -> torch.Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022) on the straight path: one evaluation a step, second order between the ends.

    The end x1 = x + (1 − t) v is extrapolated over λ = ln(t / (1 − t)), half the logarithm of signal to noise,
    and x is carried on exactly under it. The first step (λ = −∞) and the last (λ = +∞) are Euler's.
    """
    before, step_before = None, math.inf
    for index, (start, end) in enumerate(pairwise(grid)):
        there = torch.add(x, velocity(index, x), alpha=1 - start)
        step = _log_ratio(end) - _log_ratio(start)
        target = there
        if before is not None and math.isfinite(step) and math.isfinite(step_before):
            target = torch.lerp(before, there, 1 + step / (2 * step_before))
        keep = (1 - end) / (1 - start)
        x = torch.add(x * keep, target, alpha=end - keep * start)
        before, step_before = there, step
        if correct is not None:
            x = correct(end, x)
    return x


def _leave(time: float, x: torch.Tensor) -> torch.Tensor:
    return x


def _log_ratio(time: float) -> float:
    """λ of a flow time, ±∞ at the ends."""
    if time <= 0 or time >= 1:
        return math.copysign(math.inf, time - 0.5)
    return math.log(time / (1 - time))


@dataclass(frozen=True)
class Solver:
    """`nodes`: grid of N + 1 times -> the times at which velocities are needed; `run`: the walk, as `euler`."""

    nodes: Callable[[Sequence[float]], tuple[float, ...]]
    run: Callable[..., torch.Tensor]


def _starts(grid: Sequence[float]) -> tuple[float, ...]:
    return tuple(grid[:-1])


def _starts_and_middles(grid: Sequence[float]) -> tuple[float, ...]:
    return tuple(time for start, end in pairwise(grid) for time in (start, (start + end) / 2))


def _starts_and_ends(grid: Sequence[float]) -> tuple[float, ...]:
    return tuple(time for pair in pairwise(grid) for time in pair)


SOLVERS: Mapping[str, Solver] = {
    "euler": Solver(_starts, euler),
    "midpoint": Solver(_starts_and_middles, midpoint),
    "heun": Solver(_starts_and_ends, heun),
    "dpm": Solver(_starts, dpm),
}


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
