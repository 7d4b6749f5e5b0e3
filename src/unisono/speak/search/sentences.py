"""Sentences as the steps of a search, for speech models that bring no steps of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from unisono.families.joining import join, soften
from unisono.interface import Span, Speech, SpeechModel, Voice
from unisono.speak.search.best_of import seed_of
from unisono.text import split_sentences
from unisono.text.script import show

Path = tuple[int, ...]


class SentenceSpace:
    """Every step says the next sentence of a text by itself; the draws of a step differ in their seeds.

    What the model says of the whole text at once may be another speech than its sentences one by one, so it is made
    too (`plain`). Sentences within a range of [rate:…] are one step: a tag is never cut off from its end.
    """

    def __init__(
        self, model: SpeechModel, text: str, *, voice: Voice | None = None, seed: int = 0, **options: Any
    ) -> None:
        self.model, self.text, self.voice, self.seed, self.options = model, text, voice, seed, options
        self.sentences = [text[start:end] for start, end in _steps(text)] or [text]
        self.made: dict[Path, Speech] = {}
        self.calls = 0

    def plain(self) -> Speech | None:
        """The whole text at once; None where it is one sentence, whose draw 0 that is."""
        return None if self.sentences == [self.text] else self._say(self.text, self.seed)

    def extend(self, path: Path) -> None:
        """Say the sentence of the last step; what was said before does not change it."""
        number = len(path) - 1
        if (key := (number, path[-1])) not in self.made:
            seed = seed_of(self.seed, *path[-1:], *([number] if path[-1] else []))
            self.made[key] = self._say(self.sentences[number], seed)

    def _say(self, text: str, seed: int) -> Speech:
        self.calls += 1
        return self.model.say(text, voice=self.voice, seed=seed, **self.options)

    def finished(self, path: Path) -> bool:
        """Whether all sentences are said."""
        return len(path) == len(self.sentences)

    def speech(self, path: Path) -> Speech:
        """The sentences said so far."""
        if not path:
            return Speech(np.zeros(0, np.float32), self.model.sample_rate, "", [], [])
        parts = [self.made[number, draw] for number, draw in enumerate(path)]
        last = len(parts) - 1
        softened = [soften(part, start=at > 0, end=at < last) for at, part in enumerate(parts)]
        return join(self.text, softened)


def _steps(text: str) -> list[Span]:
    """Sentences that can be said by themselves: with a letter or digit, and with whole ranges of [rate:…]."""
    _, tags = show(text)
    steps: list[Span] = []
    whole = True  # nothing of the last step is missing
    for start, end in split_sentences(text):
        sounds = any(map(str.isalnum, text[start:end]))
        if steps and not (whole and sounds):
            start = steps.pop().start
        names = [tag.name for tag in tags if start <= tag.start < end]
        whole = names.count("rate") <= names.count("/rate") and any(map(str.isalnum, text[start:end]))
        steps.append(Span(start, end))
    return steps
