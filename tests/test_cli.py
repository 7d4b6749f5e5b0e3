"""The command line: what users type and what they get, with a tiny random model."""

import io
import json
import os
import signal
import subprocess
import sys
import wave

import numpy as np
import pytest

from unisono.audio import read_audio
from unisono.cli import SENTENCE, main
from unisono.files import load_tokens
from unisono.interface import Speech


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def builtin(tiny_folder, monkeypatch):
    """The tiny model in the place of the built-in one."""
    monkeypatch.setattr("unisono.hub.builtin_folder", lambda: tiny_folder)


class Stream(io.TextIOWrapper):
    """A standard stream over bytes in memory."""

    def __init__(self, content=b""):
        super().__init__(io.BytesIO(content), encoding="utf-8")


def test_say_without_arguments(work, builtin, capsys):
    assert main(["say"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == SENTENCE
    assert "out.wav" in lines[1] and "RTF" in lines[1] and "× real time" in lines[1]
    assert [line.split()[-1] for line in lines[2:]] == SENTENCE.split()
    with wave.open("out.wav") as file:
        assert f"{file.getnframes() / file.getframerate():.2f} s of speech" in lines[1]


def test_say_with_everything(work, builtin, capsys):
    options = ["--seed", "7", "--speed", "1.2", "--steps", "3", "--guidance", "1.3", "--voice", "someone"]
    assert main(["say", "Hello there, world.", "-o", "a.flac", "--words", "a.json", "--plot", "a.png", *options]) == 0
    words = json.loads((work / "a.json").read_text())
    assert set(words) == {"text", "duration", "sample_rate", "words", "tokens"}
    assert [word["text"] for word in words["words"]] == ["Hello", "there,", "world."]
    samples, rate = read_audio("a.flac")
    assert words["duration"] == pytest.approx(len(samples) / rate)
    assert (work / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert sorted(os.listdir()) == ["a.flac", "a.json", "a.png"]
    assert main(["say", "Hello there, world.", "-o", "b.flac", *options]) == 0
    assert (work / "a.flac").read_bytes() == (work / "b.flac").read_bytes()


def test_standard_streams(work, builtin, monkeypatch, capsys):
    out = Stream()
    monkeypatch.setattr(sys, "stdin", Stream(b"Hello from afar.\n"))
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["say", "-", "-o", "-"]) == 0
    content = out.buffer.getvalue()
    with wave.open(io.BytesIO(content)) as file:
        assert file.getnframes() > 0
    assert "Hello from afar." in capsys.readouterr().err
    assert os.listdir() == []
    monkeypatch.setattr(sys, "stdin", Stream(content))
    assert main(["align", "-", "--text", "Hello from afar.", "-o", "a.srt"]) == 0
    assert "afar." in (work / "a.srt").read_text()


def test_words_without_quotes_and_a_model_by_folder(work, tiny_folder):
    assert main(["say", "Hello", "there", "--model", str(tiny_folder), "--words", "w.csv"]) == 0
    assert [line.split(",")[0] for line in (work / "w.csv").read_text().splitlines()] == ["text", "Hello", "there"]


@pytest.mark.parametrize("suffix", ["json", "srt", "vtt", "TextGrid", "csv"])
def test_align(work, builtin, recording, transcript, suffix, capsys):
    assert main(["align", str(recording), "--text", transcript, "-o", f"w.{suffix}", "--plot", "p.svg"]) == 0
    assert sorted(os.listdir()) == ["p.svg", f"w.{suffix}"]
    assert "there," in (work / f"w.{suffix}").read_text()
    assert capsys.readouterr() == ("", "")


def test_align_prints_without_an_output(work, builtin, recording, transcript, capsys):
    assert main(["align", str(recording), "--text", transcript]) == 0
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == transcript.split()


def test_encode_and_decode(work, builtin, recording, transcript):
    assert main(["encode", str(recording), "--text", transcript, "-o", "t.safetensors"]) == 0
    assert load_tokens("t.safetensors").text == transcript
    assert main(["decode", "t.safetensors", "-o", "back.wav"]) == 0
    assert abs(len(read_audio("back.wav").samples) - 72000) <= 480


def test_a_voice_from_a_recording_or_a_file(work, builtin, recording, transcript, tiny_folder):
    common = ["say", "Hello.", "--voice"]
    assert main([*common, str(recording), "--voice-text", transcript, "-o", "a.wav"]) == 0
    assert main([*common, str(tiny_folder / "voices" / "someone.safetensors"), "-o", "b.wav"]) == 0
    assert main(["say", "Hello.", "-o", "c.wav"]) == 0
    assert (work / "b.wav").read_bytes() == (work / "c.wav").read_bytes()


def test_voices_and_models(work, builtin, tiny_folder, transcript, capsys):
    assert main(["voice", "list"]) == 0
    assert "someone" in capsys.readouterr().out
    assert main(["voice", "show", "someone"]) == 0
    shown = capsys.readouterr().out
    assert transcript in shown and "tiny (tada)" in shown
    assert main(["voice", "show", str(tiny_folder / "voices" / "someone.safetensors")]) == 0
    assert main(["models"]) == 0
    assert "HumeAI/tada-1b" in capsys.readouterr().out


def test_help_and_version(capsys):
    for arguments in ([], ["--help"], ["say", "--help"], ["voice", "--help"], ["--version"]):
        assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "Usage: unisono" in out and err == ""


def test_commands_of_the_contract_exist(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in (
        "say",
        "continue",
        "align",
        "encode",
        "decode",
        "edit",
        "prepare",
        "train",
        "eval",
        "convert",
        "bench",
        "models",
        "voice",
    ):
        assert f"\n  {command} " in out


@pytest.mark.parametrize("start", ["import unisono", "from unisono.cli import main; main(['--help'])"])
def test_what_takes_long_to_import_waits_until_it_is_needed(start):
    """Neither `import unisono` nor `unisono --help` loads torch and other large libraries."""
    heavy = ("torch", "transformers", "scipy", "matplotlib", "huggingface_hub", "num2words")
    code = f"import sys; {start}; sys.exit(' '.join(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_progress_only_on_a_terminal(work, builtin, monkeypatch, capsys):
    assert main(["say", "Hello there."]) == 0
    assert capsys.readouterr().err == ""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["say", "Hello there.", "--steps", "40"]) == 0
    assert "token" in terminal.getvalue()


def test_whoever_reads_our_output_may_leave_early(tiny_folder, work):
    command = [sys.executable, "-m", "unisono", "say", "Hello there.", "-o", "-", "--model", str(tiny_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False) as process:
        process.stdout.close()
        error = process.stderr.read().decode()
    assert "Traceback" not in error


def test_a_stop_leaves_nothing_behind(work, tiny_folder, monkeypatch):
    monkeypatch.setattr(Speech, "plot", lambda self, path: signal.raise_signal(signal.SIGTERM))
    kept = signal.getsignal(signal.SIGTERM)
    try:
        arguments = [
            "say",
            "Hello.",
            "-o",
            "a.wav",
            "--words",
            "a.json",
            "--plot",
            "a.png",
            "--model",
            str(tiny_folder),
        ]
        assert main(arguments) == 130
    finally:
        signal.signal(signal.SIGTERM, kept)
    assert os.listdir() == []


def test_python_face(builtin, recording, transcript, tmp_path):
    import unisono

    tts = unisono.load()
    speech = tts.say("Hello there.", seed=7)
    assert isinstance(speech, unisono.Speech) and isinstance(speech.words[0], unisono.Word)
    speech.save(tmp_path / "hello.wav")
    speech.save_words(tmp_path / "hello.json")
    speech.plot(tmp_path / "hello.png")
    voice = tts.voice(recording, text=transcript)
    assert isinstance(voice, unisono.Voice)
    voice.save(tmp_path / "me.safetensors")
    chunks = [chunk.audio for chunk in tts.stream("A long text.", voice=voice)]
    assert len(chunks) >= 2 and sum(map(len, chunks)) == len(tts.say("A long text.", voice=voice).audio)
    speeches = tts.say(["one", "two"], seed=7)
    assert np.array_equal(speeches[1].audio, tts.say("two", seed=7).audio)
    assert unisono.text.normalize("Hello.", style="plain", language="en").spoken == "Hello."
    assert {"load", "text", "Speech"} <= set(dir(unisono)) and unisono.__version__
    with pytest.raises(AttributeError):
        _ = unisono.nothing
