"""What Prometheus may ask. Each app has a registry of its own; several worker processes add theirs up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

from unisono.errors import UnisonoError
from unisono.serve.engine import Cancelled
from unisono.serve.scheduler import Handle, Scheduler

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 60.0)
FACTORS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts and times of one server."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("unisono_requests", "Answers.", ("path", "status"), registry=registry)
        self.errors = Counter("unisono_errors", "Speech that failed, by kind.", ("kind",), registry=registry)
        self.cancelled = Counter("unisono_cancelled", "Requests whose client went away.", registry=registry)
        self.audio = Counter("unisono_audio_seconds", "Seconds of speech made.", registry=registry)
        self.busy = Counter("unisono_inference_seconds", "Seconds the model worked.", registry=registry)
        self.first = Histogram(
            "unisono_time_to_first_audio_seconds", "From request to first sound.", buckets=SECONDS, registry=registry
        )
        self.factor = Histogram(
            "unisono_rtf", "Seconds of work per second of speech.", buckets=FACTORS, registry=registry
        )
        mode = {"multiprocess_mode": "livesum", "registry": registry}
        self.waiting = Gauge("unisono_queue_depth", "Requests that wait.", **mode)
        self.active = Gauge("unisono_active", "Requests that are being spoken.", **mode)
        self.memory = Gauge("unisono_model_memory_bytes", "Memory that the model took.", **mode)
        self._refresh: Callable[[], None] = lambda: None

    def watch(self, scheduler: Scheduler) -> None:
        """Read the queue whenever somebody asks."""

        def refresh() -> None:
            self.waiting.set(scheduler.waiting)
            self.active.set(scheduler.active)

        self._refresh = refresh

    def ended(self, handle: Handle, error: Exception | None) -> None:
        """Count a request that has come to its end; called in the inference thread."""
        self.audio.inc(handle.seconds)
        self.busy.inc(handle.busy)
        if isinstance(error, Cancelled):
            self.cancelled.inc()
        elif error is not None:
            self.errors.labels(type(error).__name__ if isinstance(error, UnisonoError) else "internal").inc()
        if handle.first:
            self.first.observe(handle.first - handle.submitted)
        if error is None and handle.seconds:
            self.factor.observe(handle.busy / handle.seconds)

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        self._refresh()
        if os.environ.get(SHARED_FOLDER):
            _forget_the_dead(os.environ[SHARED_FOLDER])
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
            return generate_latest(registry)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        return generate_latest(self.registry) + generate_latest(registry)


def _forget_the_dead(folder: str) -> None:
    """Remove the gauges of worker processes that are no more."""
    for path in Path(folder).glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdigit() and not _is_alive(int(pid)):
            mark_process_dead(int(pid), folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and somebody else's
        return True
    return True
