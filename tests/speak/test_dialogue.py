"""Dialogue scripts: how they are read, and spoken by a model with one voice at a time."""

import json

import numpy as np
import pytest

from unisono.audio.level import speech_level
from unisono.cli import main
from unisono.errors import InputError
from unisono.files import load_voice, save_voice
from unisono.interface import Audio, Speech
from unisono.speak import read_dialogue, say_dialogue
from unisono.speak.dialogue import LEVEL, PEAK, Turn, dialogue_text, levelled

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
    speech = say_dialogue(tiny_model, turns, voices={"a": voice, "b": voice}, seed=3, level=False)
    assert [word.text for word in speech.words] == ["hello", "you", "there", "yes"]
    alone = tiny_model.say("you there", voice=voice, seed=3)
    start = round((speech.words[1].start - alone.words[0].start) * tiny_model.sample_rate)
    middle = slice(start + 1000, start + len(alone.audio) - 1000)
    assert np.array_equal(speech.audio[middle], alone.audio[1000:-1000]), "times of words are those of their sound"
    assert np.all(np.diff([word.start for word in speech.words]) > 0)


class Loud:
    """Speaks as loudly as a voice's name says."""

    name, sample_rate = "loud", 24000

    def say(self, text, *, voice=None, seed=0, **options):
        audio = np.sin(np.arange(24000 * len(text) // 10) * 0.1) * float(voice)
        return Speech(audio.astype(np.float32), 24000, text, [], [])


def levels(speech, *ends):
    """Levels in dB between some seconds."""
    pieces = np.split(speech.audio, [round(24000 * end) for end in ends])
    return [round(speech_level(Audio(piece, 24000)), 1) for piece in pieces]


def test_speakers_are_brought_to_the_same_loudness():
    turns = [Turn("a", "hello you "), Turn("b", "hello too "), Turn("a", "well hello")]
    quiet = say_dialogue(Loud(), turns, voices={"a": "0.01", "b": "0.5"}, level=False)
    assert levels(quiet, 1.1, 2.3) == pytest.approx([-43.0, -9.0, -43.0], abs=0.3)
    even = say_dialogue(Loud(), turns, voices={"a": "0.01", "b": "0.5"})
    assert levels(even, 1.1, 2.3) == pytest.approx([LEVEL] * 3, abs=0.3)
    assert len(even.audio) == len(quiet.audio)


def test_one_speaker_and_silence_stay_as_they_are_and_nothing_is_too_loud_for_a_file():
    alone = say_dialogue(Loud(), [Turn("a", "hello you"), Turn("a", "hello")], voice="0.01")
    assert np.abs(alone.audio).max() == pytest.approx(0.01, rel=0.01)
    click = np.zeros(24000, np.float32)
    click[::2400] = 0.9  # a peak 30 dB above its level
    parts = [Speech(click, 24000, "", [], []), Speech(np.zeros(24000, np.float32), 24000, "", [], [])]
    one, silent = levelled(parts, ["a", "b"])
    assert np.abs(one.audio).max() == pytest.approx(PEAK) and not silent.audio.any()


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
    assert main(["say", "hello", "--no-level", "--model", str(tiny_folder), "-o", "b.wav"]) == 2
    assert "belong to a dialogue" in capsys.readouterr().err
    assert main(["say", "--script", "none.txt", "-o", "b.wav"]) == 2
    assert "none.txt cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "b.wav").exists()
