"""TASTE through the command line and its processor: the same commands as for any family."""

import json

import numpy as np
import pytest
import torch
from test_taste_lm import Words

from unisono.audio import read_audio
from unisono.cli import main
from unisono.errors import AudioError, InputError
from unisono.families.taste import TasteProcessor
from unisono.families.taste.fewshot import Turn, pace_transcript
from unisono.files import load_tokens
from unisono.hub import is_packaged


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_encode_and_decode(work, taste_dir, recording, transcript, capsys):
    arguments = ["--text", transcript, "--model", str(taste_dir)]
    assert main(["encode", str(recording), *arguments, "-o", "t.safetensors"]) == 0
    assert main(["decode", "t.safetensors", "--model", str(taste_dir), "-o", "back.wav"]) == 0
    tokens = load_tokens("t.safetensors")
    assert tokens.family == "taste" and tokens.codes.shape[1] == 3
    samples, rate = read_audio("back.wav")
    assert (len(samples), rate) == (tokens.samples, 24000)
    out, err = capsys.readouterr()
    assert "bits per second" in out and err == ""


def test_say_and_continue(work, taste_dir, recording, transcript, capsys):
    model = ["--model", str(taste_dir), "--seed", "3"]
    voice = ["--voice", str(recording), "--voice-text", transcript]
    assert main(["say", "Hello there.", "-o", "a.wav", "--words", "a.json", *voice, *model]) == 0
    words = json.loads((work / "a.json").read_text())
    assert [word["text"] for word in words["words"]] == ["Hello", "there."]
    assert main(["continue", str(recording), "--text", transcript, "--tokens", "8", "-o", "more.wav", *model]) == 0
    assert len(read_audio("more.wav").samples) > 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["say", "Hello."], "no voice of its own"),
        (["edit", "ref.wav", "--text", "it is", "--replace", "it=she", "-o", "e.wav"], "cannot edit"),
        (["say", "Hello.", "--guidance", "2"], "no option 'guidance'"),
    ],
)
def test_what_taste_cannot_do_is_said_in_a_sentence(work, taste_dir, arguments, said, capsys):
    assert main([*arguments, "--model", str(taste_dir)]) == 2
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and not out and not list(work.iterdir())


def test_the_processor_gives_what_the_models_calls_take():
    wave = np.sin(np.arange(16000) / 20).astype(np.float32)
    processor = TasteProcessor(Words(), Words(), bands=80)
    given = processor(wave, 16000, text="no a", output_text_info=True, leading_space=False)
    assert given["audio_features"].shape == (1, 3000, 80) and int(given["audio_feature_lengths"]) == 100
    assert given["words"] == ["no", " a"] and given["asr_word_ids"].tolist() == [[0, 0, 1]]
    assert given["asr_word_ids"].dtype == torch.int32 and given["asr_token_ids"].dtype == torch.int64
    with pytest.raises(AudioError, match=r"31\.0 s, TASTE hears 30 s"):
        processor(np.ones(31 * 16000, np.float32), 16000, text="no a")
    with pytest.raises(InputError, match="recogniser"):
        TasteProcessor(Words(), Words())(wave, 16000)


def test_pace_by_example():
    made = pace_transcript([Turn("slow", "one two")], "fast", "three")
    assert made.count("[Q]") == made.count("[A]") == 2 and made.endswith("three [A]")
    assert "slow pace: one two [A] one two" in made


@pytest.mark.parametrize("turns", [[], [Turn("lazy", "a")], [Turn("slow", " ")]])
def test_pace_without_an_example_is_refused(turns):
    with pytest.raises(InputError):
        pace_transcript(turns, "slow", "b")


@pytest.mark.skipif(not is_packaged("taste-small"), reason="this copy comes without taste-small")
def test_the_model_that_comes_with_the_package_is_found_by_its_name(work, recording, transcript, capsys):
    model = ["--model", "taste-small"]
    assert main(["encode", str(recording), "--text", transcript, *model, "-o", "t.safetensors"]) == 0
    assert main(["decode", "t.safetensors", "-o", "back.wav"]) == 0  # by the model that made it
    assert len(read_audio("back.wav").samples) == load_tokens("t.safetensors").samples
    assert main(["say", "Hello there.", *model, "-o", "a.wav"]) == 0
    assert main(["decode", "t.safetensors", "--model", "builtin", "-o", "other.wav"]) == 2
    assert "made by model taste-small" in capsys.readouterr().err and not (work / "other.wav").exists()
