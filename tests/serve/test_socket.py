"""The WebSocket: text in pieces, sound and words out, flush, cancel, errors."""

import json
from socket import SHUT_RDWR

import numpy as np
import pytest
from serving import PATIENCE, pcm, running, soon
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from unisono.serve import Settings
from unisono.serve.socket import Session

START = {"type": "start", "seed": 4, "voice": "someone"}


def open_socket(server, **options):
    return connect(server.url.replace("http", "ws") + "/v1/audio/speech/stream", **options)


def send(socket, *messages):
    for message in messages:
        socket.send(json.dumps(message))


def until(socket, kind):
    """Messages up to one of a kind, and the sound among them."""
    found, sound = [], b""
    while not found or found[-1]["type"] != kind:
        message = socket.recv(timeout=PATIENCE)
        if isinstance(message, bytes):
            sound += message
        else:
            found.append(json.loads(message))
    return found, sound


def test_pieces_of_text_become_sentences(server, tiny_model):
    voice = tiny_model.voice("someone")
    first, second = (tiny_model.say(text, voice=voice, seed=4) for text in ("Hello there, you.", "How are you?"))
    with open_socket(server) as socket:
        send(socket, START, *({"type": "text", "text": piece} for piece in ("Hel", "lo there, you. How", " are you?")))
        send(socket, {"type": "end"})
        messages, sound = until(socket, "done")
    assert messages[0] == {"type": "ready", "sample_rate": 24000, "format": "pcm", "voice": "someone"}
    assert sound == pcm(first.audio, second.audio)
    words = [word for message in messages if message["type"] == "words" for word in message["words"]]
    assert [word["text"] for word in words] == ["Hello", "there,", "you.", "How", "are", "you?"]
    starts = [word.start for word in first.words] + [word.start + first.duration for word in second.words]
    assert np.allclose([word["start"] for word in words], starts, atol=1e-5)
    tokens = [token for message in messages if message["type"] == "tokens" for token in message["tokens"]]
    positions = [token["position"] for token in tokens]
    assert positions == sorted(set(positions))
    assert [token["gap"] for token in tokens] == np.diff(positions, prepend=0).tolist()
    assert messages[-1]["duration"] == pytest.approx(first.duration + second.duration)
    assert messages[-1]["usage"]["input_tokens"] == len(tokens)


def test_a_sentence_is_spoken_before_the_end_is_sent(server):
    with open_socket(server) as socket:
        send(socket, {"type": "text", "text": "One sentence. And a"})
        messages, sound = until(socket, "words")
        assert sound and messages[-1]["words"][0]["text"] == "One"
        send(socket, {"type": "flush"})
        messages, sound = until(socket, "flushed")
        assert "And" in [word["text"] for message in messages if "words" in message for word in message["words"]]
        send(socket, {"type": "end"})
        assert until(socket, "done")[0]


def test_cancel_drops_what_is_not_spoken(server, tiny_model):
    text = "This is a long story with many words. " * 40
    with open_socket(server) as socket:
        send(socket, START, {"type": "text", "text": text}, {"type": "flush"})
        until(socket, "words")
        send(socket, {"type": "cancel"})
        until(socket, "cancelled")
        assert server.idle()
        send(socket, {"type": "text", "text": "After it."}, {"type": "end"})
        messages, sound = until(socket, "done")
    wanted = tiny_model.say("After it.", voice=tiny_model.voice("someone"), seed=4)
    assert sound == pcm(wanted.audio)
    assert "flushed" not in [message["type"] for message in messages]


def test_another_format_is_one_file(server, tmp_path):
    with open_socket(server) as socket:
        send(socket, {**START, "response_format": "flac"}, {"type": "text", "text": "One. Two."}, {"type": "end"})
        messages, sound = until(socket, "done")
    from serving import decoded

    assert len(decoded(sound, 24000, tmp_path)) == round(messages[-1]["duration"] * 24000)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["no json"], "invalid_json"),
        ([["list"]], "invalid_json"),
        ([{"type": "sing"}], "invalid_value"),
        ([{"type": "text"}], "invalid_value"),
        ([{"type": "text", "text": "a", "more": 1}], "invalid_value"),
        ([{**START, "voice": "nobody"}], "voice_not_found"),
        ([{**START, "colour": "red"}], "unknown_field"),
        ([START, START], "invalid_value"),
        ([START, {"type": "text", "text": "a" * 20_000}], "rate_limit"),
        ([START, {"type": "text", "text": "[rate:99]a[/rate]"}, {"type": "flush"}], "invalid_value"),
    ],
)
def test_messages_that_are_none(server, messages, code):
    with open_socket(server) as socket:
        for message in messages:
            socket.send(message if isinstance(message, str) else json.dumps(message))
        found, _ = until(socket, "error")
        assert found[-1]["error"]["code"] == code
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=PATIENCE)
    assert server.idle()


def test_a_client_that_goes_frees_its_place(server):
    for _ in range(5):
        with open_socket(server) as socket:
            send(socket, {"type": "text", "text": "Some words to say. " * 50}, {"type": "flush"})
            until(socket, "ready")
            socket.socket.shutdown(SHUT_RDWR)
    assert server.idle()


def test_who_says_nothing_or_does_not_read_is_let_go(tiny_model, tiny_folder, monkeypatch):
    run, ended = Session.run, []

    async def noted(session):
        try:
            await run(session)
        finally:
            ended.append(session)

    monkeypatch.setattr(Session, "run", noted)
    with running(Settings(stall=1, most_text=20_000), (tiny_model, tiny_folder)) as server:
        with open_socket(server) as socket:
            error = until(socket, "error")[0][-1]["error"]
            assert error["code"] == "stalled" and error["message"].startswith("no message came in 1 seconds")
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=PATIENCE)
        text = "Some more words to say. " * 200
        with open_socket(server, max_queue=1) as socket:  # what comes further stays in the system's buffers
            send(socket, {**START, "speed": 0.25}, *[{"type": "text", "text": text}] * 10)
            assert soon(lambda: len(ended) == 2)
            assert server.idle() and ended[1].waiting  # it has not said all
            with pytest.raises(ConnectionClosed):
                while True:
                    socket.recv(timeout=PATIENCE)


def test_key_and_origin(tiny_model, tiny_folder):
    with running(Settings(api_keys=("secret-key",)), (tiny_model, tiny_folder)) as server:
        for start, options in (
            ({**START, "api_key": "secret-key"}, {}),
            (START, {"additional_headers": {"Authorization": "Bearer secret-key"}}),
        ):
            with open_socket(server, **options) as socket:
                send(socket, start, {"type": "end"})
                assert until(socket, "done")[1] == b""
        for start in (START, {**START, "api_key": "wrong-key"}):
            with open_socket(server) as socket:
                send(socket, start)
                assert until(socket, "error")[0][-1]["error"]["code"] == "invalid_api_key"
        for options in (
            {"origin": "https://elsewhere.example"},
            {"additional_headers": {"Host": "rebound.example"}, "origin": "http://rebound.example"},
        ):
            with pytest.raises(InvalidStatus):
                open_socket(server, **options)
