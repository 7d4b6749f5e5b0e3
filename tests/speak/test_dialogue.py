"""Dialogue scripts: how they are read, and spoken by a model with one voice at a time."""

import json

import numpy as np
import pytest

from unisono.cli import main
from unisono.errors import InputError
from unisono.files import load_voice, save_voice
from unisono.speak import read_dialogue, say_dialogue
from unisono.speak.dialogue import Turn, dialogue_text

SCRIPT = "# a talk\nAnna: Hello there.\n\n  Ben Smith: Good day to you,\n  and to him: who is he?\n[Anna] Bye.\n"


def test_turns_of_a_script():
    turns = read_dialogue(SCRIPT)
    assert turns[0] == Turn("Anna", "Hello there.") and turns[-1] == Turn("Anna", "Bye.")
    assert read_dialogue("[S1] One.\n[S2] Two: it is.") == [Turn("S1", "One."), Turn("S2", "Two: it is.")]
    assert dialogue_text(turns[:1] + turns[-1:]) == "[S1] Hello there. [S1] Bye."


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", "is empty"),
        ("hello\nAnna: x", "line 1 of the script"),
        ("Anna:  \nBen: x", "empty"),
        ("Anna: !?", "no letter"),
    ],
)
def test_scripts_that_cannot_be_used(script, message):
    with pytest.raises(InputError, match=message):
        read_dialogue(script)


def test_every_turn_has_the_voice_of_its_speaker(tiny_model, tiny_folder):
    turns = [Turn("a", "hello"), Turn("b", "you there"), Turn("a", "yes")]
    voice = load_voice(tiny_folder / "voices" / "someone.safetensors")
    speech = say_dialogue(tiny_model, turns, voices={"a": voice, "b": voice}, seed=3)
    assert [word.text for word in speech.words] == ["hello", "you", "there", "yes"]
    alone = tiny_model.say("you there", voice=voice, seed=3)
    start = round((speech.words[1].start - alone.words[0].start) * tiny_model.sample_rate)
    middle = slice(start + 1000, start + len(alone.audio) - 1000)
    assert np.array_equal(speech.audio[middle], alone.audio[1000:-1000]), "times of words are those of their sound"
    assert np.all(np.diff([word.start for word in speech.words]) > 0)


def test_two_voices_on_the_command_line(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.txt").write_text("Anna: hello there.\nBen: yes.\n")
    voice = load_voice(tiny_folder / "voices" / "someone.safetensors")
    save_voice(tmp_path / "other.safetensors", voice)
    command = ["say", "--script", "d.txt", "--model", str(tiny_folder)]
    pairs = ["--voices", "Anna=someone", "--voices", "Ben=other.safetensors"]
    assert main([*command, *pairs, "--words", "w.json"]) == 0
    words = json.loads((tmp_path / "w.json").read_text())
    assert [word["text"] for word in words["words"]] == ["hello", "there.", "yes."]
    capsys.readouterr()
    for extra, message in (
        ([], "2 speakers, the model 1 ready voices"),
        (pairs[:2], "Ben of the script has no voice"),
        (["--voices", "Carl=someone"], "no voice to a speaker"),
        (["and", "a", "text"], "leave one of the two away"),
        (["--best-of", "2", *pairs], "leave the script or the search away"),
    ):
        assert main([*command, *extra, "-o", "b.wav"]) == 2
        assert message in capsys.readouterr().err
    assert main(["say", "--script", "none.txt", "-o", "b.wav"]) == 2
    assert "none.txt cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "b.wav").exists()
