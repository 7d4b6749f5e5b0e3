"""Start a server: one process, or several under uvicorn's supervisor, which replaces one that dies."""

from __future__ import annotations

import importlib.util
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from unisono.errors import InputError
from unisono.serve.settings import Settings

PACKAGES = ("fastapi", "uvicorn", "multipart", "av", "prometheus_client", "websockets")
MOST_MESSAGE = 1 << 20  # bytes of one message of a WebSocket


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; then no new requests are taken and what has begun is finished.

    Raises:
        InputError: a package is missing, or the address cannot be used. CheckpointError: no such model.
    """
    check_packages()
    import uvicorn

    from unisono.serve.app import create_app
    from unisono.serve.logs import set_up
    from unisono.serve.service import load

    options: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": settings.grace,
        "ws_max_size": MOST_MESSAGE,
        "proxy_headers": False,
    }
    with _signals_end_it(), tempfile.TemporaryDirectory(prefix="unisono-metrics-") as shared:
        if settings.workers == 1:
            app = create_app(settings, load(settings))  # a model that cannot be loaded is said before anything starts
            set_up(settings.log_text)
            _start(lambda: uvicorn.Server(uvicorn.Config(app, **options)).run())
        else:
            from unisono import hub

            hub.model_folder(settings.model)
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = shared
            settings.to_environment()
            set_up(settings.log_text)
            _start(
                lambda: uvicorn.run(
                    "unisono.serve.app:from_environment", factory=True, workers=settings.workers, **options
                )
            )


def check_packages() -> None:
    """Raise InputError where a package of the server is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"the server needs {', '.join(missing)}: pip install 'unisono[serve]'")


def _start(run: Any) -> None:
    """Run uvicorn, which leaves with a code of its own when it cannot begin."""
    try:
        run()
    except SystemExit as problem:
        if problem.code:
            raise InputError("the server could not start, its log says why: is the port taken?") from None


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Once uvicorn has stopped in good order it raises its signals again: they have done their work by then."""
    kept = {name: signal.signal(name, lambda *_: None) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in kept.items():
            signal.signal(name, handler)
