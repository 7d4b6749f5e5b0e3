"""One thread that speaks, a bounded queue before it, and handles from which the answers are read.

Fairness: of the clients with requests waiting, the one with the fewest rows comes first, then the one whose turn was
longest ago; and among rows it is the same. A row whose client has enough sound unread waits, and keeps nobody else out.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from unisono.errors import UnisonoError
from unisono.interface import Speech
from unisono.serve.engine import Call, Cancelled, Engine, Event, Job
from unisono.serve.logs import log_failure

END = object()


class Refused(Exception):
    """The queue takes no more. `kind` is "full", "client" (this client has enough waiting) or "stopping"."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Handle:
    """A request on its way: an asynchronous iterator of its pieces, which raises what ended it.

    Attributes:
        submitted, first: times by `time.monotonic`, of its coming and of its first piece (0 = none yet).
        seconds: of sound made so far. busy: seconds that the thread worked for it.
    """

    def __init__(self, key: int, job: Job | Call, client: str, wake: Callable[[], None]) -> None:
        self.key, self.job, self.client = key, job, client
        self.submitted, self.first, self.seconds, self.busy = time.monotonic(), 0.0, 0.0, 0.0
        self.turn = 0
        self._read = 0.0  # seconds
        self.cancelled = False
        self._wake, self._loop = wake, asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Any] = asyncio.Queue()

    def __aiter__(self) -> Handle:
        return self

    async def __anext__(self) -> Any:
        piece = await self._pieces.get()
        if piece is END:
            raise StopAsyncIteration
        if isinstance(piece, Exception):
            raise piece
        if isinstance(piece, Speech):
            self._read += piece.duration
            self._wake()
        return piece

    @property
    def unread(self) -> float:
        """Seconds of sound that nobody has taken yet."""
        return self.seconds - self._read

    def cancel(self) -> None:
        """Nobody waits any more: the row ends at its next token step. Harmless when it has ended."""
        self.cancelled = True
        self._wake()

    def check(self) -> None:
        """Called in the thread, at every token step."""
        if self.cancelled:
            raise Cancelled

    def put(self, item: Any) -> None:
        """Hand over a piece, an error or `END`; called in the thread."""
        if isinstance(item, Speech):
            self.first = self.first or time.monotonic()
            self.seconds += item.duration
        try:
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, item)
        except RuntimeError:  # the event loop is gone, and whoever waited with it
            self.cancelled = True


