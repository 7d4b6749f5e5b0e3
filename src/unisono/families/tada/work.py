"""A text on its way to speech as a conversation: it asks for plans to be run and gets their slots (TADA).

Who runs them decides whether it is alone (`alone`, `heard`) or among others (`engine.Engine`); what is said is
the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeVar

import torch

from unisono.families.tada.generate import finish, generate_slots, start, step
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.plan import Plan, Slots, speed_plan
from unisono.families.tada.state import Observer, State
from unisono.interface import Speech
from unisono.lm.draws import Draws

T = TypeVar("T")


class Task(NamedTuple):
    """A plan to be run. `hear` is called with the state after every step, for who wants the sound while it is made."""

    plan: Plan
    draws: Draws
    watch: Observer | None = None
    hear: Callable[[State], None] | None = None


Work = Generator[Task | None, Slots, T]
"""Yields tasks and gets their slots; None lets others take what was made so far, before something is waited for."""


def passes(model: TadaForCausalLM, task: Task) -> Work[Slots]:
    """The slots of a plan, and with a speed factor those of the second pass; only the last pass is heard."""
    if task.plan.options.speed_up_factor is not None:
        slots = yield task._replace(hear=None)
        with torch.inference_mode():
            task = task._replace(plan=speed_plan(model, task.plan, slots))
    return (yield task)


def alone(model: TadaForCausalLM, work: Work[T]) -> T:
    """Do some work by itself; nobody hears it before it is done."""
    slots = None
    try:
        while True:
            task = work.send(slots)
            slots = None if task is None else generate_slots(model, task.plan, task.draws, observer=task.watch)
    except StopIteration as end:
        return end.value


def heard(model: TadaForCausalLM, work: Work[None], pieces: deque[Speech]) -> Iterator[Speech]:
    """Do some work by itself, and hand out the pieces of sound that it puts into `pieces` as soon as they are there."""
    slots = None
    while True:
        try:
            task = work.send(slots)
        except StopIteration:
            break
        yield from _taken(pieces)
        slots = None
        if task is not None:
            for state in _states(model, task):
                if task.hear is not None:
                    task.hear(state)
                yield from _taken(pieces)
            slots = finish(task.plan, state)
    yield from _taken(pieces)


@torch.inference_mode()
def _states(model: TadaForCausalLM, task: Task) -> Iterator[State]:
    """The state after the prefill and after every step."""
    state = start(model, task.plan, model.runner(), task.draws, task.watch)
    yield state
    while state.position < state.steps:
        yield step(model, task.plan, state, task.watch)


def _taken(pieces: deque[Speech]) -> Iterator[Speech]:
    while pieces:
        yield pieces.popleft()
