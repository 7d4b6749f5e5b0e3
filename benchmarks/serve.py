"""Load and faults of a server process with the built-in model, over loopback; writes benchmarks/results/serve.json.

    python benchmarks/serve.py                          # 1, 4, 16, 64 clients, 60 s each, then the faults
    python benchmarks/serve.py --clients 16 --seconds 20 --no-faults
    python benchmarks/serve.py --minutes 30 --no-faults # memory: megabytes a minute after the first fifth of the time

Every client speaks a sentence with a seed of its own, and every answer is compared, sample by sample, with what the
library says offline ("right": none differs by more than rounding, 2 of 32768; "equal" counts those that are the same
bytes); clients and server share the machine's cores. While memory is measured the clients pause between two requests,
and one more asks for everything else: events, every format, times, batches, alignments, voices, and goes away.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, cycle
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import psutil

import unisono
from unisono.bench.machine import machine, versions
from unisono.serve.encodings import FORMATS, to_pcm, wav_head

RESULT = Path(__file__).parent / "results" / "serve.json"
RATE = 24000
ROUNDING = 2  # of 32768
Wanted = dict[tuple[str, int], bytes]
PATIENCE = 600  # seconds until something is taken for broken
LIGHT = 2.0  # seconds between two requests of a client of a light load
FORMAT = {"response_format": "pcm"}
SENTENCES = (
    "The lamp on the table was lit before the guests came in.",
    "Nobody had told them that the road was closed.",
    "It rained all night. In the morning the river had risen.",
    "She counted the steps and wrote the number down.",
    "A small boat lay at the end of the pier.",
    "They spoke of the weather, and then of other things.",
    "When the bell rang, everyone looked at the clock.",
    "The letter was short. It said only that he was well.",
)


class Heard(NamedTuple):
    """One answer: seconds to its first sound, seconds of sound, what it was, and whether it is the same bytes."""

    first: float
    seconds: float
    verdict: str
    equal: bool = False


class Server:
    """A server process of ours."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.url, self.log, self.port = process, f"http://127.0.0.1:{port}", log, port

    def ready(self) -> bool:
        """Whether it takes requests."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=PATIENCE).status_code == 200
        except httpx.TransportError:
            return False

    def wait_ready(self, seconds: float = PATIENCE) -> None:
        """Wait until it takes requests. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not self.ready():
            if time.monotonic() > end:
                raise TimeoutError(f"the server does not answer: {self.log.read_text()[-500:]}")
            time.sleep(0.1)

    def memory(self) -> float:
        """Megabytes (10^6) of the process and those it started."""
        found = psutil.Process(self.process.pid)
        return sum(process.memory_info().rss for process in [found, *found.children(recursive=True)]) / 1e6

    def worked(self) -> float:
        """Processor seconds of the process and those it started."""
        found = psutil.Process(self.process.pid)
        times = [process.cpu_times() for process in [found, *found.children(recursive=True)]]
        return sum(time.user + time.system for time in times)

    def busy(self) -> float:
        """Requests waiting or being spoken."""
        lines = httpx.get(f"{self.url}/metrics", timeout=PATIENCE).text.splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return float(values["unisono_queue_depth"]) + float(values["unisono_active"])


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    """Start a server on a free port; it is stopped in the end, whatever happens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            command = [sys.executable, "-m", "unisono", "serve", "--port", str(port), *options]
            process = subprocess.Popen(command, stderr=file, env={**os.environ, "UNISONO_HOME": folder})
        server = Server(process, port, log)
        try:
            server.wait_ready()
            yield server
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def offline(count: int) -> Wanted:
    """What the library says: the bytes of a sentence and a seed each."""
    tts = unisono.load()
    keys = [(SENTENCES[index % len(SENTENCES)], index) for index in range(count)]
    return {key: to_pcm(tts.say(key[0], seed=key[1]).audio) for key in keys}


def hear(client: httpx.Client, url: str, key: tuple[str, int], wanted: bytes) -> Heard:
    """One request and what became of it."""
    start, first, sound = time.perf_counter(), 0.0, b""
    try:
        body = {"input": key[0], "seed": key[1], **FORMAT}
        with client.stream("POST", f"{url}/v1/audio/speech", json=body) as answer:
            if answer.status_code != 200:
                return Heard(0.0, 0.0, str(answer.status_code))
            for piece in answer.iter_bytes():
                first = first or time.perf_counter() - start
                sound += piece
    except httpx.TransportError as problem:
        return Heard(0.0, 0.0, type(problem).__name__)
    near = len(sound) == len(wanted) and np.abs(_numbers(sound) - _numbers(wanted)).max() <= ROUNDING
    return Heard(first, len(sound) / 2 / RATE, "right" if near else "wrong", sound == wanted)


def _numbers(sound: bytes) -> np.ndarray:
    """Samples [N], wide enough for differences."""
    return np.frombuffer(sound, "<i2").astype(np.int32)


def load(server: Server, clients: int, seconds: float, wanted: Wanted, pause: float = 0.0) -> dict[str, Any]:
    """So many clients, each asking again as soon as it was answered, for a time; and what they met with.

    Args:
        pause: seconds between an answer and the next question.
    """
    heard: list[Heard] = []
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        key = list(wanted)[number % len(wanted)]
        with httpx.Client(timeout=PATIENCE) as http:
            while time.monotonic() < end:
                heard.append(hear(http, server.url, key, wanted[key]))
                time.sleep(pause)

    start, worked = time.monotonic(), server.worked()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - start
    verdicts = [one.verdict for one in heard]
    first = [one.first * 1000 for one in heard if one.first]
    audio = sum(one.seconds for one in heard)
    return {
        "clients": clients,
        "seconds": round(took, 1),
        "answers": len(heard),
        "equal": sum(one.equal for one in heard),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        "audio_seconds": round(audio, 1),
        "audio_seconds_per_second": round(audio / took, 2),
        "processor_seconds_per_audio_second": round((server.worked() - worked) / (audio or 1.0), 4),
        "time_to_first_audio_ms": {f"p{p}": round(float(np.percentile(first or [0], p))) for p in (50, 95, 99)},
        "memory_mb": round(server.memory(), 1),
    }


def memory_slope(server: Server, minutes: float, wanted: Wanted) -> dict[str, Any]:
    """Megabytes a minute under a light load of all kinds, by least squares over the time after the first fifth."""
    samples: list[tuple[float, float]] = []
    start = time.monotonic()
    stop = threading.Event()
    statuses: list[int] = []

    def watch() -> None:
        while not stop.wait(max(minutes * 60 / 200, 0.5)):
            samples.append(((time.monotonic() - start) / 60, server.memory()))

    watchers = [threading.Thread(target=watch), threading.Thread(target=mix, args=(server, stop, wanted, statuses))]
    for watcher in watchers:
        watcher.start()
    result = load(server, 2, minutes * 60, wanted, pause=LIGHT)
    stop.set()
    for watcher in watchers:
        watcher.join()
    late = [sample for sample in samples if sample[0] > minutes / 5]
    slope = float(np.polyfit(*np.array(late).T, 1)[0]) if len(late) > 2 else None
    ends = {"first_mb": samples[0][1], "warm_mb": late[0][1], "last_mb": samples[-1][1]}
    counts = {str(status): statuses.count(status) for status in sorted(set(statuses))}
    return {"minutes": minutes, "slope_mb_per_minute": slope, **ends, "others": counts, **result}


def mix(server: Server, stop: threading.Event, wanted: Wanted, statuses: list[int]) -> None:
    """One request of each other kind after the other, until it is stopped."""
    (text, _), sound = max(wanted.items(), key=lambda item: len(item[1]))
    sample = {"file": ("a.wav", wav_head(RATE, len(sound)) + sound)}
    voice = {"text": text, "name": "measured", "consent": "The speaker allows this."}
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:

        def ask(path: str, **body: Any) -> int:
            return http.post(f"/v1/audio/{path}", json=body).status_code

        def add_and_remove() -> int:
            added = http.post("/v1/audio/voices", files={"sample": sample["file"]}, data=voice)
            return added.status_code if added.is_error else http.delete("/v1/audio/voices/measured").status_code

        def go_away() -> int:
            disconnects(server, 1)
            return 200

        kinds: list[Callable[[], int]] = [
            *(partial(ask, "speech", input=text, response_format=name) for name in FORMATS),
            partial(ask, "speech", input=text, stream_format="sse"),
            partial(ask, "speech/timestamps", input=text, response_format="opus"),
            partial(ask, "speech/batch", items=[{"input": text}, {"input": "..."}]),
            partial(ask, "speech", input="Wait. [pause:5s] " + text),
            lambda: http.post("/v1/audio/align", files=sample, data={"text": text}).status_code,
            add_and_remove,
            go_away,
        ]
        for kind in cycle(kinds):
            if stop.wait(LIGHT):
                return
            statuses.append(kind())


def faults(wanted: Wanted) -> dict[str, Any]:
    """What a server must live through; each entry says what was done and whether all was well afterwards."""
    report: dict[str, Any] = {}

    def note(name: str, found: Any) -> None:
        report[name] = found
        print(json.dumps({name: found}), flush=True)

    with serving("--grace", str(PATIENCE)) as server:
        before = server.memory()
        note("disconnects", {"count": 200, "healthy": disconnects(server, 200)})
        note("malformed", malformed(server, 200))
        note("oversized", oversized(server))
        note("memory_grown_mb", round(server.memory() - before, 1))
        note("right_afterwards", {"healthy": right(server, wanted)})
        note("sigterm", sigterm(server, wanted))
    note("killed_worker", killed_worker(wanted))
    return report


def disconnects(server: Server, count: int) -> bool:
    """Clients that go at random moments; whether nothing is left of them."""
    choose = random.Random(0)
    for _ in range(count):
        body = json.dumps({"input": " ".join(SENTENCES), **FORMAT})
        head = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(request[: choose.choice([choose.randrange(1, len(request)), len(request)])])
            time.sleep(choose.choice([0, choose.random() * 0.2]))
    return idle(server)


def idle(server: Server, seconds: float = PATIENCE) -> bool:
    """Whether nothing waits or is spoken, soon."""
    end = time.monotonic() + seconds
    while server.busy():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return server.ready()


def malformed(server: Server, count: int) -> dict[str, Any]:
    """Bodies that schemathesis makes against our own description, wrong on purpose."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import GenerationMode

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [item.ok() for item in schema.get_all_operations() if item.ok().body]
    statuses: list[int] = []
    for operation in operations:

        @settings(
            max_examples=count // len(operations) + 1,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        def ask(case: Any) -> None:
            statuses.append(case.call(base_url=server.url, timeout=PATIENCE).status_code)

        ask()
    counts = {str(status): statuses.count(status) for status in sorted(set(statuses))}
    return {"count": len(statuses), "statuses": counts, "healthy": idle(server) and max(statuses) < 500}


def oversized(server: Server) -> dict[str, Any]:
    """Bodies over the limits, with a length and without; all get 413."""
    statuses = []
    for path, size in (("/v1/audio/speech", 2 << 20), ("/v1/audio/align", 30 << 20), ("/v1/audio/voices", 60 << 20)):
        kind = "application/json" if path.endswith("speech") else "multipart/form-data; boundary=b"
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for content in (head + bytes(size), chain([head], (bytes(1 << 16) for _ in range(size >> 16)))):
            answer = httpx.post(server.url + path, content=content, headers={"content-type": kind}, timeout=PATIENCE)
            statuses.append(answer.status_code)
    return {"statuses": statuses, "healthy": idle(server) and set(statuses) == {413}}


def right(server: Server, wanted: Wanted) -> bool:
    """Whether an answer is still what it should be."""
    key = next(iter(wanted))
    with httpx.Client(timeout=PATIENCE) as http:
        return hear(http, server.url, key, wanted[key]).verdict == "right"


def sigterm(server: Server, wanted: Wanted) -> dict[str, Any]:
    """SIGTERM while eight requests are under way: all of them are answered, and the process ends well."""
    keys, heard = list(wanted)[:8], []

    def client(key: tuple[str, int]) -> None:
        with httpx.Client(timeout=PATIENCE) as http:
            heard.append(hear(http, server.url, key, wanted[key]).verdict)

    threads = [threading.Thread(target=client, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    while server.busy() < len(keys) and any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    return {"verdicts": heard, "exit_code": server.process.wait(PATIENCE), "healthy": set(heard) == {"right"}}


def killed_worker(wanted: Wanted) -> dict[str, Any]:
    """SIGKILL for one of two workers: the other answers on, and a new one comes."""
    with serving("--workers", "2") as server:
        workers = workers_of(server)
        os.kill(min(workers), signal.SIGKILL)
        answered = False
        end = time.monotonic() + PATIENCE
        while not answered and time.monotonic() < end:
            try:
                answered = right(server, wanted)
            except httpx.TransportError:
                time.sleep(0.2)
        replaced = False
        while not replaced and time.monotonic() < end:
            replaced = len(workers_of(server) - {min(workers)}) >= 2
            time.sleep(0.2)
        return {"workers": len(workers), "replaced": replaced, "healthy": answered and replaced and server.ready()}


def workers_of(server: Server) -> set[int]:
    """Process ids of the workers that live."""
    found = set()
    for child in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # one that has died, and is not buried yet, among them
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=0.0, help="measure the slope of memory for so long instead")
    parser.add_argument("--no-faults", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULT)
    asked = parser.parse_args(arguments)
    wanted = offline(max([8, *asked.clients]))
    threads = os.environ.get("OMP_NUM_THREADS", "")
    report: dict[str, Any] = {"machine": machine("cpu"), "versions": versions(), "OMP_NUM_THREADS": threads}
    with serving() as server:
        if asked.minutes:
            report["memory"] = memory_slope(server, asked.minutes, wanted)
        else:
            report["load"] = []
            for clients in asked.clients:
                report["load"].append(load(server, clients, asked.seconds, wanted))
                print(json.dumps(report["load"][-1]), flush=True)
    if not asked.no_faults:
        report["faults"] = faults(wanted)
    asked.json.parent.mkdir(exist_ok=True)
    old = json.loads(asked.json.read_text()) if asked.json.exists() else {}
    asked.json.write_text(json.dumps({**old, **report}, indent=2) + "\n")
    runs = [*report.get("load", ()), *([report["memory"]] if "memory" in report else [])]
    verdicts = {verdict for run in runs for verdict in run["verdicts"]}
    healthy = [fault["healthy"] for fault in report.get("faults", {}).values() if isinstance(fault, dict)]
    return 0 if verdicts <= {"right", "503"} and all(healthy) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
