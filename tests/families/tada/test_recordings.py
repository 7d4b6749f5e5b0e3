"""Voices from recordings: what is cut, warned of and refused, languages, latent noise, and who may use a voice."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from unisono import hub
from unisono.audio import read_audio
from unisono.errors import CheckpointError, InputError, VoiceWarning
from unisono.families.tada.aligner import Aligner
from unisono.files import load_voice, read_header, store_voice
from unisono.interface import AlignedTokens, Audio, Voice


def speech_like(seconds, before=0.0, after=0.0, rate=24000):
    """A buzz that rises and falls four times a second, with silence around it."""
    at = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 20))
    sound = 0.2 * buzz * np.clip(np.sin(2 * np.pi * 4 * at) + 0.3, 0.02, 1)
    noise = np.random.default_rng(0).normal(size=round(before * rate) + round(after * rate)) * 1e-4
    split = round(before * rate)
    return Audio(np.concatenate([noise[:split], sound, noise[split:]]).astype(np.float32), rate)


def equal(a: Voice, b: Voice) -> bool:
    return torch.equal(a.tokens.vectors, b.tokens.vectors) and torch.equal(a.tokens.positions, b.tokens.positions)


@pytest.fixture
def copy(tiny_folder, tmp_path):
    """A copy of the tiny model that may be changed."""
    return shutil.copytree(tiny_folder, tmp_path / "copy")


def change_card(folder, **values):
    card = json.loads((folder / "unisono.json").read_text())
    (folder / "unisono.json").write_text(json.dumps({**card, **values}))


def retrain_encoder(folder):
    """Other weights in the encoder of a model folder."""
    path = folder / "encoder" / "model.safetensors"
    save_file({name: value.flip(0).contiguous() for name, value in load_file(path).items()}, path)


# Making


def test_a_voice_file_says_what_it_is(tiny_model, recording, transcript, tmp_path):
    voice = tiny_model.voice(recording, text=transcript)
    voice.consent = "from herself"
    voice.save(tmp_path / "v.safetensors")
    header = read_header(tmp_path / "v.safetensors")
    assert header["text"] == transcript and header["language"] == "en" and header["sample_rate"] == "24000"
    assert header["model"] == "tiny" and header["consent"] == "from herself" and len(header["created"]) == 10
    assert equal(voice, tiny_model.voice(recording, text=transcript))


def test_latent_noise_only_where_it_is_asked_for(tiny_model, recording, transcript):
    voice = tiny_model.voice(recording, text=transcript)
    drawn = [tiny_model.voice(recording, text=transcript, sample_latent=True, seed=seed) for seed in (1, 1, 2)]
    assert equal(drawn[0], drawn[1]) and not equal(drawn[0], drawn[2]) and not equal(drawn[0], voice)
    assert torch.equal(drawn[0].tokens.positions, voice.tokens.positions)
    moved = (drawn[0].tokens.vectors - voice.tokens.vectors).std()
    assert 0.15 < float(moved) < 0.45  # the tiny encoder's std is 0.3
    tokens = tiny_model.encode(recording, text=transcript, sample_latent=True, seed=1)
    assert not torch.equal(tokens.vectors, tiny_model.encode(recording, text=transcript).vectors)
    with pytest.raises(InputError, match="seed"):
        tiny_model.voice(recording, text=transcript, sample_latent=True, seed=-1)


def test_silence_around_is_cut_and_pauses_stay(tiny_model, transcript):
    plain = tiny_model.voice(speech_like(3.0), text=transcript)
    padded = tiny_model.voice(speech_like(3.0, before=2.0, after=1.5), text=transcript)
    assert plain.tokens.samples == 72000
    assert padded.tokens.samples / 24000 == pytest.approx(3.0 + 0.1 + 0.3, abs=0.1)
    assert tiny_model.encode(speech_like(3.0, before=2.0), text=transcript).samples == 120000  # a recording is not


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (192000, 8)])
def test_rates_and_channels(tiny_model, transcript, tmp_path, rate, channels):
    import soundfile

    sound = speech_like(3.0, rate=rate)
    soundfile.write(tmp_path / "r.wav", np.repeat(sound.samples[:, None], channels, 1), rate)
    voice = tiny_model.voice(tmp_path / "r.wav", text=transcript)
    assert voice.name == "r" and voice.tokens.samples == 72000 and voice.tokens.frames == 150


def test_long_recordings_go_through_windows_that_equal_the_whole(tiny_model, monkeypatch):
    text = "This is a rather long text. " * 30
    windows = []
    attend = tiny_model.encoder.attend
    monkeypatch.setattr(tiny_model.encoder, "attend", lambda *args, **kw: windows.append(1) or attend(*args, **kw))
    long = tiny_model.voice(speech_like(45.0), text=text)
    assert len(windows) > 1 and long.tokens.frames == 2250
    with torch.inference_mode():
        whole = tiny_model.encoder.frames(*_whole(long, speech_like(45.0)))[0][long.tokens.positions - 1]
    assert float((whole - long.tokens.vectors).abs().max()) < 1e-4


def _whole(voice, sound):
    masks = torch.zeros(1, voice.tokens.frames, dtype=torch.int64)
    masks[0, voice.tokens.positions - 1] = 1
    return torch.from_numpy(sound.samples)[None], masks


# Warnings


def warned(call) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(issubclass(item.category, VoiceWarning) and item.filename == __file__ for item in caught)
    assert all("\n" not in str(item.message) and "the voice will" in str(item.message) for item in caught)
    return [str(item.message) for item in caught]


def test_what_is_wrong_with_a_recording_is_said(tiny_model, transcript):
    assert warned(lambda: tiny_model.voice(speech_like(3.0), text=transcript)) == []
    (short,) = warned(lambda: tiny_model.voice(speech_like(0.6), text=transcript))
    assert "too short" in short and "9 to 15 seconds" in short
    (few,) = warned(lambda: tiny_model.voice(speech_like(3.0), text="Hi"))
    assert "3 tokens" in few
    loud = speech_like(3.0)
    (clipped,) = warned(lambda: tiny_model.voice(Audio(np.clip(4 * loud.samples, -0.5, 0.5), 24000), text=transcript))
    assert "clipped" in clipped and "rough" in clipped
    (long,) = warned(lambda: tiny_model.voice(speech_like(70.0), text=transcript))
    assert "70 s" in long


def test_a_transcript_that_does_not_fit_is_doubted(copy):
    """Logits that spell a text, in the order of its tokens, agree with that text and with no other."""
    path = copy / "aligner" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "least_agreement": 0.5}))
    model = hub.load(copy, device="cpu")
    text, other = "The quick brown fox jumps over it.", "Nobody knows where they went at noon."
    ids = torch.tensor(model.recordings.spell(text).ids)

    def spelled(wave, columns, window):
        logits = torch.zeros(150, model.aligner.config.vocab_size)
        logits[torch.arange(len(ids)) * 4 + 2, ids] = 12.0
        yield logits if columns is None else logits[:, columns]

    model.aligner._rows = spelled
    assert warned(lambda: model.voice(speech_like(3.0), text=text)) == []
    (doubt,) = warned(lambda: model.voice(speech_like(3.0), text=other))
    assert "fits the recording badly" in doubt and "check text and language" in doubt


# Languages


@pytest.mark.parametrize(("language", "folder"), [("fr", "aligner-fr"), ("zh", "aligner-ch"), ("ch", "aligner-ch")])
def test_language_picks_the_aligner(copy, recording, transcript, language, folder):
    english = hub.load(copy, device="cpu").voice(recording, text=transcript)
    torch.manual_seed(5)
    Aligner(Aligner.from_pretrained(copy / "aligner").config).save_pretrained(copy / folder)
    model = hub.load(copy, device="cpu", language=language)
    voice = model.voice(recording, text=transcript)
    assert voice.language == {"ch": "zh"}.get(language, language) == model.language
    assert not torch.equal(voice.tokens.positions, english.tokens.positions)
    assert len(model.say("Bon", voice=voice).audio)


def test_a_missing_aligner_says_what_to_fetch(copy, recording, transcript, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = hub.load(copy, device="cpu", language="pl")
    for call in (model.voice, model.align, model.encode):
        with pytest.raises(CheckpointError, match=r"HumeAI/tada-codec, subfolder aligner-pl") as caught:
            call(recording, text=transcript)
        assert "\n" not in str(caught.value)
    for unknown in ("xx", "", "klingon"):
        with pytest.raises(InputError, match="choose one of en, ar, zh, de"):
            hub.load(copy, device="cpu", language=unknown)


# Who may use a voice


def test_the_same_encoder_is_recognised_however_it_is_stored(copy, tiny_model, recording, transcript, tmp_path):
    voice = tiny_model.voice(recording, text=transcript)
    model = hub.load(copy, device="cpu")
    for dtype in (torch.float32, torch.bfloat16):
        model.encoder.save_pretrained(copy / "encoder", dtype=dtype)
        change_card(copy, name=f"renamed-{dtype}")  # what convert and save_pretrained may do to a published model
        assert len(hub.load(copy, device="cpu").say("Hello.", voice=voice).audio)
    assert "renamed" in hub.load(copy, device="cpu").voice(recording, text=transcript).tokens.model


def test_another_version_of_the_encoder_is_refused(copy, tiny_model, recording, transcript):
    voice = tiny_model.voice(recording, text=transcript)
    retrain_encoder(copy)
    model = hub.load(copy, device="cpu")
    for call in (lambda: model.say("Hello.", voice=voice), lambda: model.decode(voice.tokens)):
        with pytest.raises(CheckpointError, match="another version of tiny, whose encoder"):
            call()
    with pytest.raises(CheckpointError, match="another version"):
        model.say("Hello.")  # its ready voice is of the old version too
    change_card(copy, name="other")
    with pytest.raises(CheckpointError, match=r"model tiny \(tada\), cannot be used by other"):
        hub.load(copy, device="cpu").say("Hello.", voice=voice)


def test_a_changed_header_does_not_help(tiny_model, recording, transcript):
    tokens = tiny_model.voice(recording, text=transcript).tokens
    renamed = Voice("x", AlignedTokens(**{**vars(tokens), "model": "other"}))
    with pytest.raises(CheckpointError, match="model other"):
        tiny_model.say("Hello.", voice=renamed)
    unmarked = Voice("x", AlignedTokens(**{**vars(tokens), "maker": ""}))
    assert len(tiny_model.say("Hello.", voice=unmarked).audio)  # the name is all there is to go by
    wide = AlignedTokens(**{**vars(tokens), "vectors": torch.ones(len(tokens.text_ids), 9)})
    with pytest.raises(CheckpointError, match="9 numbers, this model wants 8"):
        tiny_model.say("Hello.", voice=Voice("x", wide))


def test_speaking_does_without_the_encoder(copy):
    shutil.rmtree(copy / "encoder")
    shutil.rmtree(copy / "aligner")
    assert len(hub.load(copy, device="cpu").say("Hello.").audio)


# By name


def test_voices_by_name(tiny_model, recording, transcript, tmp_path, monkeypatch):
    monkeypatch.setenv("UNISONO_HOME", str(tmp_path))
    made = tiny_model.voice(recording, text=transcript)
    made.name = "Anna"
    path = store_voice(made)
    assert equal(tiny_model.voice("Anna"), made) and equal(tiny_model.voice(str(path)), made)
    assert equal(tiny_model.voice("someone"), load_voice(tiny_model.folder / "voices" / "someone.safetensors"))
    with pytest.raises(InputError, match="give its text, or a speech recogniser"):
        tiny_model.voice(recording)


def test_a_function_may_listen(tiny_model, recording):
    heard = []
    voice = tiny_model.voice(recording, asr=lambda audio: heard.append(audio) or "HELLO THERE FRIENDS")
    assert voice.tokens.text == "Hello there friends." and len(heard) == 1
    assert np.array_equal(heard[0].samples, read_audio(recording).samples)


def test_a_text_that_is_not_what_is_said_is_warned_of(recording):
    import unisono

    tts = unisono.load(device="cpu")
    with pytest.warns(VoiceWarning, match="words will stand in wrong places"):
        tts.align(recording, text="Completely different words about the weather in Paris tomorrow.")
