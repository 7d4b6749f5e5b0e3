"""What goes wrong outside: clients that vanish, bodies made up at random, SIGTERM. Nothing is mixed up or lost."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from serving import PATIENCE, pcm, running, soon

from unisono.serve import Settings
from unisono.serve.app import STATUSES
from unisono.serve.engine import TurnEngine

WORDS = ("time", "people", "year", "way", "day", "man", "thing", "woman", "life", "child", "world", "school")
KNOWN = {200, *STATUSES} - {500, 503}


def sentence(seed):
    """A text that goes with a seed."""
    choose = random.Random(seed)
    return " ".join(choose.choices(WORDS, k=4)).capitalize() + ". " + choose.choice(WORDS).capitalize() + "."


def test_nobody_hears_somebody_else(server, tiny_model):
    voice = tiny_model.voice("someone")
    wanted = {seed: pcm(tiny_model.say(sentence(seed), voice=voice, seed=seed).audio) for seed in range(16)}
    with ThreadPoolExecutor(16) as pool:
        heard = dict(zip(wanted, pool.map(lambda seed: server.speak(sentence(seed), seed=seed), wanted), strict=True))
    assert {seed: answer.content == wanted[seed] for seed, answer in heard.items()} == dict.fromkeys(wanted, True)
    assert server.idle()


def vanish(server, choose):
    """A client that closes its connection at some moment."""
    body = json.dumps(
        {"input": sentence(0) * 20, "response_format": "wav", "stream_format": choose.choice(["audio", "sse"])}
    )
    head = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    request = f"{head}{len(body)}\r\n\r\n{body}".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        how = choose.randrange(4)
        if how == 0:  # in the middle of the request
            connection.sendall(request[: choose.randrange(1, len(request))])
            return
        connection.sendall(request)
        if how == 1:  # at once
            return
        if how == 2:  # soon
            time.sleep(choose.random() * 0.05)
            return
        connection.recv(choose.randrange(1, 5000))  # while hearing


def test_clients_that_vanish_leave_nothing_behind(server):
    choose = random.Random(1)
    threads = own_threads()
    for _ in range(20):
        vanish(server, choose)
    assert server.idle()
    assert server.service.ready
    assert server.speak().status_code == 200
    assert own_threads() <= threads


def test_a_client_that_does_not_read_is_let_go(tiny_model, tiny_folder):
    with running(Settings(stall=1, most_text=100_000), (tiny_model, tiny_folder)) as server:
        body = json.dumps({"input": sentence(0) * 1000, "speed": 0.25, "response_format": "pcm"})
        head = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert server.under_way(active=1)
            assert server.idle()
            assert b"unisono_cancelled_total 1.0" in server.service.metrics.page()


def own_threads():
    """How many there are beside those of the pools that encode and write files, which stay."""
    return sum(not thread.name.startswith(("asyncio_", "AnyIO")) for thread in threading.enumerate())


def test_a_vanished_client_costs_one_token_step(tiny_model, tiny_folder):
    steps, reached, gone = [0, 0], threading.Event(), threading.Event()

    class Watched(TurnEngine):
        """Stops at the third token step until the client has gone, and counts on."""

        def join(self, key, job, check):
            def checked():
                steps[0] += 1
                if steps[0] == 3:
                    reached.set()
                    assert gone.wait(PATIENCE)
                check()
                steps[1] += 1

            super().join(key, job, checked)

    with running(Settings(), (tiny_model, tiny_folder), Watched) as server:
        body = json.dumps({"input": "Some words that nobody will hear at all."})
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            head = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert reached.wait(PATIENCE)
        handle = next(iter(server.service._scheduler._rows.values()))
        assert soon(lambda: handle.cancelled)
        gone.set()
        assert server.idle()
    assert steps == [3, 2]


def test_an_error_in_the_middle_is_no_whole_answer(tiny_model, tiny_folder):
    class Breaks(TurnEngine):
        def step(self, keys):
            events = super().step(keys)
            self.count = getattr(self, "count", 0) + 1
            return (
                [event._replace(error=ZeroDivisionError("Xylophone")) for event in events]
                if self.count % 2 == 0
                else events
            )

    with running(Settings(), (tiny_model, tiny_folder), Breaks) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            server.speak(response_format="wav")
        events = [json.loads(line[6:]) for line in server.speak(stream_format="sse").text.split("\n\n") if line]
        assert events[-1]["type"] == "speech.audio.error"
        assert events[-1]["error"]["type"] == "server_error" and "Xylophone" not in str(events)
        assert server.service.ready


def test_a_full_queue_says_when_to_come_again(tiny_model, tiny_folder):
    gate = threading.Event()

    class Gated(TurnEngine):
        def step(self, keys):
            assert gate.wait(PATIENCE)
            return super().step(keys)

    with running(Settings(queue=2, slots=1), (tiny_model, tiny_folder), Gated) as server:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(server.speak, "Hi.")]
            assert server.under_way(active=1)  # the queue is empty again
            asked += [pool.submit(server.speak, "Hi.") for _ in range(7)]
            assert soon(lambda: sum(one.done() for one in asked) == 5)
            gate.set()
            answers = [one.result() for one in asked]
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] * 3 + [503] * 5
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status_code == 503)
        assert server.speak("Hi.").status_code == 200


def test_bodies_made_up_at_random(tiny_model, tiny_folder):
    """schemathesis makes bodies from our own description, right and wrong ones; no answer is our fault."""
    with running(Settings(most_text=40), (tiny_model, tiny_folder)) as server:
        schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        few = settings(
            max_examples=12,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        asked = 0
        for result in schema.get_all_operations():
            operation = result.ok()
            if operation.path == "/metrics":
                continue
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode is GenerationMode.NEGATIVE and not operation.body:
                    continue

                @few
                @given(case=operation.as_strategy(generation_mode=mode))
                def ask(case):
                    nonlocal asked
                    asked += 1
                    answer = case.call(base_url=server.url, timeout=PATIENCE)
                    assert answer.status_code in KNOWN, f"{case.method} {case.path}: {answer.status_code}"
                    if answer.status_code != 200:
                        assert answer.json()["error"]["message"]

                ask()
        assert asked > 50
        assert server.idle() and server.service.ready


def test_sigterm_under_load_finishes_what_has_begun(tiny_folder, tiny_model, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "unisono", "serve", "--port", str(port), "--model", str(tiny_folder)]
    command += ["--device", "cpu", "--grace", str(PATIENCE), "--slots", "1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env=dict(os.environ))
        try:
            assert soon(lambda: ready(url) or process.poll() is not None)
            assert process.poll() is None, (tmp_path / "log").read_text()
            text = " ".join([sentence(1)] * 8)  # the first is still spoken when the last one comes
            wanted = pcm(tiny_model.say(text, voice=tiny_model.voice("someone"), seed=2).audio)
            with ThreadPoolExecutor(6) as pool:
                asked = [pool.submit(hear, url, text) for _ in range(6)]
                assert soon(lambda: waiting(url) == 6 or any(one.done() for one in asked))
                process.send_signal(signal.SIGTERM)
                assert [one.result() == wanted for one in asked] == [True] * 6
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
    events = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert "stopped" in events and "failure" not in events


def ready(url):
    """Whether a server answers."""
    try:
        return httpx.get(f"{url}/readyz", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def waiting(url):
    """Requests that are in the queue or spoken."""
    lines = httpx.get(f"{url}/metrics", timeout=PATIENCE).text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return float(values["unisono_queue_depth"]) + float(values["unisono_active"])


def hear(url, text):
    """All of the sound of a text."""
    body = {"input": text, "response_format": "pcm", "seed": 2, "voice": "someone"}
    return httpx.post(f"{url}/v1/audio/speech", json=body, timeout=PATIENCE).content
