"""One step of many generations at once, each at its own position (TADA).

What every row does alone, `generate.step`, is done for all of them here with one product where it takes weights: the
language model's step, the flow. Plans, draws, gaps and text stay each row's own: a row is what it would be alone.

Axes: R rows, V branches of a row, K candidates, A acoustic width, X flowing width, H hidden width.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch

from unisono.errors import GenerationError
from unisono.families.tada import choices
from unisono.families.tada.generate import complete, solves, start
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.plan import Plan
from unisono.families.tada.state import Observer, State, Stepped
from unisono.lm.draws import Draws
from unisono.lm.gray import decode_gray
from unisono.lm.rows import RowCache


@dataclass(eq=False)
class Row:
    """A generation among others: its plan and state, the slot of its cache, who watches it, and what went wrong."""

    plan: Plan
    state: State
    slot: int
    watch: Observer | None = None
    error: GenerationError | None = None

    @property
    def done(self) -> bool:
        """Whether it has no step left."""
        return self.error is not None or self.state.position >= self.state.steps


class Rows:
    """Generations that step together; rows join and leave between steps."""

    def __init__(self, model: TadaForCausalLM) -> None:
        self.model, self.backbone = model, model.plain_runner()
        self.caches: dict[int, RowCache] = {}  # by branches
        self.rows: list[Row] = []

    @torch.inference_mode()
    def join(self, plan: Plan, draws: Draws, watch: Observer | None = None) -> Row:
        """Run a plan's prefill and let it step with the others. Raises GenerationError like `generate.start`."""
        state = start(self.model, plan, self.backbone, draws, watch)
        cache = self.caches.setdefault(plan.branches, RowCache(self.backbone, plan.branches))
        row = Row(plan, state, cache.join(state.cache), watch)
        state.cache = None
        self.rows.append(row)
        return row

    def leave(self, row: Row) -> None:
        """Let a row go, at its end or before."""
        self.rows.remove(row)
        self.caches[row.plan.branches].leave(row.slot)

    @torch.inference_mode()
    def step(self, resting: Collection[Row | None] = ()) -> list[Row]:
        """One position of every row but those that rest; the rows that are done now, which have left."""
        rows = [row for row in self.rows if row not in resting]
        for branches in sorted({row.plan.branches for row in rows}):
            self._step([row for row in rows if row.plan.branches == branches], self.caches[branches])
        gone = [row for row in rows if row.done]
        for row in gone:
            self.leave(row)
        return gone

    def _step(self, rows: Sequence[Row], cache: RowCache) -> None:
        """One position of rows with equally many branches."""
        states, shift = [row.state for row in rows], self.model.config.shift_acoustic
        ids = torch.stack([state.branch_ids[:, 0, state.position] for state in states])  # [R, V]
        vectors, masks, before, after = (
            torch.cat([getattr(state, name) for state in states]) for name in ("vector", "mask", "before", "after")
        )
        sound = self.model.sound_embeddings(vectors, masks, before, after)  # [R, H]
        embeds = self.model.model.embed_tokens(ids) + sound[:, None]
        for index, row in enumerate(rows):
            if row.plan.silence is not None:  # the last branch hears nothing
                embeds[index, -1] = self.model.model.embed_tokens(ids[index, -1]) + row.plan.silence[0]
        hidden = cache.step(embeds, [row.slot for row in rows])  # [R, V, H]
        seen = [
            Stepped(s.position, s.branch_ids[:, :, s.position], s.vector, s.mask, s.before, s.after, made[:, None])
            for s, made in zip(states, hidden, strict=True)
        ]
        solving = [i for i, row in enumerate(rows) if solves(row.plan, row.state.position - shift)]
        if solving:
            solved = self._solve([rows[i] for i in solving], [seen[i] for i in solving])
            for index, one in zip(solving, solved, strict=True):
                seen[index] = one
        for row, one in zip(rows, seen, strict=True):
            try:
                complete(self.model, row.plan, row.state, one, row.watch)
            except GenerationError as problem:  # of this row alone: the others go on
                row.error = problem

    def _solve(self, rows: Sequence[Row], seen: Sequence[Stepped]) -> list[Stepped]:
        """`choices.solve` of many rows: one walk for all whose recipe is the same."""
        model, made, parts = self.model, list(seen), list(seen)
        groups: dict[object, list[int]] = {}
        for index, row in enumerate(rows):
            made[index] = choices.ask(model, row.plan, row.state, seen[index])
            groups.setdefault(row.plan.options.recipe(model.config.acoustic_dim), []).append(index)
        for indices in groups.values():
            plan, asked = rows[indices[0]].plan, [made[index] for index in indices]
            condition = model.condition(torch.cat([one.condition for one in asked]))
            away = None
            if plan.flow.guided:
                away = model.condition(torch.cat([one.negative for one in asked]))
            noise = torch.cat([one.noise for one in asked])
            solved = choices.solve_flow(plan.head, plan.flow, noise, condition, away)
            for index, part in zip(indices, solved.split([len(one.noise) for one in asked]), strict=True):
                parts[index] = part
        picked = [choices.pick(model, row.plan, *each) for row, *each in zip(rows, made, parts, strict=True)]
        bits = torch.cat([chosen for _, chosen in picked])[:, model.config.acoustic_dim :].unflatten(-1, (2, -1))
        longest = torch.tensor([row.plan.longest or model.config.num_time_classes - 1 for row in rows])
        drawn = decode_gray(bits).clamp_min(0).minimum(longest.to(bits.device)[:, None]).split(1)  # R times [1, 2]
        return [
            replace(one, solved=part, scores=scores, chosen=chosen, drawn=each)
            for one, part, (scores, chosen), each in zip(made, parts, picked, drawn, strict=True)
        ]
