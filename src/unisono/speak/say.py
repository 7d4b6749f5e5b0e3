"""Speaking, aligning, encoding and decoding over any speech model, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from unisono.errors import InputError
from unisono.interface import AlignedTokens, Audio, Speech, SpeechModel, Voice


class Spoken(NamedTuple):
    """A speech and the seconds that a machine took to make it."""

    speech: Speech
    seconds: float

    @property
    def rtf(self) -> float:
        """Real-time factor: seconds of computing per second of sound."""
        return self.seconds / self.speech.duration

    @property
    def times_real_time(self) -> float:
        """Seconds of sound per second of computing."""
        return self.speech.duration / self.seconds


def say(model: SpeechModel, text: str, *, voice: Voice | None = None, seed: int = 0, **options: Any) -> Spoken:
    """Speak a text.

    Args:
        voice: None = the model's own.
        seed: same seed, same bytes on a CPU.
        options: generation options of the model (steps, guidance, speed, ...).

    Raises:
        InputError: unusable text or option. CheckpointError: a voice of another model.
    """
    return timed(lambda: model.say(text, voice=voice, seed=seed, **options))


def decode(model: SpeechModel, tokens: AlignedTokens) -> Spoken:
    """Sound from pieces of speech, as long as what was encoded. Raises CheckpointError for those of another model."""
    return timed(lambda: model.decode(tokens))


def align(model: SpeechModel, source: str | Path | Audio, text: str) -> Speech:
    """Word and token times of a recording (file name, "-" for standard input, or samples) and its transcript.

    Raises:
        AudioError, InputError: unusable sound or text, a model without word times. AlignmentError: text too long.
    """
    if not model.word_times:
        raise InputError(f"model {model.name} knows no word times: align with another one")
    return model.align(source, text=text)


def encode(model: SpeechModel, source: str | Path | Audio, text: str, **options: Any) -> AlignedTokens:
    """One piece of speech per token of the transcript; options are the model's (sample_latent, seed).

    Raises like `align`.
    """
    return model.encode(source, text=text, **options)


def timed(work: Callable[[], Speech]) -> Spoken:
    """Run some work and take the time."""
    start = time.perf_counter()
    speech = work()
    return Spoken(speech, time.perf_counter() - start)
