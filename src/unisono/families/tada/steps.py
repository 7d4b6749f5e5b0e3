"""Sentences as the steps of a search (`speak.search`): each hears the end of the one before it, as in `say`.

The path of draws 0 is what the model says without a search, sample by sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from unisono.families.joining import join, soften
from unisono.families.spelling import Spelled
from unisono.families.tada.sentence import Speaker, after, speak_sentence
from unisono.interface import Speech
from unisono.lm.draws import GeneratorDraws
from unisono.lm.seeded import seed_of

Path = tuple[int, ...]


class _Begun(NamedTuple):
    """A beginning: what was said, one speech a sentence, and who says the next one."""

    said: tuple[Speech, ...]
    speaker: Speaker


class SentenceSteps:
    """Every step speaks the next sentence. Draw 0 goes on with the noise of the beginning, others have their own.

    Attributes:
        calls: how often the model was asked for a sentence.
    """

    def __init__(self, text: str, speaker: Speaker, sentences: Sequence[Spelled], seed: int) -> None:
        self.text, self.sentences, self.seed, self.prompt = text, list(sentences), seed, speaker.prompt
        self.made: dict[Path, _Begun] = {(): _Begun((), speaker)}
        self.calls = 0

    def plain(self) -> None:
        """The speech without a search is the path of draws 0."""

    def extend(self, path: Path) -> None:
        """Speak the last step of a path."""
        said, speaker = self.made[path[:-1]]
        draws = GeneratorDraws.seeded([seed_of(self.seed, *path)]) if path[-1] else speaker.draws.copy()
        speaker = replace(speaker, draws=draws)
        self.calls += 1
        take = speak_sentence(speaker, self.sentences[len(said)])
        self.made[path] = _Begun((*said, take.speech), after(speaker, self.prompt, take))

    def finished(self, path: Path) -> bool:
        """Whether all sentences are spoken."""
        return len(path) == len(self.sentences)

    def speech(self, path: Path) -> Speech:
        """The sentences spoken so far."""
        said, speaker = self.made[path]
        if not said:
            return Speech(np.zeros(0, np.float32), speaker.card.sample_rate, self.text, [], [])
        last = len(self.sentences) - 1
        return join(self.text, [soften(part, start=at > 0, end=at < last) for at, part in enumerate(said)])
