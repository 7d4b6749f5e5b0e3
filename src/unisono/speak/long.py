"""Speaking texts of any length: the sound is handed on piece by piece, words and tokens are kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unisono.interface import Audio, Speech, SpeechModel, Token, Voice, Word
from unisono.speak.say import Spoken


@dataclass
class HandedOn(Speech):
    """A speech whose sound went elsewhere while it was made: `audio` is empty, `samples` says how long it is."""

    samples: int = 0

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate


def say_to(
    model: SpeechModel,
    text: str,
    sink: Callable[[Audio], None],
    *,
    keep: bool = False,
    voice: Voice | None = None,
    seed: int = 0,
    **options: Any,
) -> Spoken:
    """Speak a text of any length, sentence by sentence.

    Args:
        sink: takes the sound, piece by piece; together it is what `say` returns.
        keep: also return the sound, as `say` does; else memory does not grow with it.
        voice, seed, options: as for `say`.

    Raises:
        InputError: unusable text or option. CheckpointError: a voice of another model. Whatever `sink` raises.
    """
    if not model.can_stream:
        start = time.perf_counter()
        speech = model.say(text, voice=voice, seed=seed, **options)
        sink(Audio(speech.audio, speech.sample_rate))
        return Spoken(speech, time.perf_counter() - start)
    start = time.perf_counter()
    words: list[Word] = []
    tokens: list[Token] = []
    scores: list[list[float]] = []
    kept: list[np.ndarray] = []
    samples, rate = 0, model.sample_rate
    # Nobody waits for the first piece: whole sentences cost less.
    speaking = getattr(model, "sentences", model.stream)
    for piece in speaking(text, voice=voice, seed=seed, **options):
        sink(Audio(piece.audio, piece.sample_rate))
        words += piece.words
        tokens += piece.tokens
        scores += piece.speaker_scores
        samples, rate = samples + len(piece.audio), piece.sample_rate
        if keep:
            kept.append(piece.audio)
    seconds = time.perf_counter() - start
    if keep:
        return Spoken(Speech(np.concatenate(kept), rate, text, words, tokens, scores), seconds)
    return Spoken(HandedOn(np.zeros(0, np.float32), rate, text, words, tokens, scores, samples), seconds)
