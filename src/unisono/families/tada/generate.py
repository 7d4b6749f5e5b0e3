"""The generation loop of TADA as small functions over an explicit state (spec sections 13.5 to 13.7, 15).

Axes: B rows, V branches of each row (positive, negative, text-only; branch-major where flattened), N ids, S shift,
P prompt columns, A acoustic width, X = A + 2b flowing width, H hidden width, K candidates.

A `Plan` holds what is known before the first step; `start` makes a `State`; `step` advances it by one position;
`generate_slots` runs them. Batches of equal shape work too; rows of different shapes go through `rows.step_rows`.
"""

from __future__ import annotations

import math

import torch

from unisono.errors import GenerationError
from unisono.families.tada.choices import choose_text, keep_time, solve
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.plan import Plan, Slots
from unisono.families.tada.prompt import read_inputs
from unisono.families.tada.state import Observer, Prefilled, State, Stepped
from unisono.families.tada.timing import Timer
from unisono.lm.backbone import Backbone
from unisono.lm.draws import Draws

CHECK_EVERY = 32  # steps between looks at the finite flags where looking stalls an accelerator


def start(
    model: TadaForCausalLM, plan: Plan, backbone: Backbone, draws: Draws, observer: Observer | None = None
) -> State:
    """Run the prefill and stand before the first single step."""
    batch, shift, length = plan.batch, model.config.shift_acoustic, plan.prefill
    read = read_inputs(plan.tables, length, shift)
    tokens = model.model.embed_tokens(plan.shown_ids[:, :length])
    embeds = tokens + model.sound_embeddings(read.vectors, read.masks, read.before, read.after)
    past = embeds if plan.silence is None else torch.cat([embeds, tokens + plan.silence[:, None]])
    rows = torch.arange(batch, device=embeds.device)
    # The negative branch continues the positive past (spec section 18, quirk 5).
    branches = [
        rows,
        *([rows] if plan.options.negative_row else []),
        *([rows + batch] if plan.silence is not None else []),
    ]
    hidden, cache = backbone.start(past, torch.cat(branches), plan.steps, plan.shared)
    if observer is not None:
        observer(Prefilled(plan.shown_ids, embeds, hidden.unflatten(0, (-1, batch))))
    nothing = plan.raw_ids.new_zeros(batch)
    state = State(
        position=length,
        steps=plan.steps,
        branch_ids=plan.branch_ids,
        cache=cache,
        backbone=backbone,
        draws=draws,
        vector=plan.tables.vectors.new_zeros(batch, model.config.acoustic_dim),
        mask=nothing,
        before=nothing,
        after=nothing,
        prompt_hidden=hidden[:batch] if plan.options.negative_condition_source == "prompt" else None,
        timers=[Timer(tempo) for tempo in plan.tempos],
    )
    for slot in range(length - shift):
        _record(model, plan, state, slot)
    return state


def step(model: TadaForCausalLM, plan: Plan, state: State, observer: Observer | None = None) -> State:
    """Run one position: read, solve for a vector, choose a text token where none is known, record a slot.

    Raises:
        GenerationError: a value that is not finite.
    """
    position, slot = state.position, state.position - model.config.shift_acoustic
    ids = state.branch_ids[:, :, position]
    tokens = model.model.embed_tokens(ids)  # [V, B, H]
    sound = model.sound_embeddings(state.vector, state.mask, state.before, state.after)
    if plan.silence is None:
        embeds = tokens + sound
    else:
        embeds = tokens + torch.stack([sound] * (plan.branches - 1) + [plan.silence])
    hidden = state.backbone.step(embeds.flatten(0, 1), state.cache).view(embeds.shape)
    seen = Stepped(position, ids, state.vector, state.mask, state.before, state.after, hidden)
    if solves(plan, slot):
        seen = solve(model, plan, state, seen)
    return complete(model, plan, state, seen, observer)


