"""One thread that speaks, a bounded queue before it, and handles from which the answers are read.

Fairness: of the clients with requests waiting, the one with the fewest rows comes first, then the one whose turn was
longest ago; and among rows it is the same. A row whose client has enough sound unread waits, and keeps nobody else out.
Few rows join at a step, for what a row begins with takes long, and those that already speak wait for it.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from unisono.errors import TextWarning, UnisonoError
from unisono.interface import Speech
from unisono.serve.engine import Call, Cancelled, Engine, Event, Job
from unisono.serve.logs import log_failure

END = object()
JOINING = 2  # rows that join at a step
RESTING = 8  # times the slots: rows in all, with those that wait until somebody reads


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
        self.turn, self.joined = 0, False
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


class Place:
    """A place in the queue for work that is still being made ready; the end of its `with` block gives it back."""

    def __init__(self, client: str, fill: Callable[[Place, Job | Call], Handle], give_back: Callable[[Place], None]):
        self.client, self._fill, self._give_back = client, fill, give_back

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back(self)

    def fill(self, job: Job | Call) -> Handle:
        """Put the work in. Raises Refused when the server has stopped in the meantime."""
        return self._fill(self, job)


class _Turn(NamedTuple):
    """What the thread does next: `gone` have nobody who waits, `new` join, `keys` may advance."""

    gone: list[Handle]
    new: list[Handle]
    keys: list[int]


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
        self._places: set[Place] = set()
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
        """Requests in the queue, with those whose work is being made ready."""
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
        with self.reserve(client) as place:
            return place.fill(job)

    def reserve(self, client: str = "") -> Place:
        """A place in the queue for a request whose work has to be made ready first. Raises like `submit`."""
        with self._changed:
            if self._stopping or not self._thread.is_alive():
                raise Refused("stopping")
            if self._count() >= self._most:
                raise Refused("full")
            kept = sum(place.client == client for place in self._places)
            if len(self._queues.get(client, ())) + kept >= self._most_per_client:
                raise Refused("client")
            place = Place(client, self._fill, self._give_back)
            self._places.add(place)
            return place

    def stop(self, seconds: float) -> bool:
        """Take no more, finish what was taken; what is not done after that time is cancelled. Whether all was done."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(seconds)
        done = not self._thread.is_alive()
        with self._changed:
            self._places.clear()
            for handle in [*self._rows.values(), *itertools.chain(*self._queues.values())]:
                handle.cancelled = True
            self._changed.notify()
        self._thread.join(seconds)
        return done

    def _count(self) -> int:
        return sum(map(len, self._queues.values())) + len(self._places)

    def _fill(self, place: Place, job: Job | Call) -> Handle:
        with self._changed:
            if place not in self._places:
                raise Refused("stopping")
            self._places.remove(place)
            handle = Handle(next(self._keys), job, place.client, self._wake)
            self._queues.setdefault(place.client, deque()).append(handle)
            self._changed.notify()
            return handle

    def _give_back(self, place: Place) -> None:
        with self._changed:
            self._places.discard(place)
            self._changed.notify()

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
                self._places.clear()
            log_failure(problem)
            for handle in left:
                handle.put(problem)

    def _work(self) -> None:
        """Take out, let in, advance and hand out, until all is done that was taken before the stop.

        The engine is only called without the lock: who submits or cancels waits for no model.
        """
        while (turn := self._next_turn()) is not None:
            for handle in turn.gone:
                self._end(handle, Cancelled())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TextWarning)  # they quote clients, and nobody reads them
                for handle in turn.new:
                    handle.joined = True
                    self.engine.join(handle.key, handle.job, handle.check)
                if turn.keys:
                    self._advance(turn.keys)

    def _next_turn(self) -> _Turn | None:
        """What is to be done, as soon as there is something; None when all is done and the server stops."""
        with self._changed:
            while not any(turn := self._turn()):
                if self._stopping and not self._rows and not self._count():
                    return None
                self._changed.wait()
            return turn

    def _turn(self) -> _Turn:
        """Take the dead out of the queue and let the next ones in; rows that may advance come most deserving first."""
        gone = [handle for handle in self._rows.values() if handle.cancelled]
        for client, queue in list(self._queues.items()):
            for handle in [handle for handle in queue if handle.cancelled]:
                queue.remove(handle)
                self._rows[handle.key] = handle
                gone.append(handle)
            if not queue:
                del self._queues[client]
        alive = [handle for handle in self._rows.values() if handle not in gone]
        hungry, new = [handle for handle in alive if handle.unread < self._ahead], []
        while self._queues and len(new) < JOINING and len(hungry) < self._slots and len(alive) < RESTING * self._slots:
            new.append(self._admit(alive))
            alive.append(new[-1])
            hungry.append(new[-1])
        hungry.sort(key=lambda handle: (self._turns.get(handle.client, 0), handle.turn))
        return _Turn(gone, new, [handle.key for handle in hungry])

    def _admit(self, rows: list[Handle]) -> Handle:
        """The next request, beside the rows there are."""
        clients = [handle.client for handle in rows]
        client = min(self._queues, key=lambda name: (clients.count(name), self._turns.get(name, 0)))
        handle = self._queues[client].popleft()
        if not self._queues[client]:
            del self._queues[client]
        self._rows[handle.key] = handle
        return handle

    def _advance(self, keys: list[int]) -> None:
        """One step of the engine, and what it gave."""
        start = time.perf_counter()
        events = self.engine.step(keys)
        seconds = time.perf_counter() - start
        worked = {event.key for event in events}
        for key in worked & self._rows.keys():
            self._rows[key].busy += seconds / len(worked)
        for event in events:
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        """Hand what a step gave to whom it belongs."""
        handle = self._rows.get(event.key)
        if handle is None:
            return
        handle.turn = self._turns[handle.client] = next(self._clock)
        if event.piece is not None:
            handle.put(event.piece)
        if event.done or event.error is not None:
            self._end(handle, event.error)

    def _end(self, handle: Handle, error: Exception | None) -> None:
        """Take a row out, and say how it ended to who counts and to whoever waits for it."""
        if handle.joined:
            self.engine.leave(handle.key)
        if error is not None and not isinstance(error, UnisonoError | Cancelled):
            log_failure(error)
        self._ended(handle, error)
        with self._changed:
            del self._rows[handle.key]
            if (
                all(other.client != handle.client for other in self._rows.values())
                and handle.client not in self._queues
            ):
                self._turns.pop(handle.client, None)
        handle.put(END if error is None else error)
