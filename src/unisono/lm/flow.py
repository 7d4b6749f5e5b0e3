"""From noise to one vector per row, with guidance, at one network evaluation per step (TADA, spec section 11).

Axes: B rows of a batch, K candidates, M = K·B rows in candidate-major order, S evaluation times, C head width,
X vector width, A its acoustic part; the rest are duration bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from unisono.lm.fused_head import FusedHead
from unisono.lm.head import FlowHead, HeadModulation, Modulation
from unisono.lm.schedules import guidance_scale, time_grid
from unisono.lm.solver import SOLVERS, Velocity, hold_forced


@dataclass(frozen=True)
class FlowRecipe:
    """How a vector is solved: what is fixed for a whole call.

    Attributes:
        acoustic_dim: A; guidance may differ between the first A entries and the rest.
        steps, time_schedule, cfg_schedule, solver: see `schedules` and `solver`.
        acoustic_scale, duration_scale: guidance strengths. Where the scheduled acoustic strength is exactly 1 the
            condition alone is evaluated and duration guidance is ignored (spec section 18, quirk 4).
    """

    acoustic_dim: int
    steps: int = 20
    time_schedule: str = "logsnr"
    cfg_schedule: str = "cosine"
    acoustic_scale: float = 1.6
    duration_scale: float = 1.0
    solver: str = "euler"


@dataclass(frozen=True)
class FlowTable:
    """A recipe worked out for one head: everything that does not depend on the condition.

    Attributes:
        grid: N + 1 times.
        embeddings: [S, C], the embedded evaluation times.
        weights: per evaluation time, guidance strength per entry [X], or None where only the condition is evaluated.
        solver: key of `SOLVERS`.
    """

    grid: tuple[float, ...]
    embeddings: torch.Tensor
    weights: tuple[torch.Tensor | None, ...]
    solver: str

    @property
    def guided(self) -> bool:
        """Whether any step needs the negative condition."""
        return any(weight is not None for weight in self.weights)


def flow_table(head: FlowHead | FusedHead, recipe: FlowRecipe) -> FlowTable:
    """Work out a recipe for a head. Raises ValueError for an unknown solver or fewer than one step."""
    if recipe.solver not in SOLVERS:
        raise ValueError(f"unknown solver {recipe.solver!r}, expected one of {', '.join(SOLVERS)}")
    grid = tuple(time_grid(recipe.time_schedule, recipe.steps).tolist())
    nodes = SOLVERS[recipe.solver].nodes(grid)
    scales = [
        (
            guidance_scale(recipe.cfg_schedule, recipe.acoustic_scale, time),
            guidance_scale(recipe.cfg_schedule, recipe.duration_scale, time),
        )
        for time in nodes
    ]
    weights = tuple(guidance_weights(head, acoustic, duration, recipe.acoustic_dim) for acoustic, duration in scales)
    return FlowTable(grid, head.t_embedder(torch.tensor(nodes, device=head.like.device)), weights, recipe.solver)


def guidance_weights(
    head: FlowHead | FusedHead, acoustic: float, duration: float, acoustic_dim: int
) -> torch.Tensor | None:
    """Guidance strength per entry [X] of a head's vectors, or None at an acoustic strength of 1."""
    if acoustic == 1.0:
        return None
    split = [acoustic] * acoustic_dim + [duration] * (head.latent - acoustic_dim)
    return torch.tensor(split, device=head.like.device, dtype=head.like.dtype)


def solve_flow(
    head: FlowHead | FusedHead,
    table: FlowTable,
    noise: torch.Tensor,
    condition: torch.Tensor,
    negative: torch.Tensor | None = None,
    forced: Mapping[int, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Solve the flow for M rows.

    Args:
        head, table: the network and the recipe worked out for it.
        noise: [M, X], the starting points, already scaled.
        condition: [M, C]. negative: [M, C], needed when the table is guided.
        forced: first column of a block -> values [M, width] the block must reach (duration bits).

    Returns:
        [M, X].
    """
    velocity = guided_velocity(head, table, condition, negative)
    correct = hold_forced(noise, forced) if forced else None
    return SOLVERS[table.solver].run(velocity, noise, table.grid, correct)


def guided_velocity(
    head: FlowHead | FusedHead, table: FlowTable, condition: torch.Tensor, negative: torch.Tensor | None = None
) -> Velocity:
    """The velocity at the table's evaluation times: v_neg + s · (v_pos − v_neg), or v_pos where there is no guidance.

    Returns:
        (index of the evaluation time, x [M, X]) -> [M, X].
    """
    rows = condition.shape[0]
    both = condition if negative is None or not table.guided else torch.cat([condition, negative])
    modulations = head.modulations(both, table.embeddings)

    def velocity(index: int, x: torch.Tensor) -> torch.Tensor:
        weight, modulation = table.weights[index], modulations[index]
        if weight is None:
            plain = modulation if both is condition else _first_rows(modulation, rows)
            return head.velocity(x, plain)
        points = x if rows == 1 else torch.cat([x, x])  # a single point is broadcast over both branches
        positive, unguided = head.velocity(points, modulation).split(rows)
        return torch.lerp(unguided, positive, weight)

    return velocity


def flow_loss(
    velocity: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    target: torch.Tensor,
    times: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Flow-matching error, unreduced, so that the caller weighs acoustic entries, duration bits and rows.

    Args:
        velocity: (x [M, X], times [M], hidden [M, H]) -> [M, X].
        hidden: [M, H], final hidden states; gradients reach the language model.
        target: [M, X], the vectors at time 1. times: [M] in [0, 1]. noise: [M, X], standard normal.

    Returns:
        squared errors [M, X] of the velocity at (1 − t) · noise + t · target, whose true value is target − noise.
    """
    at = times[:, None].to(target)
    point = (1 - at) * noise + at * target
    return (velocity(point, times, hidden) - (target - noise)).square()


def _first_rows(modulation: HeadModulation | torch.Tensor, rows: int) -> HeadModulation | torch.Tensor:
    """The positive branch of a modulation of both branches."""
    if isinstance(modulation, torch.Tensor):
        return modulation[:rows]

    def cut(part: Modulation) -> Modulation:
        return Modulation(*(None if tensor is None else tensor[:rows] for tensor in part))

    return HeadModulation(tuple(cut(layer) for layer in modulation.layers), cut(modulation.final))
