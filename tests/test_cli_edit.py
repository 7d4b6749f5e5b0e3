"""`unisono edit`, and `unisono say` of texts that are written as they are spoken."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from unisono.cli import main
from unisono.files import load_tokens


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_edit_writes_sound_words_and_tokens(work, tiny_folder, recording, transcript, capsys):
    arguments = ["edit", recording, "--text", transcript, "--replace", "test=word", "--delete", "a"]
    outputs = ["-o", "e.wav", "--words", "e.json", "--tokens", "e.safetensors"]
    assert main([str(item) for item in [*arguments, *outputs, "--model", tiny_folder]]) == 0
    words, tokens = json.loads((work / "e.json").read_text()), load_tokens(work / "e.safetensors")
    assert words["text"] == tokens.text == "Hello there, this is word."
    sound, rate = soundfile.read(work / "e.wav")
    assert len(sound) == tokens.samples and rate == 24000
    assert "Hello there, this is word." in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--replace", "test"],
        ["--replace", "test="],
        ["--replace", "=x"],
        ["--replace", "nothing=x"],
        ["--replace", "is#9=x"],
        ["--replace", "test=你好"],
        ["--delete", "there, this is a test word"],
        ["--delete", "Hello there, this is a test"],
        ["--insert-after", "test=..."],
        ["--delete", "test", "--replace", "test=x"],
        ["--delete", "test", "--text", ""],
        ["--delete", "test", "--text", "word test " * 200],
        ["--delete", "test", "--tokens", "t.wav"],
        ["--delete", "test", "--words", "e.wav"],
        ["--delete", "test", "--seed", "-1"],
        ["--delete", "test", "--steps", "0"],
        ["--delete", "test", "--frob"],
    ],
    ids=" ".join,
)
def test_edits_that_are_refused(work, tiny_folder, recording, transcript, capsys, options):
    arguments = ["edit", recording, "--text", transcript, "-o", "e.wav", "--model", tiny_folder, *options]
    assert main([str(item) for item in arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("unisono: ") and err.count("\n") == 1 and out == "", err
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("kind", ["nan", "silence", "short", "text", "folder", "missing"])
def test_sounds_that_are_refused(work, tmp_path_factory, tiny_folder, transcript, capsys, kind):
    path = tmp_path_factory.mktemp("sounds") / "s.wav"
    if kind == "text":
        path.write_text("no sound")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        sound = {"nan": np.full(24000, np.nan), "silence": np.zeros(24000), "short": np.ones(1)}[kind]
        soundfile.write(path, sound, 24000, subtype="FLOAT")
    arguments = ["edit", path, "--text", transcript, "--delete", "test", "-o", "e.wav", "--model", tiny_folder]
    assert main([str(item) for item in arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert list(work.iterdir()) == []


def test_what_is_said_to_a_file_is_what_is_said(work, tiny_folder, tiny_model, capsys):
    text = "One, two. Three four five! Is it six?"
    arguments = ["say", text, "-o", "a.wav", "--words", "a.json", "--seed", "5", "--model", str(tiny_folder)]
    assert main(arguments) == 0
    speech = tiny_model.say(text, seed=5)
    sound, _ = soundfile.read(work / "a.wav", dtype="float32")
    np.testing.assert_allclose(sound, speech.audio.clip(-1, 1), atol=2 / 32768)
    words = json.loads((work / "a.json").read_text())
    assert [word["text"] for word in words["words"]] == [word.text for word in speech.words]
    assert abs(words["duration"] - speech.duration) < 1e-6


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_leaves_no_file(work, tiny_folder):
    command = [sys.executable, "-m", "unisono", "say", "-", "-o", "a.wav", "--words", "a.json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [*command, "--model", str(tiny_folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs ignore it
    )
    process.stdin.write(b"A sentence of a long text. " * 3000)
    process.stdin.close()
    for _ in range(1200):  # until the sound file grows
        if any(path.stat().st_size > 10000 for path in work.iterdir()) or process.poll() is not None:
            break
        time.sleep(0.1)
    assert process.poll() is None and list(work.iterdir())
    process.send_signal(signal.SIGINT)
    with process.stderr:
        error = process.stderr.read().decode()
    assert process.wait(60) == 130 and error.splitlines()[-1] == "unisono: interrupted"
    assert list(work.iterdir()) == []
