"""What the routes of one server share: settings, metrics, and, once the model is loaded, the queue and the names."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import HTTPConnection

from unisono import hub
from unisono.interface import SpeechModel
from unisono.serve.engine import Call, Engine, Job, make_engine
from unisono.serve.metrics import Metrics
from unisono.serve.names import Names
from unisono.serve.problems import RETRY, ApiError
from unisono.serve.scheduler import Handle, Place, Scheduler
from unisono.serve.settings import Settings

log = logging.getLogger("unisono.serve")
RECORDINGS = 4  # of clients that are decoded and held in memory at a time


class Service:
    """One server's parts.

    Args:
        settings: of it. model: who speaks, with the folder it came from; None = loaded by `start`.
        engine: makes what speaks behind the queue of a model.
    """

    def __init__(
        self,
        settings: Settings,
        model: tuple[SpeechModel, Path] | None = None,
        engine: Callable[[SpeechModel], Engine] = make_engine,
    ) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.storing = asyncio.Lock()  # of new voices
        self.recordings = asyncio.Semaphore(RECORDINGS)
        self._given, self._engine = model, engine
        self._names: Names | None = None
        self._scheduler: Scheduler | None = None

    @property
    def ready(self) -> bool:
        """Whether speech can be asked for."""
        return self._scheduler is not None and self._scheduler.alive

    @property
    def names(self) -> Names:
        """Models and voices. Raises ApiError while the model is being loaded."""
        if self._names is None:
            raise ApiError(503, "the model is being loaded: retry", code="loading", headers=RETRY)
        return self._names

    @property
    def rate(self) -> int:
        """Samples per second of the model."""
        return self.names.model.sample_rate

    def submit(self, job: Job | Call, connection: HTTPConnection) -> Handle:
        """Put work into the queue on behalf of a client. Raises Refused, or ApiError while nothing is loaded."""
        with self.reserve(connection) as place:
            return place.fill(job)

    def reserve(self, connection: HTTPConnection) -> Place:
        """A place in the queue for work that is still to be made ready. Raises like `submit`."""
        assert self.names and self._scheduler
        return self._scheduler.reserve(connection.client.host if connection.client else "")

    async def start(self) -> None:
        """Load the model, unless it was given, and start the thread that speaks. Raises CheckpointError."""
        before = _memory()
        model, folder = self._given or await asyncio.to_thread(load, self.settings)
        self.metrics.memory.set(max(_memory() - before, 0) or _size(folder))
        settings = self.settings
        self._scheduler = Scheduler(
            self._engine(model),
            waiting=settings.queue,
            per_client=settings.per_client,
            slots=settings.slots,
            ahead=settings.ahead,
            ended=self.metrics.ended,
        )
        self._scheduler.start()
        self.metrics.watch(self._scheduler)
        self._names = Names(model, folder, settings.model, settings.most_text, settings.most_pause)
        log.info("ready", extra={"fields": {"model": self._names.id}})

    async def stop(self) -> None:
        """Finish what was taken, within the time of grace."""
        if self._scheduler is not None:
            done = await asyncio.to_thread(self._scheduler.stop, self.settings.grace)
            log.info("stopped", extra={"fields": {"all_done": done}})


def load(settings: Settings) -> tuple[SpeechModel, Path]:
    """The model that the settings name, and its folder. Raises CheckpointError or InputError."""
    folder = hub.model_folder(settings.model)
    hub.limit_threads(folder)
    return hub.load(folder, **settings.loading), folder


def service_of(connection: HTTPConnection) -> Service:
    """The service behind a request."""
    service: Any = connection.app.state.service
    return service


def _memory() -> int:
    """Resident bytes of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _size(folder: Path) -> int:
    """Bytes of a model's weights on disk."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
