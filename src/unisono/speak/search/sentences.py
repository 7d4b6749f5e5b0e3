"""Sentences as the steps of a search, which any speech model can make."""

from __future__ import annotations

from typing import Any

import numpy as np

from unisono.families.joining import join, soften
from unisono.interface import Speech, SpeechModel, Voice
from unisono.speak.search.best_of import seed_of
from unisono.text import split_sentences

Path = tuple[int, ...]


class SentenceSpace:
    """Every step says the next sentence of a text; the draws of a step differ in their seeds."""

    def __init__(
        self, model: SpeechModel, text: str, *, voice: Voice | None = None, seed: int = 0, **options: Any
    ) -> None:
        spans = [span for span in split_sentences(text) if any(map(str.isalnum, text[span.start : span.end]))]
        self.model, self.text, self.voice, self.seed, self.options = model, text, voice, seed, options
        self.sentences = [text[start:end] for start, end in spans] or [text]
        self.made: dict[Path, Speech] = {}

    def extend(self, path: Path) -> None:
        """Say the sentence of the last step; what was said before does not change it."""
        number = len(path) - 1
        if (key := (number, path[-1])) not in self.made:
            seed = seed_of(self.seed, *path[-1:], *([number] if path[-1] else []))
            self.made[key] = self.model.say(self.sentences[number], voice=self.voice, seed=seed, **self.options)

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
