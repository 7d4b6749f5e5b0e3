"""Transcripts by recognisers: a tiny one of transformers from a folder, pocketsphinx, and what cannot be one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from unisono.align.transcribe import cut_at_pauses, tidy, transcribe
from unisono.errors import CheckpointError, InputError, VoiceWarning
from unisono.interface import Audio

LETTERS = "|ETAONIHSRDLUMWCFGYPBVKXJQZ"


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav2vec2-CTC recogniser that hears one letter, whatever is said: all its logits are biases."""
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    folder = tmp_path_factory.mktemp("asr")
    names = {"<pad>": 0, "<unk>": 1, **{letter: index + 2 for index, letter in enumerate(LETTERS)}}
    (folder / "vocab.json").write_text(json.dumps(names))
    tokenizer = Wav2Vec2CTCTokenizer(folder / "vocab.json", bos_token="<pad>", eos_token="<pad>")
    config = Wav2Vec2Config(
        vocab_size=len(names),
        pad_token_id=0,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    model = Wav2Vec2ForCTC(config)
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.bias.zero_()
        model.lm_head.bias[names["A"]] = 5.0
    model.save_pretrained(folder)
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def beeps(seconds: float, rate: int = 16000) -> Audio:
    """Half a second of sound, half a second of silence, and so on."""
    at = np.arange(round(seconds * rate)) / rate
    return Audio((0.3 * np.sin(2 * np.pi * 300 * at) * (at % 1 < 0.5)).astype(np.float32), rate)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_recogniser_of_transformers_by_path(recogniser: Path, rate: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert transcribe(beeps(2.0, rate), str(recogniser)) == "A."
    assert transcribe(beeps(60.0, rate), str(recogniser)) == "A a a."  # in three pieces, cut at pauses
    assert capfd.readouterr() == ("", "")


def test_long_recordings_are_cut_in_pauses() -> None:
    sound = beeps(61.3)
    pieces = list(cut_at_pauses(sound, 25.0))
    assert np.array_equal(np.concatenate([piece.samples for piece in pieces]), sound.samples)
    assert all(len(piece.samples) <= 25 * 16000 for piece in pieces) and len(pieces) == 3
    assert all(not piece.samples[-1600:].any() and not piece.samples[:1600].any() for piece in pieces[1:-1])
    endless = Audio(np.ones(16000 * 60, np.float32), 16000)
    assert [len(piece.samples) / 16000 for piece in cut_at_pauses(endless, 25.0)] == [25, 25, 10]


def test_transcripts_are_tidied() -> None:
    assert tidy("  HELLO THERE ") == "Hello there."
    assert tidy("hello there") == "Hello there."
    assert tidy("Dr. Smith of NASA said so!") == "Dr. Smith of NASA said so!"
    assert tidy("你好") == "你好."
    assert tidy("") == ""


def test_a_function_is_a_recogniser() -> None:
    assert transcribe(beeps(1.0), lambda audio: f"{len(audio.samples)} samples") == "16000 samples."
    for nothing in ("", " ", "..."):
        with pytest.raises(InputError, match="heard no words"):
            transcribe(beeps(1.0), lambda audio, nothing=nothing: nothing)


def test_pocketsphinx_is_english() -> None:
    pytest.importorskip("pocketsphinx")
    with pytest.raises(InputError, match="hears English, not 'fr'"):
        transcribe(beeps(1.0), "pocketsphinx", "fr")


def test_pocketsphinx_hears_speech() -> None:
    pytest.importorskip("pocketsphinx")
    import unisono

    speech = unisono.load(device="cpu").say("It was the best of times, it was the worst of times.", seed=1)
    with pytest.warns(VoiceWarning, match="errs often"):
        heard = transcribe(Audio(speech.audio, speech.sample_rate), "pocketsphinx")
    assert heard[0].isupper() and heard.endswith(".") and {"times", "was", "the"} & set(heard.lower()[:-1].split())


@pytest.mark.parametrize("name", ["missing", "empty", "foreign", "file", "", "no/such", "a\0b", "x" * 300])
def test_what_is_no_recogniser(tmp_path: Path, tiny_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    given = {"foreign": str(tiny_folder), "no/such": name, "": "", "a\0b": name}.get(name, str(tmp_path / name))
    with pytest.raises(CheckpointError, match="a speech recogniser is a folder, a hub name") as caught:
        transcribe(beeps(1.0), given)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_transformers_is_imported_when_it_is_used() -> None:
    code = (
        "import sys, unisono.align.transcribe\n"
        "sys.exit(str({'transformers', 'pocketsphinx'} & set(sys.modules) or '') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
