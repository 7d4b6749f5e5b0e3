"""`unisono continue`, and the flags of generation: what users type and what they get, with a tiny random model."""

import json
import os

import numpy as np
import pytest

from unisono.audio import read_audio
from unisono.cli import main
from unisono.text import source_words


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def go_on(tiny_folder, recording, transcript):
    """Arguments of `continue` for a recording of three seconds."""
    return ["continue", str(recording), "--text", transcript, "--model", str(tiny_folder), "--tokens", "9"]


def test_continue_says_text_length_and_words(work, go_on, capsys):
    assert main([*go_on, "-o", "more.wav", "--words", "more.json", "--plot", "more.png", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "RTF" in out
    written = json.loads((work / "more.json").read_text())
    assert 1 <= len(written["tokens"]) <= 9
    assert [word["text"] for word in written["words"]] == [
        written["text"][a:b] for a, b in source_words(written["text"])
    ]
    assert written["duration"] == pytest.approx(len(read_audio("more.wav").samples) / 24000)
    assert (work / "more.png").exists()


def test_continue_with_the_recording_before_it(work, go_on, recording, transcript):
    assert main([*go_on, "-o", "alone.wav"]) == 0
    assert main([*go_on, "-o", "both.wav", "--with-prompt", "--words", "both.json"]) == 0
    alone, both, first = (read_audio(name).samples for name in ("alone.wav", "both.wav", recording))
    assert len(both) == len(first) + len(alone)
    assert np.abs(both[: len(first)] - first).max() < 1e-3
    assert json.loads((work / "both.json").read_text())["text"].startswith(transcript)


@pytest.mark.parametrize(
    "change",
    [
        ["--tokens", "0"],
        ["--tokens", "many"],
        ["--tokens", "100000"],
        ["--top-p", "1.5"],
        ["--top-k", "-1"],
        ["--text-temperature", "0"],
        ["--repetition-penalty", "nan"],
        ["--scorer", "best"],
        ["--retries", "-1"],
        ["--speaker-threshold", "2"],
        ["--text", ""],
        ["--text", "word " * 300],
        ["--words", "words.txt"],
        ["-o", "missing/more.wav"],
        ["--device", "toaster"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_used_is_one_line(work, go_on, capsys, change):
    assert main([*go_on, *change]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("unisono: ") and err.count("\n") == 1 and "Traceback" not in err
    assert os.listdir() == []


@pytest.mark.parametrize("sound", ["missing.wav", "text.wav", "folder", "silent.wav"])
def test_recordings_that_cannot_be_used(work, tmp_path_factory, go_on, capsys, sound):
    import soundfile

    things = tmp_path_factory.mktemp("things")
    (things / "text.wav").write_text("this is no sound " * 50)
    (things / "folder").mkdir()
    soundfile.write(things / "silent.wav", np.zeros(24000), 24000)
    go_on[1] = str(things / sound)
    assert main(go_on) == 2
    assert capsys.readouterr().err.count("\n") == 1 and os.listdir() == []


def test_scores_are_reported(work, tiny_folder, capsys):
    command = ["say", "Hello there. And this.", "--model", str(tiny_folder), "-o", "a.wav"]
    assert main([*command, "--speaker-threshold", "-1"]) == 0
    assert capsys.readouterr().out.count("speaker score") == 2
    assert main(command) == 0
    assert "speaker score" not in capsys.readouterr().out


def test_flags_change_the_sound(work, tiny_folder):
    command = [
        "say",
        "Hello there, how are you?",
        "--model",
        str(tiny_folder),
        "--steps",
        "3",
    ]  # two steps are any grid
    assert main([*command, "-o", "plain.wav"]) == 0
    changes = (["--time-grid", "uniform"], ["--guidance-schedule", "constant"], ["--negative-source", "zero"])
    for change in (*changes, ["--candidates", "2"], ["--duration-temperature", "0.1"], ["--system-prompt", "hm"]):
        assert main([*command, "-o", "changed.wav", *change]) == 0
        assert (work / "plain.wav").read_bytes() != (work / "changed.wav").read_bytes(), change
