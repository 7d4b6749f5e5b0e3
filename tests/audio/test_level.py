"""Levels of sounds that are known."""

import numpy as np
import pytest

from unisono.audio.level import speech_level
from unisono.interface import Audio

RATE = 24000


def test_the_level_of_a_sine_and_what_pauses_do_to_it():
    sine = np.sin(np.arange(RATE) * 0.1).astype(np.float32)
    assert speech_level(Audio(sine, RATE)) == pytest.approx(-3.01, abs=0.05)
    assert speech_level(Audio(sine * 0.1, RATE)) == pytest.approx(-23.01, abs=0.05)
    pauses = np.concatenate([sine, np.zeros(2 * RATE, np.float32), sine * 0.001])
    assert speech_level(Audio(pauses, RATE)) == pytest.approx(-3.01, abs=0.1)


def test_silence_and_very_short_sounds():
    assert speech_level(Audio(np.zeros(100, np.float32), RATE)) == -np.inf
    assert speech_level(Audio(np.zeros(0, np.float32), RATE)) == -np.inf
    assert speech_level(Audio(np.ones(480, np.float32), RATE)) == pytest.approx(0.0)
