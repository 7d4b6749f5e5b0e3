"""A server on a free loopback port, in a thread, and what tests ask of it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import uvicorn

from unisono.serve import Settings, create_app
from unisono.serve.engine import make_engine

TEXT = "Hello there, this is a test. And here is more of it."
ROUNDING = 2  # of 32768


class Running:
    """A server that runs: `url`, its `app`, and a client for it."""

    def __init__(self, port: int, app) -> None:
        self.port, self.app = port, app
        self.url = f"http://127.0.0.1:{port}"
        self.service = app.state.service

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def speak(self, text: str = TEXT, *, client: httpx.Client | None = None, **fields) -> httpx.Response:
        body = {"input": text, "response_format": "pcm", **fields}
        if client is not None:
            return client.post("/v1/audio/speech", json=body)
        with self.client() as own:
            return own.post("/v1/audio/speech", json=body)

    def idle(self, seconds: float = 10.0) -> bool:
        """Whether nothing waits or is spoken, soon."""
        scheduler = self.service._scheduler
        end = time.monotonic() + seconds
        while scheduler.waiting or scheduler.active:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


@contextmanager
def running(settings: Settings, model=None, engine=make_engine) -> Iterator[Running]:
    """Start a server, wait until it answers, and stop it in good order."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        app = create_app(settings, model, engine)
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, log_config=None, access_log=False, server_header=False
        )
        server = uvicorn.Server(config)
        listener.listen()
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        end = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive(), "the server has died"
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.01)
        try:
            yield Running(port, app)
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server does not stop"


class Pcm:
    """What `response_format: pcm` gives for samples [N]: equal to bytes of the same length that differ by rounding.

    Products of other shapes, as batches and windows of the decoder have, are rounded otherwise in the last bits.
    """

    def __init__(self, samples: np.ndarray) -> None:
        self.values = np.round(samples.clip(-1, 1) * 32767).astype(np.int32)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, bytes) or len(other) != 2 * len(self.values):
            return False
        return int(np.abs(np.frombuffer(other, "<i2") - self.values).max(initial=0)) <= ROUNDING


def pcm(*samples: np.ndarray) -> Pcm:
    """The same for one piece after the other."""
    return Pcm(np.concatenate(samples))


def decoded(content: bytes, rate: int, folder: Path) -> np.ndarray:
    """int16 samples of a sound file, by PyAV, which honours gapless information as players do."""
    import av

    path = folder / "sound.bin"
    path.write_bytes(content)
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        blocks = [
            mono.to_ndarray()[0] for frame in [*container.decode(audio=0), None] for mono in resampler.resample(frame)
        ]
    return np.concatenate(blocks)
