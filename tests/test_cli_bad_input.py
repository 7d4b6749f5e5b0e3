"""Whatever cannot be used ends with one sentence on stderr, exit code 2, and no output file."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from safetensors.torch import save_file

from unisono.cli import main

SOUNDS = [
    "missing.wav",
    "folder",
    "text.wav",
    "empty.wav",
    "one.wav",
    "silent.wav",
    "nan.wav",
    "cut.flac",
    "header.wav",
]
TEXTS = ["", "   ", "...", "🙂", "你好"]
TENSORS = [
    "missing.safetensors",
    "folder",
    "text.safetensors",
    "empty.safetensors",
    "cut.safetensors",
    "pickle.safetensors",
]
TENSORS += ["foreign.safetensors", "good.wav", "other.safetensors"]
MODELS = [
    "missing",
    "good.wav",
    "folder",
    "models/cut",
    "models/foreign",
    "models/pickle",
    "models/json",
    "models/stray",
]
MODELS += ["models/shape", "models/decoder", "nobody-here/no-such-model"]


@pytest.fixture(scope="module")
def things(tmp_path_factory, tiny_folder, recording, transcript):
    """A folder full of things that cannot be used, and a few that can."""
    import torch

    folder = tmp_path_factory.mktemp("things")
    sound, rate = soundfile.read(recording, dtype="float32")
    shutil.copy(recording, folder / "good.wav")
    (folder / "folder").mkdir()
    (folder / "text.wav").write_text("this is no sound " * 50)
    (folder / "empty.wav").touch()
    soundfile.write(folder / "one.wav", sound[9000:9001], rate)
    soundfile.write(folder / "silent.wav", np.zeros_like(sound), rate)
    soundfile.write(folder / "nan.wav", np.where(np.arange(len(sound)) == 99, np.nan, sound), rate, subtype="FLOAT")
    soundfile.write(folder / "good.flac", sound, rate)
    (folder / "cut.flac").write_bytes((folder / "good.flac").read_bytes()[:60])
    (folder / "header.wav").write_bytes(recording.read_bytes()[:30])

    good = tiny_folder / "voices" / "someone.safetensors"
    shutil.copy(good, folder / "good.safetensors")
    (folder / "text.safetensors").write_text("no tensors")
    (folder / "empty.safetensors").touch()
    (folder / "cut.safetensors").write_bytes(good.read_bytes()[:-100])
    (folder / "pickle.safetensors").write_bytes(pickle.dumps({"a": 1}))
    save_file({"weight": torch.ones(3)}, folder / "foreign.safetensors")
    other = good.read_bytes().replace(b'"model":"tiny"', b'"model":"tona"')
    assert other != good.read_bytes()
    (folder / "other.safetensors").write_bytes(other)
    make_models(folder / "models", tiny_folder)
    (folder / "bad.yaml").write_text("stages: [}")
    (folder / "strange.yaml").write_text("colour: blue\n")
    return folder


def make_models(folder, tiny_folder):
    """Damaged copies of the tiny model."""
    from safetensors.torch import load_file

    for name in ("cut", "foreign", "pickle", "json", "stray", "shape", "decoder"):
        shutil.copytree(tiny_folder, folder / name)
    weights = {name: folder / name / "model.safetensors" for name in os.listdir(folder)}
    weights["cut"].write_bytes(weights["cut"].read_bytes()[:-100])
    weights["foreign"].write_text("no tensors")
    weights["pickle"].write_bytes(pickle.dumps({"a": 1}))
    (folder / "json" / "config.json").write_text("{")
    tensors = load_file(weights["stray"])
    save_file({**tensors, "stray.weight": tensors["acoustic_proj.bias"].clone()}, weights["stray"])
    save_file({**tensors, "acoustic_proj.bias": tensors["acoustic_proj.weight"].clone()}, weights["shape"])
    (folder / "decoder" / "decoder" / "model.safetensors").unlink()


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder to work in, with a read-only one and a file in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "kept.wav").write_bytes(b"kept")
    return tmp_path


def assert_refused(arguments, work, capsys):
    before = sorted(work.rglob("*"))
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 2, (out, err)
    assert err.startswith("unisono: ") and err.count("\n") == 1, err
    assert "Traceback" not in err and len(err) < 700
    assert out == ""
    assert sorted(work.rglob("*")) == before
    assert (work / "kept.wav").read_bytes() == b"kept"
    return err


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("command", ["align", "encode", "voice"])
def test_sounds(things, work, tiny_folder, capsys, transcript, command, sound):
    arguments = {
        "align": ["align", things / sound, "--text", transcript, "-o", "w.json"],
        "encode": ["encode", things / sound, "--text", transcript, "-o", "t.safetensors"],
        "voice": ["say", "Hello.", "--voice", things / sound, "--voice-text", transcript],
    }[command]
    error = assert_refused([*arguments, "--model", tiny_folder], work, capsys)
    assert sound in error or command == "voice"


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("command", ["say", "align", "encode", "voice"])
def test_texts(things, work, tiny_folder, capsys, command, text):
    arguments = {
        "say": ["say", text],
        "align": ["align", things / "good.wav", "--text", text, "-o", "w.json"],
        "encode": ["encode", things / "good.wav", "--text", text, "-o", "t.safetensors"],
        "voice": ["say", "Hello.", "--voice", things / "good.wav", "--voice-text", text],
    }[command]
    assert_refused([*arguments, "--model", tiny_folder], work, capsys)


@pytest.mark.parametrize("command", ["align", "encode"])
def test_more_text_than_sound(things, work, tiny_folder, capsys, command):
    output = {"align": "w.json", "encode": "t.safetensors"}[command]
    arguments = [command, things / "good.wav", "--text", "word " * 300, "-o", output, "--model", tiny_folder]
    assert_refused(arguments, work, capsys)


@pytest.mark.parametrize("tensors", TENSORS)
@pytest.mark.parametrize("command", ["decode", "voice", "show"])
def test_tensor_files(things, work, tiny_folder, capsys, command, tensors):
    if command != "decode" and tensors in ("good.wav", "folder"):
        pytest.skip("not taken for a voice file")
    if command == "show" and tensors == "other.safetensors":
        pytest.skip("may be looked at")
    arguments = {
        "decode": ["decode", things / tensors, "-o", "a.wav"],
        "voice": ["say", "Hello.", "--voice", things / tensors],
        "show": ["voice", "show", things / tensors],
    }[command]
    assert_refused([*arguments, "--model", tiny_folder], work, capsys)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("command", ["say", "align", "encode", "decode"])
def test_models(things, work, capsys, transcript, command, model):
    arguments = {
        "say": ["say", "Hello."],
        "align": ["align", things / "good.wav", "--text", transcript, "-o", "w.json"],
        "encode": ["encode", things / "good.wav", "--text", transcript, "-o", "t.safetensors"],
        "decode": ["decode", things / "good.safetensors", "-o", "a.wav"],
    }[command]
    name = model if model.startswith("nobody") else things / model
    assert_refused([*arguments, "--model", name], work, capsys)


OUTPUTS = {
    "say": (["-o"], ["a.xyz", "a", "no/a.wav", ".", "kept.wav/a.wav", "a\0b.wav", "x" * 300 + ".wav"]),
    "say words": (["--words"], ["a.xyz", "a", "no/a.json", "out.wav"]),
    "say plot": (["--plot"], ["a.xyz", "a", "no/a.png", ".", "-"]),
    "align": (["-o"], ["a.xyz", "a", "no/a.json", "."]),
    "align plot": (["-o", "w.json", "--plot"], ["a.xyz", "no/a.png"]),
    "encode": (["-o"], ["a.pt", "a", "no/a.safetensors", ".", "-"]),
    "decode": (["-o"], ["a.xyz", "a", "no/a.wav", "."]),
}


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command, (_, names) in OUTPUTS.items() for name in names]
)
def test_outputs(things, work, tiny_folder, capsys, transcript, command, name):
    first = {
        "say": ["say", "Hello."],
        "align": ["align", things / "good.wav", "--text", transcript],
        "encode": ["encode", things / "good.wav", "--text", transcript],
        "decode": ["decode", things / "good.safetensors"],
    }[command.split()[0]]
    assert_refused([*first, *OUTPUTS[command][0], name, "--model", tiny_folder], work, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(things, work, tiny_folder, capsys):
    (work / "shut").mkdir()
    (work / "shut").chmod(0o500)
    assert_refused(["say", "Hello.", "-o", "shut/a.wav", "--model", tiny_folder], work, capsys)


def test_outputs_are_checked_before_the_model_is_even_looked_for(work, capsys):
    assert "a.xyz" in assert_refused(["say", "Hello.", "-o", "a.xyz", "--model", "missing"], work, capsys)


def test_two_outputs_with_one_name(work, tiny_folder, capsys):
    arguments = ["say", "Hello.", "--words", "a.json", "--plot", "./a.json", "--model", tiny_folder]
    assert_refused(arguments, work, capsys)
    (work / "b").symlink_to(".")
    assert_refused(["say", "Hello.", "-o", "-", "--words", "-", "--model", tiny_folder], work, capsys)


def test_when_a_later_output_fails_no_earlier_one_is_left(work, tiny_folder, capsys, monkeypatch):
    from unisono.interface import Speech

    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Speech, "plot", full)
    arguments = ["say", "Hello.", "-o", "a.wav", "--words", "a.json", "--plot", "a.png", "--model", tiny_folder]
    assert "No space left" in assert_refused(arguments, work, capsys)


@pytest.mark.parametrize(
    "options",
    [
        ["--steps", "0"],
        ["--steps", "two"],
        ["--steps", "2.5"],
        ["--speed", "0"],
        ["--speed", "nan"],
        ["--speed", "-1"],
        ["--guidance", "99"],
        ["--guidance", "inf"],
        ["--temperature", "-1"],
        ["--seed", "-1"],
        ["--seed", "x"],
        ["--seed", str(2**80)],
        ["--device", "toaster"],
        ["--device", "cuda:77"],
        ["--device", ""],
        ["--dtype", "int4"],
        ["--dtype", "float64"],
        ["--voice", "nobody"],
        ["--voice", " "],
        ["--output", "\udcff.wav"],
        ["--voice-text", "words without a recording"],
        ["--unknown"],
        ["--output"],
    ],
    ids=lambda options: ascii(" ".join(options)),
)
def test_option_values(work, tiny_folder, capsys, options):
    assert_refused(["say", "Hello.", "--model", tiny_folder, *options], work, capsys)


def test_a_recording_without_its_text(things, work, tiny_folder, capsys):
    error = assert_refused(["say", "Hello.", "--voice", things / "good.wav", "--model", tiny_folder], work, capsys)
    assert "--voice-text" in error and "--asr" in error


def test_standard_input(work, tiny_folder, capsys, monkeypatch):
    from io import BytesIO, TextIOWrapper

    for content in (b"", b" \n", b"\xff\xfe\x00caf\xe9"):
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content)))
        assert_refused(["say", "-", "--model", tiny_folder], work, capsys)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"no sound")))
    assert_refused(["align", "-", "--text", "Hello.", "--model", tiny_folder], work, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["prepare", "missing", "-o", "data"],
        ["prepare", "{things}/folder", "-o", "data"],
        ["prepare", "{things}/good.wav", "-o", "data"],
        ["prepare", "{things}/folder", "-o", "no/data"],
        ["prepare", "{things}/folder", "-o", "kept.wav"],
        ["train", "missing.yaml"],
        ["train", "{things}/folder"],
        ["train", "{things}/bad.yaml"],
        ["train", "{things}/strange.yaml"],
        ["train", "{things}/good.wav"],
        ["train", "{things}/strange.yaml", "--max-steps", "some"],
        ["eval", "--data", "missing"],
        ["eval", "--data", "{things}/folder"],
        ["eval", "--data", "{things}/good.wav"],
        ["eval", "--data", "{things}/folder", "-o", "no/report"],
        ["eval", "--data", "{things}/folder", "-o", "kept.wav"],
        ["eval", "--data", "{things}/folder", "--model", "missing"],
        ["voice", "list", "--model", "missing"],
        ["voice", "show", "nobody", "--model", "{tiny}"],
        ["voice"],
        ["voice", "frob"],
        ["frob"],
        ["say", "--frob"],
        ["align"],
        ["align", "{things}/good.wav"],
        ["encode", "{things}/good.wav", "--text", "Hello."],
        ["decode"],
        ["prepare"],
        ["train"],
        ["eval"],
    ],
    ids=" ".join,
)
def test_other_commands(things, work, tiny_folder, capsys, arguments):
    assert_refused([word.format(things=things, tiny=tiny_folder) for word in arguments], work, capsys)


def test_a_package_without_its_model(work, capsys, monkeypatch, tmp_path):
    import unisono.hub

    monkeypatch.setattr(unisono.hub, "__file__", str(tmp_path / "hub.py"))
    assert "built-in" in assert_refused(["say", "Hello."], work, capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["say", ""],
        ["say", "Hello.", "-o", "no/a.wav"],
        ["align", "text.wav", "--text", "Hello.", "-o", "w.json"],
        ["decode", "cut.safetensors"],
        ["say", "--frob"],
    ],
    ids=" ".join,
)
def test_the_installed_command(things, work, tiny_folder, arguments):
    """The same through a process of its own, where nothing of the test runner hides a traceback or a warning."""
    arguments = [str(things / word) if (things / word).is_file() else word for word in arguments]
    command = [sys.executable, "-W", "default", "-m", "unisono", *arguments, "--model", str(tiny_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("unisono: ") and done.stderr.count("\n") == 1, done.stderr
    assert [entry.name for entry in work.iterdir()] == ["kept.wav"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="closes streams by a shell")
@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("say - -o a.wav <&-", 2, "the text is empty"),
        ("align - --text Hello. <&-", 2, "standard input is empty"),
        ("say Hello. -o a.wav >&-", 0, ""),
        ("say Hello. -o - >&-", 2, "standard output is closed"),
        ("say Hello. -o a.wav --words - >&-", 2, "standard output is closed"),
        ("say Hello. -o - >/dev/full", 2, "standard output cannot be written"),
        ("say '' -o a.wav 2>&-", 2, None),
    ],
)
def test_streams_that_are_closed_or_full(work, tiny_folder, command, code, says):
    if "/dev/full" in command and not os.path.exists("/dev/full"):
        pytest.skip("this system has no such device")
    name, rest = command.split(" ", 1)
    typed = f"{sys.executable} -m unisono {name} --model {tiny_folder} {rest}"
    done = subprocess.run(["sh", "-c", typed], capture_output=True, text=True, check=False, cwd=work, stdin=None)
    assert done.returncode == code, done.stderr
    if says is not None:
        assert (done.stderr == "") if not says else (says in done.stderr and done.stderr.count("\n") == 1)
    assert (work / "a.wav").exists() == (code == 0)


def test_a_terminal_of_letters_only(work, tiny_folder):
    """What ASCII lacks is written as escapes in reports, and JSON is UTF-8 wherever it goes."""
    command = [sys.executable, "-m", "unisono", "say", "Hell\xf6 there.", "-o", "a.wav", "--model", str(tiny_folder)]
    world = os.environ | {"PYTHONIOENCODING": "ascii"}
    for more in ([], ["--words", "-"]):
        done = subprocess.run([*command, *more], capture_output=True, check=False, cwd=work, env=world)
        assert done.returncode == 0, done.stderr
        if more:
            assert json.loads(done.stdout.decode("utf-8"))["words"][0]["text"] == "Hell\xf6"
        else:
            assert b"Hell\\xf6 there." in done.stdout
