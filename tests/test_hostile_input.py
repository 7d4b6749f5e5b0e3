"""Hostile inputs for every command: each ends in correct output, or in one sentence, exit code 2 and no file.

To add an input, add a line to `SOUNDS`, `TEXTS` or `OUTPUTS`; to add a command, add a line to `COMMANDS`: `{sound}`,
`{text}` and `{output}` stand for what it takes. Every command is tried with every input it takes.
"""

import csv
import errno
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from unisono import hub
from unisono.cli import main
from unisono.errors import UnisonoError
from unisono.files import load_tokens

REFUSED, WORKS, EITHER = "refused", "works", "either"
GOOD_TEXT = "Hello there, this is a test."
MEGABYTE = 1_000_000


class Command(NamedTuple):
    """What is typed, and the suffix of the output; `output` is where it goes when that cannot be chosen."""

    words: list[str]
    suffix: str
    output: str | None = None
    any_text: bool = False  # whether even a text without a word may be fine


REF = ["{sound}", "--text", "{text}"]
OUT = ["-o", "{output}"]
KNOWN = ["{sound}", "--text", GOOD_TEXT]  # a recording whose words are right, for commands that take further texts
COMMANDS = {
    "say": Command(["say", "{text}", *OUT], ".wav"),
    "say in tags": Command(["say", "[pause:0.1s] [rate:1.2]{text}[/rate]", *OUT], ".wav"),
    "say respelled": Command(["say", "Go [say:{text}|Nike].", *OUT], ".wav", None, True),
    "say shown": Command(["say", "[say:nykee|{text}]", *OUT], ".wav", None, True),
    "align": Command(["align", *REF, *OUT], ".json"),
    "align heard": Command(["align", "{sound}", "--asr", "some/asr", *OUT], ".json"),
    "encode": Command(["encode", *REF, *OUT], ".safetensors"),
    "clone": Command(["say", "Hello.", "--voice", "{sound}", "--voice-text", "{text}", *OUT], ".wav"),
    "decode": Command(["decode", "{tokens}", *OUT], ".wav"),
    "continue": Command(["continue", *REF, "--tokens", "3", *OUT], ".wav"),
    "continue prompted": Command(
        ["continue", *KNOWN, "--tokens", "3", "--user-prompt", "{text}", *OUT], ".wav", None, True
    ),
    "edit": Command(["edit", *REF, "--insert-after", "Hello=my", *OUT], ".wav"),
    "edit replace": Command(["edit", *KNOWN, "--replace", "there={text}", *OUT], ".wav"),
    "edit delete": Command(["edit", "{sound}", "--text", "Well: " + GOOD_TEXT, "--delete", "{text}", *OUT], ".wav"),
    "voice add": Command(["voice", "add", "Anna", *REF], ".safetensors", "home/voices/Anna.safetensors"),
    "voice heard": Command(
        ["voice", "add", "Anna", "{sound}", "--asr", "some/asr"], ".safetensors", "home/voices/Anna.safetensors"
    ),
    "voice consent": Command(
        ["voice", "add", "Anna", *KNOWN, "--consent", "{text}"], ".safetensors", "home/voices/Anna.safetensors", True
    ),
    "voice export": Command(["voice", "export", "someone", "{output}"], ".safetensors"),
    "convert": Command(["convert", "{model}", *OUT], ""),
    "bench": Command(["bench", "--text", "{text}", "--runs", "1", "--json", "{output}"], ".json"),
}
# name -> how it is made from a good recording (samples, rate, path), and what should come of it
SOUNDS = {
    "nan.wav": (lambda x, rate, path: write(path, np.where(np.arange(len(x)) == 99, np.nan, x), rate), REFUSED),
    "infinite.wav": (lambda x, rate, path: write(path, np.where(np.arange(len(x)) == 9, np.inf, x), rate), REFUSED),
    "one sample.wav": (lambda x, rate, path: write(path, x[9000:9001], rate), REFUSED),
    "no sample.wav": (lambda x, rate, path: write(path, x[:0], rate), REFUSED),
    "silent.wav": (lambda x, rate, path: write(path, 0 * x, rate), REFUSED),
    "constant.wav": (lambda x, rate, path: write(path, 0 * x + 0.5, rate), REFUSED),
    "8 channels.wav": (lambda x, rate, path: write(path, np.stack([x] * 8, 1), rate), WORKS),
    "192 kHz.wav": (lambda x, rate, path: write(path, np.repeat(x, 8), 192000), WORKS),
    "8 kHz.wav": (lambda x, rate, path: write(path, x[::3], 8000), WORKS),
    "8 bits.wav": (lambda x, rate, path: soundfile.write(path, x, rate, subtype="PCM_U8"), WORKS),
    "clipped.wav": (lambda x, rate, path: write(path, np.clip(50 * x, -1, 1), rate), WORKS),
    "loud.wav": (lambda x, rate, path: write(path, 1e6 * x, rate), EITHER),
    "truncated.wav": (lambda x, rate, path: cut(path, x, rate, 0.5), EITHER),
    "truncated header.wav": (lambda x, rate, path: cut(path, x, rate, 0.0002), REFUSED),
    "truncated.flac": (lambda x, rate, path: cut(path, x, rate, 0.001), REFUSED),
    "text.wav": (lambda x, rate, path: path.write_text("This is no sound. " * 99), REFUSED),
    "bytes.wav": (lambda x, rate, path: path.write_bytes(bytes(range(256)) * 99), REFUSED),
    "empty.wav": (lambda x, rate, path: path.touch(), REFUSED),
    "folder.wav": (lambda x, rate, path: path.mkdir(), REFUSED),
    "missing.wav": (lambda x, rate, path: None, REFUSED),
    "name with\nnewline.wav": (lambda x, rate, path: path.write_text("no sound"), REFUSED),
}
TEXTS = {
    "empty": ("", REFUSED),
    "blank": (" \t\n ", REFUSED),
    "punctuation": ("... !?! --- (,;:) «»", REFUSED),
    "emoji": ("🙂🙂👩‍👩‍👧‍👦🏳️‍🌈", REFUSED),
    "control characters": ("\x00\x01\x02\x1b[31m\x7f", EITHER),
    "control characters between": ("Hel\x07lo\x1b the\x00re.", EITHER),
    "mixed scripts": ("Hello мир 你好 مرحبا there.", EITHER),
    "foreign script": ("你好世界", REFUSED),
    "surrogate": ("Hello \ud800 there.", REFUSED),
    "marks without letters": ("\u0301\u0302\u0303" * 9, REFUSED),
    "right to left marks": ("\u202eHello\u202c there.", EITHER),
    "zero width": ("\u200b\u200d\ufeff", REFUSED),
    "tags": ("[pause:", EITHER),
    "combining pile": ("Hello" + "\u0301" * 3000 + " there.", EITHER),
    "looks like an option": ("--", EITHER),
}
# More than a recording of three seconds can hold, and refused before a megabyte of text is read at length.
LONG_TEXTS = {
    "a megabyte of words": "word " * (MEGABYTE // 5),
    "a megabyte of lines": "A line.\n" * (MEGABYTE // 8),
    "a megabyte of brackets": "[a " * (MEGABYTE // 3),
}
OUTPUTS = {
    "full disk": "full",
    "a folder": "folder",
    "no such folder": "no/such/folder/out",
    "below a file": "kept/out",
    "nothing": "",
    "a name too long": "x" * 300,
    "a device that is full": "/dev/full",
}


def write(path, samples, rate):
    soundfile.write(path, samples.astype(np.float32), rate, subtype="FLOAT")


def cut(path, samples, rate, share):
    soundfile.write(path, samples, rate)
    content = path.read_bytes()
    path.write_bytes(content[: max(int(share * len(content)), 20)])


@pytest.fixture(scope="module")
def sounds(tmp_path_factory, recording):
    """A folder of hostile sounds, and a good one."""
    folder = tmp_path_factory.mktemp("hostile")
    samples, rate = soundfile.read(recording, dtype="float32")
    for name, (make, _) in SOUNDS.items():
        make(samples, rate, folder / name)
    shutil.copy(recording, folder / "good.wav")
    return folder


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a file and a folder in it, and a home for voices without any."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNISONO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "kept").write_bytes(b"kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "home" / "voices").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def attempt(work, tiny_folder, sounds, capsys, monkeypatch):
    """Runs a command, checks the contract of whatever came of it, and hands back whether it worked."""

    def run(command, *more, sound="good.wav", text=GOOD_TEXT, output=None):
        words, suffix, fixed, _ = COMMANDS[command]
        output = fixed or (f"out{suffix}" if output is None else output)
        monkeypatch.setattr("unisono.align.transcribe.make_recogniser", lambda *_: lambda audio: text)
        given = {"{sound}": str(sounds / sound), "{text}": text, "{output}": output, "{model}": str(tiny_folder)}
        given["{tokens}"] = str(tiny_folder / "voices" / "someone.safetensors")
        typed = [fill(word, given) for word in words] + ([] if "{model}" in words else ["--model", str(tiny_folder)])
        before = set(Path().rglob("*"))
        code = main([*typed, *more])
        out, err = capsys.readouterr()
        new = set(Path().rglob("*")) - before
        made = [str(path) for path in new if path.parent not in new]
        assert Path("kept").read_bytes() == b"kept"
        if code == 0:
            assert made == [output] and "Traceback" not in err
            check_output(Path(output))
            return True
        assert code == 2 and (out == "" or out.startswith("heard: ")) and made == [], (code, out, err, made)
        assert err.startswith("unisono: ") and err.count("\n") == 1 and len(err) < 900, err
        assert err[:-1].isprintable(), ascii(err)
        return False

    return run


def fill(word, given):
    for name, value in given.items():
        word = word.replace(name, value)
    return word


def check_output(path):
    """What was written is whole and can be read."""
    if path.suffix == ".wav":
        samples, rate = soundfile.read(path)
        assert len(samples) and rate == 24000 and np.isfinite(samples).all()
    elif path.suffix == ".json":
        content = json.loads(path.read_text())
        if "words" not in content:
            assert content["rtf"] > 0 and content["time_to_first_audio_ms"]["p50"] > 0
            return
        assert content["words"]
        assert all(0 <= w["start"] < w["end"] <= content["duration"] for w in content["words"])
    elif path.suffix == ".safetensors":
        assert len(load_tokens(path).text_ids)
    else:
        assert hub.load(path, device="cpu").can_clone


def commands_with(place):
    return [name for name, command in COMMANDS.items() if any(place in word for word in command.words)]


@pytest.mark.parametrize("sound", SOUNDS, ids=repr)
@pytest.mark.parametrize("command", commands_with("{sound}"))
def test_sounds(command, sound, attempt):
    worked = attempt(command, sound=sound)
    assert SOUNDS[sound][1] == EITHER or worked == (SOUNDS[sound][1] == WORKS)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("command", commands_with("{text}"))
def test_texts(command, text, attempt):
    worked = attempt(command, text=TEXTS[text][0])
    assert TEXTS[text][1] == EITHER or COMMANDS[command].any_text or not worked


@pytest.mark.parametrize("text", LONG_TEXTS)
@pytest.mark.parametrize("command", [name for name in commands_with("{text}") if name in commands_with("{sound}")])
def test_a_megabyte_of_text_for_a_short_recording(command, text, attempt):
    assert not attempt(command, text=LONG_TEXTS[text]) or COMMANDS[command].any_text


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("command", commands_with("{output}"))
def test_outputs(command, output, attempt, monkeypatch):
    name = OUTPUTS[output]
    if name == "full":
        name = None

        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "replace", full)
        monkeypatch.setattr(Path, "rename", full)  # after everything was written beside the target
    elif name and not name.startswith("/dev") and name != "folder":
        name += COMMANDS[command].suffix
    if output == "a device that is full" and not os.path.exists(name):
        pytest.skip("this system has no such device")
    assert not attempt(command, output=name)


def test_there_are_forty(sounds):
    assert len(SOUNDS) + len(TEXTS) + len(LONG_TEXTS) + len(OUTPUTS) >= 40


def test_eight_channels_are_mixed_down(attempt):
    """What is said on all channels alike is what is said on one."""
    written = []
    for sound in ("good.wav", "8 channels.wav"):
        assert attempt("align", sound=sound, output=f"{len(written)}.json")
        written.append(json.loads(Path(f"{len(written)}.json").read_text()))
    assert written[0]["words"] == written[1]["words"]


def test_words_that_look_like_the_format(sounds, work, tiny_folder, capsys):
    """Marks of the formats inside of words break none: every format has an entry for every word that JSON has."""
    text, sound = 'Hello "so", <i>it</i>\n\n--> 1,5 & x=[a].', str(sounds / "good.wav")
    marks = {"w.vtt": " --> 00:", "w.csv": "\n", "w.TextGrid": "xmax = ", "w.srt": " --> 00:"}
    for command in (["say", text, "--words"], ["align", sound, "--text", text, "-o"]):
        for name in ["w.json", *marks]:
            assert main([*command, name, "--model", str(tiny_folder)]) == 0
        words = json.loads(Path("w.json").read_text())["words"]
        assert '"so",' in [word["text"] for word in words]
        assert Path("w.vtt").read_text().count(marks["w.vtt"]) == len(words)
        subtitles = Path("w.srt").read_text()
        assert 0 < subtitles.count(marks["w.srt"]) == len(subtitles.strip().split("\n\n"))
        assert all(word["text"] in subtitles for word in words)
        with open("w.csv", newline="") as file:
            assert [row[0] for row in csv.reader(file)][1:] == [word["text"] for word in words]
        assert 'text = """so"","' in Path("w.TextGrid").read_text()


def test_home_of_voices_that_is_a_file(attempt, work, monkeypatch):
    monkeypatch.setenv("UNISONO_HOME", str(work / "kept"))
    assert not attempt("voice add")


@pytest.mark.parametrize("command", ["voice add", "voice heard"])
def test_a_full_disk_for_voices(command, attempt, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    assert not attempt(command)


REFUSED_CALLS = {
    "a voice's name": lambda tts, sound: tts.say("Hello.", voice="someone"),
    "a voice's number": lambda tts, sound: list(tts.stream("Hello.", voice=3)),
    "bare samples": lambda tts, sound: tts.voice(np.zeros(9000, np.float32), text="Hello."),
    "a speech": lambda tts, sound: tts.edit(tts.say("Hello."), text="Hello.", delete=["Hello"]),
    "no pairs": lambda tts, sound: tts.edit(sound, text=GOOD_TEXT, replace="there=you"),
    "pairs of two letters": lambda tts, sound: tts.edit(sound, text=GOOD_TEXT, replace=["ab"]),
    "a list of numbers to stream": lambda tts, sound: list(tts.stream([3])),
    "an unknown option": lambda tts, sound: tts.say("Hello.", pitch=2),
    "a sound to continue that is not there": lambda tts, sound: tts.continue_("missing.wav", text="Hello."),
}


@pytest.mark.parametrize("call", REFUSED_CALLS)
def test_calls_from_python(call, sounds, work, tiny_model):
    with pytest.raises(UnisonoError):
        REFUSED_CALLS[call](tiny_model, sounds / "good.wav")
