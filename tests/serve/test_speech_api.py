"""OpenAI's contract: the official client, formats, events, timestamps, batches, errors."""

import base64
import io
import json
import wave

import numpy as np
import openai
import pytest
from serving import TEXT, decoded, pcm

from unisono.serve.encodings import FORMATS
from unisono.serve.names import MODEL_ALIASES, VOICE_ALIASES


@pytest.fixture(scope="module")
def whole(tiny_model, tiny_folder):
    """What the library says offline."""
    return tiny_model.say(TEXT, voice=tiny_model.voice("someone"), seed=3)


@pytest.fixture
def official(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_the_official_client_speaks(official, whole):
    answer = official.audio.speech.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="pcm", extra_body={"seed": 3}
    )
    assert answer.content == pcm(whole.audio)


def test_the_official_client_streams(official, whole):
    pieces = []
    with official.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice={"id": "someone"}, input=TEXT, response_format="wav", extra_body={"seed": 3}
    ) as answer:
        assert answer.headers["content-type"] == "audio/wav"
        pieces = list(answer.iter_bytes(4096))
    assert len(pieces) > 1
    with wave.open(io.BytesIO(b"".join(pieces))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        assert file.readframes(file.getnframes()) == pcm(whole.audio)


def test_the_official_client_lists_models_and_voices(official, tiny_folder):
    ids = [model.id for model in official.models.list()]
    assert set(MODEL_ALIASES) < set(ids)
    assert official.models.retrieve(ids[0]).id == ids[0]
    with pytest.raises(openai.NotFoundError) as caught:
        official.models.retrieve("gpt-9")
    assert caught.value.body["code"] == "model_not_found"
    voices = official.get("/audio/voices", cast_to=object)
    assert voices["data"] == voices["voices"]
    assert [voice["id"] for voice in voices["data"] if voice["default"]] == ["someone"]
    assert set(voices["aliases"]) == set(VOICE_ALIASES)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("stream", [True, False])
def test_every_format_holds_all_of_the_sound(server, whole, name, stream, tmp_path):
    answer = server.speak(seed=3, response_format=name, stream=stream)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == FORMATS[name].media
    assert ("content-length" in answer.headers) is not stream
    if name == "pcm":
        assert answer.content == pcm(whole.audio)
        return
    heard = decoded(answer.content, 24000, tmp_path)
    more = len(heard) - len(whole.audio)
    if name == "aac":  # ADTS cannot say where the sound begins
        assert 1024 <= more < 1024 + 1024
    elif name == "mp3" and stream:
        assert 0 <= more < 576
    else:
        assert more == 0
    if name in ("flac", "wav"):
        assert heard.astype("<i2").tobytes() == pcm(whole.audio)


def test_a_complete_wav_has_exact_sizes(server, whole):
    with wave.open(io.BytesIO(server.speak(seed=3, response_format="wav", stream=False).content)) as file:
        assert file.getnframes() == len(whole.audio)


def test_the_default_is_mp3(server):
    assert server.speak(response_format=None).headers["content-type"] == "audio/mpeg"


def test_seed_and_controls_matter(server, tiny_model):
    voice = tiny_model.voice("someone")
    for fields in ({"seed": 5}, {"steps": 4}, {"guidance": 1.0}, {"speed": 2.0}, {"temperature": 0.2}):
        wanted = tiny_model.say(TEXT, voice=voice, **{"seed": 0, **fields})
        assert server.speak(**fields).content == pcm(wanted.audio), fields


def events_of(answer):
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.split("\n\n")
    assert lines.pop() == ""
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_events_bear_sound_words_and_tokens(server, whole):
    events = events_of(server.speak(seed=3, stream_format="sse", voice="someone"))
    kinds = [event["type"] for event in events]
    assert kinds[0] == "speech.audio.delta" and kinds[-1] == "speech.audio.done"
    assert kinds.index("speech.audio.word") < len(kinds) - 1 - kinds[::-1].index("speech.audio.delta")
    sound = b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")
    assert sound == pcm(whole.audio)
    words = [(e["text"], e["start"], e["end"]) for e in events if e["type"] == "speech.audio.word"]
    assert [word[0] for word in words] == [word.text for word in whole.words]
    assert np.allclose([word[1:] for word in words], [word[1:] for word in whole.words], atol=1e-5)
    tokens = [token for event in events if event["type"] == "speech.audio.tokens" for token in event["tokens"]]
    assert [tuple(token.values()) for token in tokens] == [tuple(token) for token in whole.tokens]
    done = events[-1]
    assert done["usage"] == {"input_tokens": len(tokens), "output_tokens": len(tokens), "total_tokens": 2 * len(tokens)}
    assert done["duration"] == pytest.approx(whole.duration) and done["seed"] == 3


def test_timestamps(client, whole):
    content = client.post(
        "/v1/audio/speech/timestamps", json={"input": TEXT, "seed": 3, "response_format": "pcm"}
    ).json()
    assert base64.b64decode(content["audio"]) == pcm(whole.audio)
    assert [word["text"] for word in content["words"]] == TEXT.split()
    assert len(content["tokens"]) == len(whole.tokens) and content["text"] == TEXT
    assert content["duration"] == pytest.approx(whole.duration)


def test_timestamps_of_a_model_that_knows_none(client, tiny_model, monkeypatch):
    monkeypatch.setattr(tiny_model, "word_times", False, raising=False)
    answer = client.post("/v1/audio/speech/timestamps", json={"input": TEXT})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "unsupported"
    assert client.post("/v1/audio/speech", json={"input": "One."}).status_code == 200


def test_a_batch_judges_each_item_by_itself(client, tiny_model):
    items = [
        {"input": "One.", "seed": 1, "response_format": "pcm"},
        {"input": "..."},
        {"input": "Two.", "voice": "nobody"},
        {"input": "Three.", "colour": "red"},
        "four",
        {"input": "Five.", "seed": 5, "response_format": "pcm"},
    ]
    answer = client.post("/v1/audio/speech/batch", json={"items": items})
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert [item["index"] for item in data] == list(range(6))
    assert [item.get("error", {}).get("code") for item in data] == [
        None,
        "invalid_value",
        "voice_not_found",
        "unknown_field",
        "invalid_value",
        None,
    ]
    for index, (text, seed) in {0: ("One.", 1), 5: ("Five.", 5)}.items():
        wanted = tiny_model.say(text, voice=tiny_model.voice("someone"), seed=seed)
        assert base64.b64decode(data[index]["audio"]) == pcm(wanted.audio)
    for count in (0, 33):
        assert client.post("/v1/audio/speech/batch", json={"items": [items[0]] * count}).status_code == 400


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        ({"input": ""}, 400, "input", "invalid_value"),
        ({"input": None}, 400, "input", None),
        ({"input": " … "}, 400, "input", "invalid_value"),
        ({"input": "a" * 4097}, 400, "input", "string_above_max_length"),
        ({"input": "\ud800 half"}, 400, None, None),
        ({"model": "gpt-9"}, 404, "model", "model_not_found"),
        ({"voice": "nobody"}, 404, "voice", "voice_not_found"),
        ({"voice": {"id": "../../etc/passwd"}}, 404, "voice", "voice_not_found"),
        ({"voice": "/tmp/some.safetensors"}, 404, "voice", "voice_not_found"),
        ({"voice": 7}, 400, None, "invalid_value"),
        ({"response_format": "ogg"}, 400, "response_format", "invalid_value"),
        ({"speed": 5}, 400, "speed", "invalid_value"),
        ({"speed": "1"}, 400, "speed", "invalid_value"),
        ({"speed": True}, 400, "speed", "invalid_value"),
        ({"seed": -1}, 400, "seed", "invalid_value"),
        ({"seed": 1.5}, 400, "seed", "invalid_value"),
        ({"steps": 101}, 400, "steps", "invalid_value"),
        ({"language": "tlh"}, 400, "language", "invalid_value"),
        ({"volume": 3}, 400, "volume", "unknown_field"),
        ({"stream": False, "stream_format": "sse"}, 400, "stream", "invalid_value"),
        ({"input": "Open [rate:9]tag"}, 400, "input", "invalid_value"),
        ({"input": "Wait" + " [pause:10s]" * 13}, 400, "input", "pauses_above_max_length"),
        ({"input": "[rate:0.25]" + "a word " * 300 + "[/rate]", "speed": 0.5}, 400, "input", "string_above_max_length"),
    ],
)
def test_what_cannot_be_spoken_is_refused_before_a_200(server, client, fields, status, param, code):
    body = json.dumps({"input": TEXT, **fields})
    for more in ({}, {"stream_format": "sse"}) if "stream" not in fields else ({},):
        answer = client.post(
            "/v1/audio/speech",
            content=json.dumps(json.loads(body) | more),
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == status, answer.text
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"]
        assert error["type"] == "invalid_request_error"
        if param is not None:
            assert error["param"].split(".")[0] == param
        if code is not None:
            assert error["code"] == code
    assert server.idle()


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"input": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"input": "Hi."}', "text/plain", 400),
        (b'"Hi."', "application/json", 400),
        (b"a" * (1 << 20) + b"a", "application/json", 413),
    ],
)
def test_bodies_that_are_none(client, content, kind, status):
    answer = client.post("/v1/audio/speech", content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_what_a_text_may_ask_for(server):
    check = server.service.names.check_duration
    check("Wait" + " [pause:10s]" * 12, 0.25)
    check("a word " * 585, 0.25)
    check("[rate:0.25]" + "a word " * 570 + "[/rate]", 1.0)
    check("[rate:4]" + "a word " * 570 + "[/rate]", 0.25)


def test_instructions_are_taken_and_said_to_be_ignored(server):
    answer = server.speak(instructions="Whisper.")
    assert answer.status_code == 200
    assert answer.headers["x-unisono-ignored"] == "instructions"


def test_unknown_paths_and_methods_have_our_shape(client):
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/audio/speech", 405)):
        answer = client.request(method, path)
        assert answer.status_code == status and answer.json()["error"]["message"]


def test_letters_that_the_model_cannot_read_are_left_out_and_not_printed(server, client, recwarn):
    answer = server.speak("Hello \N{CJK UNIFIED IDEOGRAPH-4E2D} there.", client=client)
    assert answer.status_code == 200 and len(answer.content) > 0
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]
