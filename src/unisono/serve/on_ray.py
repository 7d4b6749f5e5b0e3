"""The same app as a Ray Serve deployment: replicas, each with a model of its own, that come and go with the load.

    serve run unisono.serve.on_ray:application      # Ray's own command; settings from UNISONO_SERVE

Ray's proxy takes the requests and hands each to a replica; what a client's disconnect cancels is the same as elsewhere.
The `host` and `hosts` of the settings say by which names clients may call the proxy.
"""

from __future__ import annotations

import importlib.util
import signal
import threading
from typing import Any

from unisono.errors import InputError
from unisono.serve.settings import Settings

FEWEST, ONGOING = 1, 4  # replicas; requests a replica should have under way


def make_application(settings: Settings, most: int = 2, fewest: int = FEWEST) -> Any:
    """A Ray Serve application.

    Args:
        settings: of every replica. most, fewest: replicas.

    Raises:
        InputError: ray is not installed, or there is no such number of replicas.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("--ray needs the package ray: pip install 'unisono[scale]'")
    if not 1 <= fewest <= most:
        raise InputError(f"replicas are {fewest} to {most}, wanted is 1 or more")
    from ray import serve

    from unisono.serve.app import create_app
    from unisono.serve.logs import set_up

    def build() -> Any:
        set_up(settings.log_text)
        return create_app(settings)

    @serve.deployment(
        name="unisono",
        max_ongoing_requests=settings.queue + settings.slots,
        graceful_shutdown_timeout_s=float(settings.grace),
        autoscaling_config={"min_replicas": fewest, "max_replicas": most, "target_ongoing_requests": ONGOING},
        ray_actor_options={"num_cpus": 1},
    )
    @serve.ingress(build)
    class Replica:
        """One process with the app; its life is the app's own."""

    return Replica.bind()


def serve_on_ray(settings: Settings, replicas: int, fewest: int = FEWEST) -> None:
    """Start Ray here, or join the cluster that RAY_ADDRESS names, and serve until SIGINT or SIGTERM.

    Raises:
        InputError: as `make_application`.
    """
    application = make_application(settings, replicas, fewest)
    from ray import serve

    serve.start(http_options={"host": settings.host, "port": settings.port})
    serve.run(application, name="unisono", route_prefix="/")
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):  # after Ray has set its own, which end the process at once
        signal.signal(name, lambda *_: stopped.set())
    stopped.wait()
    serve.shutdown()


def __getattr__(name: str) -> Any:
    """`application`, for Ray's command line."""
    if name != "application":
        raise AttributeError(name)
    return make_application(Settings.from_environment())