def solves(plan: Plan, slot: int) -> bool:
    """Whether a step that makes this slot draws and solves."""
    return plan.draw_all or not _given(plan, slot)


def complete(
    model: TadaForCausalLM, plan: Plan, state: State, seen: Stepped, observer: Observer | None = None
) -> State:
    """All of a step that follows the solve: gaps, text, looking at the values, recording. Raises like `step`."""
    position, slot = state.position, state.position - model.config.shift_acoustic
    if seen.drawn is not None and state.timers and slot >= 0:
        seen = keep_time(model, plan, state, seen, slot)
    if position >= state.branch_ids.shape[2] - 1 and (plan.draw_all or position < state.steps - 1):
        seen = choose_text(model, plan, state, seen)
    if observer is not None:
        observer(seen)
    _check_finite(state, seen, last=position == state.steps - 1)
    if slot >= 0:
        _record(model, plan, state, slot, seen)
    state.position += 1
    return state


@torch.inference_mode()
def generate_slots(
    model: TadaForCausalLM,
    plan: Plan,
    draws: Draws,
    *,
    backbone: Backbone | None = None,
    observer: Observer | None = None,
) -> Slots:
    """Run a plan to its end."""
    state = start(model, plan, backbone or model.runner(), draws, observer)
    while state.position < state.steps:
        step(model, plan, state, observer)
    return finish(plan, state)


def finish(plan: Plan, state: State) -> Slots:
    """The slots of a state, with the last duration repeated. Raises GenerationError when there is no slot yet."""
    if not state.vectors:
        raise GenerationError(f"{plan.steps} steps end before the first sound: give a longer text or more steps")
    before = torch.stack([*state.befores, state.befores[-1]], 1)
    raw = torch.cat([plan.raw_ids, *(token[:, None] for token in state.sampled)], 1)
    return Slots(torch.stack(state.vectors, 1), before, state.branch_ids[0, :, 1:], raw)


def _given(plan: Plan, slot: int) -> bool:
    """Whether nothing of what a step solves for will be used."""
    return slot < 0 or (slot < plan.tables.width and slot + 1 < plan.tables.times)


def _record(model: TadaForCausalLM, plan: Plan, state: State, slot: int, seen: Stepped | None = None) -> None:
    """Keep a slot and make it what the next step reads: the prompt's columns where there are any, else the model's.

    A forced gap beyond the model's classes is kept as it is; what reads it clamps it (`sound_embeddings`).
    """
    tables = plan.tables
    if slot < tables.width:
        state.vector, state.mask = tables.vectors[:, slot], tables.masks[:, slot]
    else:
        width = tables.vectors.shape[-1]
        state.vector, state.mask = seen.chosen[:, :width], torch.ones_like(state.mask)
    if slot + 1 < tables.times:
        state.before, state.after = tables.before[:, slot + 1], tables.after[:, slot + 1]
        spoken = state.before
    elif seen.gaps is None:
        state.before, state.after = seen.drawn.unbind(-1)
        spoken = state.before
    else:
        spoken, _, state.before, state.after = seen.gaps.unbind(-1)
    state.vectors.append(state.vector)
    state.befores.append(spoken)


def _check_finite(state: State, seen: Stepped, last: bool) -> None:
    """Raise GenerationError for the first step whose values are not finite; a sum is finite only if all parts are."""
    made = seen.hidden if seen.solved is None else seen.solved
    total = made.sum(dtype=torch.float32)
    if made.device.type == "cpu" and math.isfinite(total.item()):
        return
    state.unchecked.append(total)
    if made.device.type != "cpu" and not last and len(state.unchecked) < CHECK_EVERY:
        return  # looking would wait for the accelerator
    finite = torch.stack(state.unchecked).isfinite().tolist()
    if not all(finite):
        raise GenerationError(
            f"step {seen.position - len(finite) + 1 + finite.index(False)} made a value that is not a finite number: "
            "the weights or the voice are damaged, or the number format is too small for this model"
        )
    state.unchecked.clear()
