"""All settings of a server, checked; they travel to worker processes as one environment variable."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from unisono.errors import InputError

ENVIRONMENT = "UNISONO_SERVE"  # JSON of a whole `Settings`, for worker processes
KEY_ENVIRONMENT = "UNISONO_API_KEY"
SHORTEST_KEY = 8  # characters
_HOST = re.compile(r"[\w.-]{1,253}|[0-9A-Fa-f:]{2,45}")


@dataclass(frozen=True)
class Settings:
    """What `unisono serve` was asked for.

    Attributes:
        model: folder or hub name; None = built in. loading: further options of `hub.load`.
        api_keys: () = open to everyone who reaches the port.
        cors: origins whose pages may call; "*" = any. hosts: further names that clients may call the server by.
        queue: requests that may wait. per_client: of one client. slots: that are spoken in turn or together.
        grace: seconds that requests get to end when the server stops. stall: seconds that a client may not read.
        most_text: characters of an input. most_pause: seconds of all its pauses.
        most_body, most_upload: bytes of a JSON body, of a recording.
        most_seconds: of a recording. ahead: seconds of sound that may wait for a client that reads slowly.
        log_text: write spoken texts into the log.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    model: str | None = None
    loading: Mapping[str, str] = field(default_factory=dict)
    api_keys: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    workers: int = 1
    queue: int = 128
    per_client: int = 128
    slots: int = 16
    grace: int = 30
    stall: int = 60
    most_text: int = 4096
    most_pause: float = 120.0
    most_body: int = 1 << 20
    most_upload: int = 25 << 20
    most_seconds: float = 300.0
    ahead: float = 60.0
    log_text: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be served. Raises InputError."""
        ranges = {"port": (0, 65535), "workers": (1, 64), "queue": (1, 10_000), "per_client": (1, 10_000)}
        ranges |= {"slots": (1, 1024), "grace": (0, 3600), "stall": (1, 3600)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}, wanted is a whole number from {low} to {high}")
        for key in self.api_keys:
            if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
                raise InputError(f"an API key has at least {SHORTEST_KEY} visible ASCII characters and no blank")
        for origin in self.cors:
            if origin != "*" and not origin.startswith(("http://", "https://")):
                raise InputError(f"{origin[:60]!r} is no origin: write it as https://host or https://host:port")
        for host in self.hosts:
            if host != "*" and not _HOST.fullmatch(host):
                raise InputError(f"{host[:60]!r} is no host: write its name alone, without https:// and port")

    def to_environment(self) -> None:
        """Leave the settings where processes that are started from here find them."""
        os.environ[ENVIRONMENT] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Settings:
        """The settings that `to_environment` left. Raises InputError where there are none."""
        try:
            given: dict[str, Any] = json.loads(os.environ[ENVIRONMENT])
        except (KeyError, ValueError):
            raise InputError(f"{ENVIRONMENT} holds no settings: start the server with `unisono serve`") from None
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})
