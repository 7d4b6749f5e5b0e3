"""Alignment, and voices that clients bring: consent, names, bounds, and what no upload may do."""

import io
import json
import threading
import wave
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from serving import PATIENCE, running, soon
from starlette import formparsers

from unisono.files.store import store_folder, stored_voices
from unisono.serve import Settings, recordings
from unisono.serve.engine import TurnEngine
from unisono.serve.service import RECORDINGS
from unisono.serve.uploads import MOST_CHANNELS, decode_upload

CONSENT = "I am the speaker and allow this."


def sound(seconds=3.0, rate=24000, channels=1, kind="WAV", **options):
    """Bytes of a sound file."""
    at = np.arange(int(seconds * rate)) / rate
    samples = np.repeat((0.2 * np.sin(2 * np.pi * 150 * at) * np.sin(8 * at))[:, None], channels, 1)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, **options)
    return file.getvalue()


def webm(samples, rate=48000, container="webm", codec="libopus"):
    """What a browser records."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as writer:
        stream = writer.add_stream(codec, rate=rate, layout="mono")
        form = stream.codec_context.format.name
        data = samples[None].astype(np.float32) if form == "fltp" else np.int16(samples[None] * 32767)
        frame = av.AudioFrame.from_ndarray(data, format="fltp" if form == "fltp" else "s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            writer.mux(packet)
    return file.getvalue()


def align(client, content, text, name="json"):
    return client.post(
        "/v1/audio/align", files={"file": ("a.bin", content)}, data={"text": text, "response_format": name}
    )


def test_align_in_all_formats(client, recording, transcript, tiny_model):
    content = recording.read_bytes()
    wanted = tiny_model.align(recording, text=transcript)
    answer = align(client, content, transcript)
    assert [word["text"] for word in answer.json()["words"]] == transcript.split()
    assert answer.json()["words"][0]["start"] == pytest.approx(wanted.words[0].start, abs=1e-5)
    for name, mark in (("srt", "-->"), ("vtt", "WEBVTT"), ("textgrid", "TextGrid"), ("csv", "text,start,end")):
        answer = align(client, content, transcript, name)
        assert answer.status_code == 200 and mark in answer.text


@pytest.mark.parametrize(
    ("content", "text", "status"),
    [
        (b"", "a word", 422),
        (b"no sound at all", "a word", 422),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "a word", 422),
        (b"\x1aE\xdf\xa3 no webm", "a word", 422),
        (b"\x00\x00\x00\x20ftypisom no mp4", "a word", 422),
        (sound(0.01), "a word", 422),
        (sound(1, channels=MOST_CHANNELS + 1), "a word", 422),
        (sound(301, rate=4000), "a word", 413),
        (sound(1), "one " * 100, 422),
        (sound(1), "", 400),
        (sound(1), "...", 400),
        (sound(1), "a" * 4097, 400),
    ],
)
def test_recordings_that_cannot_be_aligned(client, content, text, status):
    answer = align(client, content, text)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_align_wants_its_fields(client):
    assert client.post("/v1/audio/align", data={"text": "a word"}).json()["error"]["param"] == "file"
    assert align(client, sound(1), "a word", "docx").status_code == 400
    assert client.post("/v1/audio/align", json={"text": "a"}).status_code == 400


def test_a_silent_recording_is_refused(client):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(24000), 24000, format="WAV")
    assert align(client, file.getvalue(), "a word").status_code == 422


@pytest.mark.parametrize("kind", ["webm", "mp4"])
def test_what_browsers_record_is_read(kind):
    samples = 0.3 * np.sin(np.arange(48000) * 0.05)
    heard = decode_upload(webm(samples, container=kind, codec="libopus" if kind == "webm" else "aac"), 10)
    assert heard.sample_rate == 48000
    assert abs(len(heard.samples) - 48000) <= 2048
    assert heard.samples.std() == pytest.approx(0.3 / 2**0.5, rel=0.1)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_ordinary_files_are_read(kind):
    heard = decode_upload(sound(1, channels=2, kind=kind), 10)
    assert abs(len(heard.samples) - 24000) < 2400


def add(client, name="me", content=None, text="Hello there.", consent=CONSENT, field="sample"):
    data = {"name": name, "text": text, "consent": consent}
    files = {field: ("me.wav", sound() if content is None else content)}
    return client.post("/v1/audio/voices", files=files, data={k: v for k, v in data.items() if v is not None})


def test_a_voice_comes_speaks_and_goes(server, client, tiny_model):
    answer = add(client, "new-voice")
    assert answer.status_code == 200, answer.text
    voice = answer.json()
    assert voice["id"] == voice["name"] == "new-voice" and voice["origin"] == "added"
    assert isinstance(voice["warnings"], list)
    assert "new-voice" in [voice["id"] for voice in client.get("/v1/audio/voices").json()["data"]]
    assert CONSENT in tiny_model.voice("new-voice").consent
    mine = server.speak(voice="new-voice").content
    assert mine != server.speak(voice="someone").content
    assert add(client, "New-Voice").status_code == 409
    gone = client.delete("/v1/audio/voices/new-voice")
    assert gone.json() == {"id": "new-voice", "object": "voice", "deleted": True}
    assert client.delete("/v1/audio/voices/new-voice").status_code == 404
    assert server.speak(voice="new-voice").status_code == 404


def test_openais_name_of_the_recording_works_too(client):
    assert add(client, "theirs", field="audio_sample").status_code == 200
    assert client.delete("/v1/audio/voices/theirs").status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"consent": None}, 400, "consent"),
        ({"consent": "yes"}, 400, "consent"),
        ({"consent": "1234567890"}, 400, "consent"),
        ({"text": None}, 400, "text"),
        ({"name": None}, 400, "name"),
        ({"name": "../evil"}, 400, "name"),
        ({"name": "..\\evil"}, 400, "name"),
        ({"name": ".hidden"}, 400, "name"),
        ({"name": "a/b"}, 400, "name"),
        ({"name": "con"}, 400, "name"),
        ({"name": "x" * 65}, 400, "name"),
        ({"name": "someone"}, 409, "name"),
        ({"content": b"none"}, 422, None),
        ({"field": "other"}, 400, "sample"),
    ],
)
def test_voices_that_are_refused_leave_nothing(client, fields, status, param):
    before = set(stored_voices())
    answer = add(client, **fields)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param
    assert set(stored_voices()) == before
    assert not [path for path in store_folder().parent.rglob("*evil*")]


@pytest.mark.parametrize("name", ["..", "..%2F..%2Fetc%2Fpasswd", "%2e%2e%2fsomeone", "nobody", "someone.safetensors"])
def test_names_in_paths_lead_nowhere(client, name):
    assert client.delete(f"/v1/audio/voices/{name}").status_code in (404, 405)


def test_a_voice_of_the_model_stays(client):
    answer = client.delete("/v1/audio/voices/someone")
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "voice_of_model"


def test_uploads_have_a_limit(tiny_model, tiny_folder):
    settings = Settings(most_upload=100_000)
    with running(settings, (tiny_model, tiny_folder)) as small, small.client() as client:
        for size in (200_000, 300_000, 3_000_000):
            assert align(client, b"x" * size, "a word").status_code == 413

        def pieces():  # without a content-length
            yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            for _ in range(100):
                yield b"x" * 10_000

        answer = client.post(
            "/v1/audio/align", content=pieces(), headers={"content-type": "multipart/form-data; boundary=b"}
        )
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "too_large"
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("size", [0, 100, 3_000_000])
def test_half_a_form_is_refused_and_leaves_no_file(server, client, monkeypatch, size):
    made = []

    class Kept(formparsers.SpooledTemporaryFile):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", Kept)
    content = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + b"x" * size
    form = {"content-type": 'multipart/form-data; boundary="b"'}
    for end in (b"", b"\r\n--b", b"\r\n--c--"):
        answer = client.post("/v1/audio/align", content=content + end, headers=form)
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_form"
    field = b'\r\n--b\r\ncontent-disposition: form-data; name="text"\r\n\r\na word\r\n--b--'
    for end in (b"", b"\r\n", b"\r\nwhat stands behind it"):
        assert client.post("/v1/audio/align", content=content + field + end, headers=form).status_code == 422
    assert len(made) >= 3 and all(file.closed for file in made)


def test_a_full_queue_is_said_before_anything_is_decoded(tiny_model, tiny_folder, recording, transcript, monkeypatch):
    gate, decoded = threading.Event(), []

    class Gated(TurnEngine):
        def step(self, keys):
            assert gate.wait(PATIENCE)
            return super().step(keys)

    def counted(content, most_seconds):
        decoded.append(len(content))
        return decode_upload(content, most_seconds)

    monkeypatch.setattr(recordings, "decode_upload", counted)
    settings = Settings(queue=1, slots=1)
    with (
        running(settings, (tiny_model, tiny_folder), Gated) as server,
        server.client() as client,
        ThreadPoolExecutor(2) as pool,
    ):
        speaking = pool.submit(server.speak, "Hi.")
        assert server.under_way(active=1)
        waiting = pool.submit(server.speak, "Hi.")
        assert server.under_way(waiting=1)
        for answer in (align(client, recording.read_bytes(), transcript), add(client, "late")):
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "queue_full"
            assert int(answer.headers["retry-after"]) > 0
        assert decoded == []
        gate.set()
        assert speaking.result().status_code == waiting.result().status_code == 200
        assert align(client, recording.read_bytes(), transcript).status_code == 200
        assert len(decoded) == 1


def test_few_recordings_are_held_at_a_time(server, client, recording, transcript, monkeypatch):
    gate, begun = threading.Event(), []

    def held_up(content, most_seconds):
        begun.append(content)
        assert gate.wait(PATIENCE)
        return decode_upload(content, most_seconds)

    monkeypatch.setattr(recordings, "decode_upload", held_up)
    with ThreadPoolExecutor(9) as pool:
        asked = [pool.submit(align, client, recording.read_bytes(), transcript) for _ in range(9)]
        assert server.under_way(waiting=9) and soon(lambda: len(begun) > 0)
        assert len(begun) <= RECORDINGS
        gate.set()
        assert {one.result().status_code for one in asked} == {200}
    assert len(begun) == 9


def test_a_wav_that_lies_about_its_size_costs_no_memory(client):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 24000, 0, "NONE", ""))
        writer.writeframes(b"\1\0" * 24000)
    content = bytearray(file.getvalue())
    content[40:44] = (0x7FFFFFF0).to_bytes(4, "little")
    answer = align(client, bytes(content), "a word")
    assert answer.status_code in (200, 422) and json.loads(answer.text)
