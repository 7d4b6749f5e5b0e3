"""What speaks behind the queue: rows that join, advance and leave. The seam to engines that batch.

`scheduler.Scheduler` knows only the protocol `Engine`, all of whose methods are called from its one thread.
`TurnEngine` works over any `SpeechModel`: rows advance one after the other, a piece of `stream()` at a time. An engine
that batches advances all of its rows by one token step in `step` and hands out the pieces that are ready.
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
    """What a step gave a row: a piece (`Speech`, or what a `Call` returned), its end, or an error that ends it."""

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
