"""A server on a free loopback port, in a thread, and what tests ask of it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import uvicorn

from unisono.serve import Settings, create_app
from unisono.serve.engine import make_engine

TEXT = "Hello there, this is a test. And here is more of it."
ROUNDING = 2  # of 32768
PATIENCE = 300  # seconds; only what is broken takes so long, however busy the machine


class Running:
    """A server that runs: `url`, its `app`, and a client for it."""

    def __init__(self, port: int, app) -> None:
        self.port, self.app = port, app
        self.url = f"http://127.0.0.1:{port}"
        self.service = app.state.service

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE, **options)

    def speak(self, text: str = TEXT, *, client: httpx.Client | None = None, **fields) -> httpx.Response:
        body = {"input": text, "response_format": "pcm", **fields}
        if client is not None:
            return client.post("/v1/audio/speech", json=body)
        with self.client() as own:
            return own.post("/v1/audio/speech", json=body)

    def idle(self, seconds: float = PATIENCE) -> bool:
        """Whether nothing waits or is spoken, soon."""
        scheduler = self.service._scheduler
        return soon(lambda: not scheduler.waiting and not scheduler.active, seconds)

    def under_way(self, active: int = 0, waiting: int = 0) -> bool:
        """Whether so many are being spoken and wait, soon."""
        scheduler = self.service._scheduler
        return soon(lambda: scheduler.active >= active and scheduler.waiting >= waiting)


def soon(holds: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether something holds, now or after a while."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def running(settings: Settings, model=None, engine=make_engine) -> Iterator[Running]:
    """Start a server, wait until it answers, and stop it in good order."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        app = create_app(settings, model, engine)
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=PATIENCE,  # else a connection may be closed while a slow test asks again
            ws_ping_interval=None,  # who does not answer is found by our limits alone
        )
        server = uvicorn.Server(config)
        listener.listen()
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        end = time.monotonic() + PATIENCE
        while not server.started:
            assert thread.is_alive(), "the server has died"
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.01)
        try:
            yield Running(port, app)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
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
