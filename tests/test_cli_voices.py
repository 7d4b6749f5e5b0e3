"""`unisono voice ...` and voices in `say`, with a tiny random model: what works, and what is refused in a sentence."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import soundfile
from safetensors.torch import load_file, save_file

from unisono.cli import main
from unisono.files import load_tokens, load_voice

BAD_NAMES = ["", "../x", "con", "x" * 300, "a/b", "a b", ".x", "x.wav", "someone", "SOMEONE", "🙂", "a\0b"]
BAD_SOURCES = ["missing.wav", "folder", "text.wav", "empty.wav", "one.wav", "silent.wav", "nan.wav", "nobody"]
BAD_SOURCES += ["cut.safetensors", "text.safetensors", "missing.safetensors", "folder.safetensors", "a\0b.wav"]


@pytest.fixture
def work(tmp_path, monkeypatch, tiny_folder):
    """An empty folder to work in, an empty home, and the tiny model in the place of the built-in one."""
    monkeypatch.setenv("UNISONO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("unisono.hub.builtin_folder", lambda: tiny_folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture
def run(capsys):
    """Runs a command that must work and gives what it printed."""

    def call(*words) -> str:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert (code, err) == (0, ""), err
        return out

    return call


@pytest.fixture
def refused(work, capsys):
    """Runs a command that must be refused, in one line, with nothing written."""

    def call(*words) -> str:
        before = sorted(work.rglob("*"))
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert (code, out) == (2, ""), (out, err)
        assert err.startswith("unisono: ") and err.count("\n") == 1 and len(err) < 700, err
        assert sorted(work.rglob("*")) == before
        return err

    return call


def test_the_life_of_a_voice(work, run, recording, transcript):
    added = run("voice", "add", "Anna", recording, "--text", transcript, "--consent", "she said yes")
    assert added.startswith(f"Anna: {len(transcript) + 1} tokens, 2.")
    stored = work / "home" / "voices" / "Anna.safetensors"
    assert load_voice(stored).consent == "she said yes" and load_voice(stored).name == "Anna"
    assert [line.split()[:3] for line in run("voice", "list").splitlines()[1:]] == [
        ["someone", "model", "tiny"],
        ["Anna", "added", "tiny"],
    ]
    shown = run("voice", "show", "Anna")
    assert "she said yes" in shown and transcript in shown and "tiny (tada)" in shown and "created" in shown
    run("say", "Hello.", "--voice", "Anna", "-o", "a.wav")
    run("voice", "export", "Anna", "anna.safetensors")
    run("voice", "add", "Berta", "anna.safetensors")
    run("voice", "remove", "Anna")
    assert not stored.exists() and "Anna" not in run("voice", "list")
    run("say", "Hello.", "--voice", "anna.safetensors", "-o", "b.wav")
    run("say", "Hello.", "--voice", "Berta", "-o", "c.wav")
    with open("a.wav", "rb") as a, open("b.wav", "rb") as b, open("c.wav", "rb") as c:
        assert a.read() == b.read() == c.read()


def test_adding_again_takes_force(work, run, refused, recording, transcript):
    run("voice", "add", "Anna", recording, "--text", transcript)
    assert "--force" in refused("voice", "add", "Anna", recording, "--text", "Other words.")
    assert "case" in refused("voice", "add", "anna", recording, "--text", "Other words.", "--force")
    run("voice", "add", "Anna", recording, "--text", "Other words.", "--force", "--sample-latent", "--seed", "3")
    assert "Other words." in run("voice", "show", "Anna")


def test_help_asks_for_consent(run):
    out = " ".join(run("voice", "add", "--help").split())
    assert "--consent NOTE" in out and "Who allowed the use" in out and "only of people who allow it" in out


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:12])
def test_hostile_names(work, refused, recording, transcript, name):
    refused("voice", "add", name, recording, "--text", transcript)
    if name.lower() != "someone":
        refused("voice", "show", name)
        refused("voice", "export", name, "v.safetensors")
        refused("say", "Hello.", "--voice", name, "--voice-text" if name == "x.wav" else "--seed", "1")
    refused("voice", "remove", name)


@pytest.mark.parametrize("source", BAD_SOURCES, ids=ascii)
def test_hostile_sources(work, refused, recording, transcript, tiny_folder, source):
    sound, rate = soundfile.read(recording, dtype="float32")
    os.mkdir("folder")
    os.mkdir("folder.safetensors")
    for name in ("text.wav", "text.safetensors"):
        (work / "work" / name).write_text("neither sound nor tensors " * 20)
    (work / "work" / "empty.wav").touch()
    soundfile.write("one.wav", sound[9000:9001], rate)
    soundfile.write("silent.wav", np.zeros_like(sound), rate)
    soundfile.write("nan.wav", np.where(np.arange(len(sound)) == 99, np.nan, sound), rate, subtype="FLOAT")
    good = (tiny_folder / "voices" / "someone.safetensors").read_bytes()
    (work / "work" / "cut.safetensors").write_bytes(good[:-100])
    text = [] if source.endswith(".safetensors") else ["--text", transcript]
    refused("voice", "add", "Anna", source, *text)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--text", ""],
        ["--text", "..."],
        ["--text", "word " * 300],
        ["--asr", "missing"],
        ["--asr", "nobody/nothing"],
        ["--asr", "."],
        ["--asr", "pocketsphinx", "--language", "de"],
        ["--text", "Hello there.", "--language", "fr"],
        ["--text", "Hello there.", "--language", "xx"],
        ["--text", "Hello there.", "--sample-latent", "--seed", "-1"],
        ["--text", "Hello there.", "--model", "missing"],
        ["--text", "Hello there.", "--device", "toaster"],
    ],
    ids=" ".join,
)
def test_hostile_options(work, refused, recording, options):
    refused("voice", "add", "Anna", recording, *options)


@pytest.mark.parametrize(
    "words", [["list", "x"], ["add"], ["add", "Anna"], ["show"], ["export", "someone"], ["remove"]]
)
def test_usage(work, refused, words):
    refused("voice", *words)


@pytest.mark.parametrize("output", ["v.pt", "v", "no/v.safetensors", ".", "-", "x" * 300 + ".safetensors"])
def test_where_a_voice_cannot_be_exported_to(work, refused, output):
    refused("voice", "export", "someone", output)


def test_a_damaged_voice_does_not_hide_the_others(work, run, refused, recording, transcript):
    run("voice", "add", "Anna", recording, "--text", transcript)
    path = work / "home" / "voices" / "Berta.safetensors"
    path.write_bytes((work / "home" / "voices" / "Anna.safetensors").read_bytes()[:-50])
    out = run("voice", "list")
    assert "is damaged" in out and "Anna" in out
    refused("say", "Hello.", "--voice", "Berta")
    run("voice", "remove", "Berta")


def test_a_transcript_is_heard_and_printed(work, run, recording, monkeypatch):
    monkeypatch.setattr("unisono.align.transcribe.make_recogniser", lambda *_: lambda audio: "HELLO THERE FRIENDS")
    heard = "heard: Hello there friends.\n"
    assert run("voice", "add", "Anna", recording, "--asr", "some/asr").startswith(heard)
    assert run("say", "Hello.", "--voice", recording, "--asr", "some/asr").startswith(heard)
    assert run("align", recording, "--asr", "some/asr", "-o", "w.json") == heard
    assert run("encode", recording, "--asr", "some/asr", "-o", "t.safetensors").startswith(heard)
    assert load_tokens("t.safetensors").text == "Hello there friends."


def test_warnings_are_one_line_and_no_failure(work, recording, capsys):
    sound, rate = soundfile.read(recording, dtype="float32")
    soundfile.write("short.wav", sound[:12000], rate)
    assert main(["voice", "add", "Anna", "short.wav", "--text", "Hello."]) == 0
    err = capsys.readouterr().err
    assert err.startswith("unisono: warning: ") and err.count("\n") == 1 and "too short" in err


def test_a_voice_of_another_version_is_refused(work, run, refused, recording, transcript, tiny_folder):
    run("voice", "add", "Anna", recording, "--text", transcript)
    folder = shutil.copytree(tiny_folder, work / "model")
    path = folder / "encoder" / "model.safetensors"
    save_file({name: value.flip(0).contiguous() for name, value in load_file(path).items()}, path)
    assert "another version" in refused("say", "Hello.", "--voice", "Anna", "--model", folder)
