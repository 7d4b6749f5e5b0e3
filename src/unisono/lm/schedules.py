"""When the flow is evaluated, and how strongly it is guided at each time (TADA, spec section 11).

Flow time runs from 0 (noise) to 1 (data). Names that are not listed behave as "uniform" and "constant", as in the
published code; whoever takes a name from a user checks it against the tuples below first.
"""

from __future__ import annotations

import math

import torch

TIME_SCHEDULES = ("uniform", "cosine", "logsnr")
CFG_SCHEDULES = ("constant", "linear", "cosine")
LOGSNR_RANGE = 5.0  # the schedule spans log signal-to-noise ratios from -5 to +5


def time_grid(name: str, steps: int) -> torch.Tensor:
    """Flow times float32 [steps + 1], from exactly 0 to exactly 1. Raises ValueError below one step."""
    if steps < 1:
        raise ValueError(f"{steps} flow steps, expected at least 1")
    if name == "cosine":
        return (1 - torch.cos(math.pi * torch.linspace(0, 1, steps + 1))) / 2
    if name == "logsnr":
        grid = torch.sigmoid(-torch.linspace(LOGSNR_RANGE, -LOGSNR_RANGE, steps + 1) / 2)
        grid[0], grid[-1] = 0.0, 1.0
        return grid
    return torch.linspace(0, 1, steps + 1)


def guidance_scale(name: str, base: float, time: float) -> float:
    """Guidance strength at a flow time; 1 means no guidance, and a base of 1 stays 1."""
    if base == 1.0:
        return 1.0
    if name == "linear":
        return 1 + (base - 1) * (1 - time)
    if name == "cosine":
        return 1 + (base - 1) * (1 + math.cos(math.pi * time)) / 2
    return base
