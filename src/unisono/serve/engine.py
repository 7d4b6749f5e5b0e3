"""What speaks behind the queue: rows that join, advance and leave. The seam to engines that batch.

`scheduler.Scheduler` knows only the protocol `Engine`, all of whose methods are called from its one thread.
`TurnEngine` works over any `SpeechModel`: rows advance one after the other, a piece of `stream()` at a time.
`BatchEngine` works over models that speak many texts at once (`model.engine()`, `model.submit(engine, text, …)`): all
rows advance by one token step together. `make_engine` takes the second where it can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from unisono.interface import Speech, SpeechModel, Voice


class Cancelled(Exception):
    """Nobody waits for this row any more."""


@dataclass(frozen=True)
class Job:
    """Something to speak; options are those of `SpeechModel.say`."""

    text: str
    voice: Voice | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """Other work for the model (a voice, an alignment), which is done at once; its result is the only piece."""

    work: Callable[[SpeechModel], Any]


class Event(NamedTuple):
    """What a step gave a row: a piece (`Speech`, or what a `Call` returned), its end, an error that ends it, or nothing
    but progress."""

    key: int
    piece: Any = None
    done: bool = False
    error: Exception | None = None


class Engine(Protocol):
    """What the scheduler's thread drives."""

    model: SpeechModel

    def join(self, key: int, job: Job | Call, check: Callable[[], None]) -> None:
        """Take in a row. `check` is to be called at every token step and raises `Cancelled` when the row may end.

        What a row is refused for comes as an event of the next step.
        """

    def step(self, keys: Sequence[int]) -> list[Event]:
        """Advance some or all of the rows `keys`, the most deserving first; the others have no room for more sound."""

    def leave(self, key: int) -> None:
        """Drop a row, ended or not."""


class TurnEngine:
    """Rows in turn, over any speech model."""

    def __init__(self, model: SpeechModel) -> None:
        self.model = model
        self._rows: dict[int, Iterator[Any]] = {}

    def join(self, key: int, job: Job | Call, check: Callable[[], None]) -> None:
        """See `Engine`."""
        self._rows[key] = self._work(job, check)

    def step(self, keys: Sequence[int]) -> list[Event]:
        """See `Engine`; it is the first of `keys` that advances."""
        key = keys[0]
        try:
            return [Event(key, next(self._rows[key]))]
        except StopIteration:
            return [Event(key, done=True)]
        except Exception as problem:  # the scheduler sorts out whose fault it is; the thread must live on
            return [Event(key, error=problem)]

    def leave(self, key: int) -> None:
        """See `Engine`."""
        self._rows.pop(key, None)

    def _work(self, job: Job | Call, check: Callable[[], None]) -> Iterator[Any]:
        """The pieces of a job."""
        check()
        if isinstance(job, Call):
            yield job.work(self.model)
            return
        given = {"voice": job.voice, "seed": job.seed, "progress": lambda done, total: check(), **job.options}
        pieces: Iterator[Speech] = (
            self.model.stream(job.text, **given) if self.model.can_stream else iter([self.model.say(job.text, **given)])
        )
        for piece in pieces:
            check()
            yield piece


class BatchEngine:
    """Rows that take their token steps together, over a model with `engine` and `submit`.

    A row that nobody reads from rests. Calls are done one a step, for those who speak wait for them.
    """

    def __init__(self, model: Any, rows: int | None = None) -> None:
        self.model, self._most = model, rows
        self._engine = model.engine(rows)
        self._jobs: dict[int, Any] = {}
        self._calls: dict[int, Call] = {}
        self._refused: dict[int, Exception] = {}

    def join(self, key: int, job: Job | Call, check: Callable[[], None]) -> None:
        """See `Engine`. `check` is not needed: between any two token steps the scheduler drops who has gone."""
        if isinstance(job, Call):
            self._calls[key] = job
            return
        try:
            self._jobs[key] = self.model.submit(self._engine, job.text, voice=job.voice, seed=job.seed, **job.options)
        except Exception as problem:  # the scheduler sorts out whose fault it is
            self._refused[key] = problem

    def step(self, keys: Sequence[int]) -> list[Event]:
        """See `Engine`."""
        events = [Event(key, error=problem) for key, problem in self._refused.items()]
        self._refused = {}
        if (called := next((key for key in keys if key in self._calls), None)) is not None:
            events.append(self._call(called, self._calls.pop(called)))
        if not self._jobs:
            return events
        try:
            self._engine.step([job for key, job in self._jobs.items() if key not in keys])
        except Exception as problem:  # of the step, and so of all that took it
            events += [Event(key, error=problem) for key in self._jobs]
            self._jobs, self._engine = {}, self.model.engine(self._most)
            return events
        for key, job in list(self._jobs.items()):
            while job.pieces:
                events.append(Event(key, job.pieces.popleft()))
            if job.done:
                del self._jobs[key]
            events.append(Event(key, done=job.done and job.error is None, error=job.error))
        return events

    def leave(self, key: int) -> None:
        """See `Engine`."""
        self._calls.pop(key, None)
        self._refused.pop(key, None)
        if (job := self._jobs.pop(key, None)) is not None:
            self._engine.cancel(job)

    def _call(self, key: int, call: Call) -> Event:
        try:
            return Event(key, call.work(self.model), done=True)
        except Exception as problem:  # as above
            return Event(key, error=problem)


def make_engine(model: SpeechModel) -> Engine:
    """The best engine that a model allows."""
    return BatchEngine(model) if hasattr(model, "engine") and hasattr(model, "submit") else TurnEngine(model)
