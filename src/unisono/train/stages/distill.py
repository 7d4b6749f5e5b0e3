"""Distillation of the flow head: few steps, no guidance, the same sound.

The finished head walks from noise to a vector with guidance in many steps. Each such walk is a pair of ends; the new
head learns the straight way between them (reflow of rectified flow, Liu et al. 2022, with guidance distilled in as
Meng et al. 2022 do). A straight way needs one step, and any larger number ends at the same place. The language model
stays as it is; the new head sees only the hidden state with text, so that speaking needs no second branch.

Axes: B batch, P positions, S chosen states, H hidden width, A vector width, X = A + 2b flowing width.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unisono.lm.flow import FlowRecipe, flow_table, solve_flow
from unisono.train.stages.base import Context, Stage, options_of
from unisono.train.stages.language_model import LanguageModelTask


@dataclass
class Options:
    """What the stage can be told.

    Attributes:
        steps, guidance, duration_guidance, time_schedule, cfg_schedule: the walk that is learnt.
        temperatures, duration_temperatures: range of the scale of the starting noise of vectors and of duration bits.
        start_share: share of the draws that are made at the beginning of the way, where a single step looks.
        half: the finished head walks in bfloat16.
        join, max_tokens: as in the language-model stage; the first part of a sequence is what a voice is in speaking.
    """

    steps: int = 10
    guidance: float = 2.0
    duration_guidance: float = 1.0
    time_schedule: str = "logsnr"
    cfg_schedule: str = "cosine"
    temperatures: tuple[float, float] = (0.0, 0.7)
    duration_temperatures: tuple[float, float] = (0.0, 0.9)
    start_share: float = 0.5
    half: bool = True
    vector_noise: float = 0.2
    join: float = 0.6
    max_tokens: int = 300


class DistillTask:
    """Training of a flow head on the ends of a finished head's walks."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.options = options_of(Options, stage.options, f"options of {stage.folder_name}")
        passages = Stage(
            stage.stage,
            stage.name,
            options={
                "join": self.options.join,
                "max_tokens": self.options.max_tokens,
                "hiding": {"all_text": 0.0, "prefix": 0.0, "suffix": 0.0},
            },
            data=stage.data,
            init=stage.init or "language_model/final",
            batch=stage.batch,
        )
        self.source = LanguageModelTask(context, passages)
        self.model = self.source.module["model"].eval().requires_grad_(False)
        self.module: nn.Module = deepcopy(self.model.prediction_head).requires_grad_(True)
        self.critic = None
        self.hide = context.family.passages.negative_ids
        self.tokenizer = context.tokenizer
        self.seed = context.seed
        recipe = FlowRecipe(
            acoustic_dim=self.model.config.acoustic_dim,
            steps=self.options.steps,
            time_schedule=self.options.time_schedule,
            cfg_schedule=self.options.cfg_schedule,
            acoustic_scale=self.options.guidance,
            duration_scale=self.options.duration_guidance,
        )
        # The finished head walks in the recipe's number format: its many steps are most of the work.
        form = torch.bfloat16 if self.options.half else torch.float32
        self.finished = deepcopy(self.model.prediction_head).to(form)
        self.table = flow_table(self.finished, recipe)

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Sequences of a step with all text shown, and from where on [B] the other branch sees none."""
        batch = self.source.batch(step)
        rng = np.random.default_rng([self.seed, step, 1])
        inside = batch["inside"].sum(1).cpu().numpy()
        cuts = (inside * rng.uniform(0.1, 0.8, len(inside))).astype(np.int64)
        return batch | {"cuts": torch.from_numpy(cuts).to(batch["ids"].device)}

    def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Squared error of the velocity on straight ways, and of one single step."""
        start, end, states = self._ways(batch)
        times = torch.rand(len(start), device=start.device)
        times = torch.where(torch.rand_like(times) < self.options.start_share, torch.zeros_like(times), times)
        point = torch.lerp(start, end, times[:, None])
        velocity = self.module(point, times, self.model.condition(states))
        error = (velocity.float() - (end - start)).square()
        width = self.model.config.acoustic_dim
        first = error[times == 0].detach()
        numbers = {"vector": float(first[:, :width].mean()), "bits": float(first[:, width:].mean())}
        return error.mean(), numbers

    @torch.no_grad()
    def _ways(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Starts [S, X] and ends [S, X] of guided walks, and the hidden states [S, H] with text they belong to."""
        ids, masks = batch["ids"], batch["masks"]
        after_cut = torch.arange(ids.shape[1], device=ids.device)[None] >= batch["cuts"][:, None]
        unread = torch.where(after_cut, self.hide(ids, self.tokenizer), ids)
        noisy = batch["vectors"] + self.options.vector_noise * torch.randn_like(batch["vectors"])
        vectors = torch.where((masks > 0)[..., None], noisy, torch.zeros_like(noisy))
        tables = (vectors, masks, batch["before"], batch["after"])
        hidden, other = (
            self.model.forward_train(shown, *tables, with_logits=False)[0].float() for shown in (ids, unread)
        )
        chosen = (batch["time_loss"] > 0) & after_cut
        states, away = hidden[chosen], other[chosen]
        start = torch.randn(len(states), self.model.config.vector_width, device=states.device)
        width = self.model.config.acoustic_dim
        start[:, :width] *= self._scales(len(start), self.options.temperatures, start)
        start[:, width:] *= self._scales(len(start), self.options.duration_temperatures, start)
        conditions = [self.model.condition(hidden).to(self.finished.like) for hidden in (states, away)]
        with torch.autocast(states.device.type, enabled=False):
            end = solve_flow(self.finished, self.table, start.to(self.finished.like), *conditions)
        return start, end.float(), states

    def _scales(self, rows: int, span: tuple[float, float], like: torch.Tensor) -> torch.Tensor:
        """One scale a row [rows, 1]."""
        low, high = span
        return low + (high - low) * torch.rand(rows, 1, device=like.device)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On held-out utterances: the error of a single step, and the share of duration bits that come out other."""
        source, clips = self.source, self.source.held_out[:32]
        layouts = [source.layout(source.passage([clip], True)) for clip in clips]
        batch = source._to_device(layouts)
        batch["cuts"] = batch["inside"].sum(1) // 3
        with torch.random.fork_rng():
            torch.manual_seed(1)
            start, end, states = self._ways(batch)
        width = self.model.config.acoustic_dim
        made = solve_flow(self.module, self._straight(), start, self.model.condition(states))
        wrong = ((made[:, width:] > 0) != (end[:, width:] > 0)).any(1).float().mean()
        error = (made[:, :width] - end[:, :width]).square().mean()
        return {"loss": float(error), "other_durations": float(wrong)}

    def _straight(self) -> Any:
        """The table of one step for the head as it is now."""
        return flow_table(self.module, FlowRecipe(self.model.config.acoustic_dim, 1, "uniform", acoustic_scale=1.0))

    def samples(self, folder: Path, step: int) -> None:
        """Sound needs the whole chain: `unisono say --model RUN/package` after the package stage."""

    def save(self, folder: Path) -> None:
        """Write the language model with the new head."""
        old, self.model.prediction_head = self.model.prediction_head, self.module
        self.model.save_pretrained(folder)
        self.model.prediction_head = old