class Scheduler:
    """The queue and its thread.

    Args:
        engine: who speaks. waiting: most requests in the queue. per_client: of one client, waiting.
        slots: rows at a time. ahead: seconds of unread sound from which on a row waits.
        ended: called in the thread with each handle that has ended and its error, None or `Cancelled` among them.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        waiting: int = 128,
        per_client: int = 128,
        slots: int = 8,
        ahead: float = 60.0,
        ended: Callable[[Handle, Exception | None], None] = lambda handle, error: None,
    ) -> None:
        self.engine = engine
        self._most, self._most_per_client, self._slots, self._ahead = waiting, per_client, slots, ahead
        self._ended = ended
        self._changed = threading.Condition()
        self._queues: dict[str, deque[Handle]] = {}
        self._rows: dict[int, Handle] = {}
        self._turns: dict[str, int] = {}  # client -> when it had its last turn
        self._keys, self._clock = itertools.count(1), itertools.count(1)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="unisono-inference", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs and takes requests."""
        return self._thread.is_alive() and not self._stopping

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        with self._changed:
            return self._count()

    @property
    def active(self) -> int:
        """Rows that are being spoken."""
        return len(self._rows)

    def submit(self, job: Job | Call, client: str = "") -> Handle:
        """Put a request into the queue; to be called in an event loop, in which its answer is read.

        Raises:
            Refused: the queue is full, or the server stops.
        """
        with self._changed:
            if self._stopping or not self._thread.is_alive():
                raise Refused("stopping")
            if self._count() >= self._most:
                raise Refused("full")
            queue = self._queues.setdefault(client, deque())
            if len(queue) >= self._most_per_client:
                raise Refused("client")
            handle = Handle(next(self._keys), job, client, self._wake)
            queue.append(handle)
            self._changed.notify()
            return handle

    def stop(self, seconds: float) -> bool:
        """Take no more, finish what was taken; what is not done after that time is cancelled. Whether all was done."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(seconds)
        done = not self._thread.is_alive()
        with self._changed:
            for handle in [*self._rows.values(), *itertools.chain(*self._queues.values())]:
                handle.cancelled = True
            self._changed.notify()
        self._thread.join(seconds)
        return done

    def _count(self) -> int:
        return sum(map(len, self._queues.values()))

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        """The thread. A fault of its own ends it, but leaves nobody without an answer."""
        try:
            self._work()
        except Exception as problem:
            with self._changed:
                self._stopping = True
                left = [*self._rows.values(), *itertools.chain(*self._queues.values())]
                self._rows.clear()
                self._queues.clear()
            log_failure(problem)
            for handle in left:
                handle.put(problem)

    def _work(self) -> None:
        """Let in, advance and hand out, until all is done that was taken before the stop."""
        while True:
            with self._changed:
                while not (keys := self._ready()):
                    if self._stopping and not self._rows and not self._count():
                        return
                    self._changed.wait()
            start = time.perf_counter()
            events = self.engine.step(keys)
            seconds = time.perf_counter() - start
            worked = {event.key for event in events}
            for key in worked & self._rows.keys():
                self._rows[key].busy += seconds / len(worked)
            for event in events:
                self._deliver(event)

    def _ready(self) -> list[int]:
        """Rows that may advance, the most deserving first, after the queue was let in and the dead were taken out."""
        for handle in [handle for handle in self._rows.values() if handle.cancelled]:
            self._end(handle, Cancelled())
        for client, queue in list(self._queues.items()):
            for handle in [handle for handle in queue if handle.cancelled]:
                queue.remove(handle)
                self._finish(handle, Cancelled())
            if not queue:
                del self._queues[client]
        hungry = [handle for handle in self._rows.values() if handle.unread < self._ahead]
        while len(hungry) < self._slots and self._queues:
            hungry.append(self._admit())
        hungry.sort(key=lambda handle: (self._turns.get(handle.client, 0), handle.turn))
        return [handle.key for handle in hungry]

    def _admit(self) -> Handle:
        """Let in the next request."""
        rows = [handle.client for handle in self._rows.values()]
        client = min(self._queues, key=lambda name: (rows.count(name), self._turns.get(name, 0)))
        handle = self._queues[client].popleft()
        if not self._queues[client]:
            del self._queues[client]
        self._rows[handle.key] = handle
        self.engine.join(handle.key, handle.job, handle.check)
        return handle

    def _deliver(self, event: Event) -> None:
        """Hand what a step gave to whom it belongs."""
        handle = self._rows.get(event.key)
        if handle is None:
            return
        handle.turn = self._turns[handle.client] = next(self._clock)
        if event.piece is not None:
            handle.put(event.piece)
        if event.done or event.error is not None:
            with self._changed:
                self._end(handle, event.error)

    def _end(self, handle: Handle, error: Exception | None) -> None:
        """Take a row out."""
        self.engine.leave(handle.key)
        del self._rows[handle.key]
        if all(other.client != handle.client for other in self._rows.values()) and handle.client not in self._queues:
            self._turns.pop(handle.client, None)
        self._finish(handle, error)

    def _finish(self, handle: Handle, error: Exception | None) -> None:
        """Say how a request ended to whoever waits for it, and to who counts."""
        if error is not None and not isinstance(error, UnisonoError | Cancelled):
            log_failure(error)
        self._ended(handle, error)
        handle.put(END if error is None else error)
