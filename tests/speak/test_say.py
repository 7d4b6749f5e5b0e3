"""What people ask for, over any speech model: here one that is not of any family."""

from pathlib import Path

import numpy as np
import pytest
import torch

from unisono import speak
from unisono.errors import AudioError, CheckpointError, InputError
from unisono.files import save_voice
from unisono.interface import AlignedTokens, Speech, Voice, Word


class Parrot:
    """The least that a speech model must be."""

    family, name, sample_rate = "parrot", "polly", 24000
    can_clone = can_stream = can_continue = word_times = True

    def say(self, text, *, voice=None, seed=0, **options):
        return Speech(np.zeros(24000, np.float32), 24000, f"{voice and voice.name} {text} {seed} {options}", [], [])

    def voice(self, audio, *, text):
        return Voice("unnamed", make_tokens(text=text))

    def align(self, audio, *, text):
        return Speech(np.zeros(24000, np.float32), 24000, text, [Word(text, 0.0, 1.0)], [])

    def encode(self, audio, *, text):
        return make_tokens(text=text)

    def decode(self, tokens):
        return Speech(np.zeros(12000, np.float32), 24000, tokens.text, [], [])


def make_tokens(**changes):
    values = {"text_ids": [1, 2], "positions": [1, 3], "vectors": [[0.5], [1.0]]}
    tensors = {name: torch.tensor(value) for name, value in values.items()}
    rest = {"frames": 4, "samples": 1920, "sample_rate": 24000, "text": "hi", "family": "parrot", "model": "polly"}
    return AlignedTokens(**{**tensors, **rest, **changes})


@pytest.fixture
def folder(tmp_path):
    """A model folder with one ready voice."""
    (tmp_path / "voices").mkdir()
    save_voice(tmp_path / "voices" / "anna.safetensors", Voice("anna", make_tokens()))
    return tmp_path


def test_saying_is_timed():
    spoken = speak.say(Parrot(), "hello", seed=3, steps=4)
    assert spoken.speech.text == "None hello 3 {'steps': 4}"
    assert spoken.seconds > 0 and spoken.rtf == pytest.approx(1 / spoken.times_real_time)
    assert speak.decode(Parrot(), make_tokens()).speech.duration == 0.5


def test_recordings():
    assert speak.align(Parrot(), "ref.wav", "hi").words == [Word("hi", 0.0, 1.0)]
    assert speak.encode(Parrot(), "ref.wav", "hi").text == "hi"


def test_a_model_says_what_it_cannot_do(folder, recording):
    class Mute(Parrot):
        can_clone = word_times = False

    with pytest.raises(InputError, match="word times"):
        speak.align(Mute(), "ref.wav", "hi")
    with pytest.raises(InputError, match="cannot learn a voice"):
        speak.find_voice(Mute(), folder, str(recording), "hi")


def test_voices_by_name_file_and_recording(folder, recording):
    model = Parrot()
    assert speak.find_voice(model, folder, None) is None
    assert speak.find_voice(model, folder, "anna").name == "anna"
    assert speak.find_voice(model, folder, str(folder / "voices" / "anna.safetensors")).name == "anna"
    assert speak.find_voice(model, folder, str(recording), "hello").name == "ref"
    assert list(speak.ready_voices(folder)) == ["anna"]


@pytest.mark.parametrize(
    ("wanted", "text", "says", "error"),
    [
        ("berta", None, "ready are: anna", InputError),
        ("../voices/anna", None, "no voice", InputError),
        ("berta.safetensors", None, "does not exist", CheckpointError),
        ("anna", "hi", "is for a recording", InputError),
        (None, "hi", "is for a recording", InputError),
        ("ref.wav", None, "words are needed", InputError),
        ("ref.wav", " ", "words are needed", InputError),
    ],
)
def test_voices_that_are_not_there(folder, wanted, text, says, error):
    with pytest.raises(error, match=says):
        speak.find_voice(Parrot(), folder, wanted, text)


def test_a_family_with_a_recording_that_is_not_there(tiny_model):
    with pytest.raises(AudioError, match="does not exist"):
        speak.find_voice(tiny_model, Path(), "missing.wav", "hi")
