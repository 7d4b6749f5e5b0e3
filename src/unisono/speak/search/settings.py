"""A search as a user asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from unisono.align.transcribe import POCKETSPHINX, Recogniser
from unisono.errors import InputError
from unisono.interface import SpeechModel, Voice
from unisono.speak.search.beam import beam_search
from unisono.speak.search.best_of import Found, best_of
from unisono.speak.search.sentences import SentenceSpace
from unisono.speak.search.verifiers import make_verifier


@dataclass(frozen=True)
class Search:
    """How to search.

    Attributes:
        best_of: draws of the whole speech. beams: beginnings that stay in a step-wise search; one of the two is given.
        expansions: ways in which each beginning is spoken on. steps: that the reward guides; None = all.
        verifiers: names, with weights if need be. asr: who hears for the verifier wer.
    """

    best_of: int | None = None
    beams: int | None = None
    expansions: int = 3
    steps: int | None = None
    verifiers: Sequence[str] = ("wer",)
    asr: str | Recogniser = POCKETSPHINX

    def check(self) -> None:
        """Raise InputError unless exactly one kind of search is asked for, with numbers that can be used."""
        if (self.best_of is None) == (self.beams is None):
            raise InputError("a search is either best-of or beams: give one of the two")


def search(
    model: SpeechModel, text: str, how: Search, *, voice: Voice | None = None, seed: int = 0, **options: Any
) -> Found:
    """Speak a text, guided by verifiers.

    The steps of a search by beams are those of the model where it brings any (`search_space`: TADA sentences that each
    hear the one before, Llasa windows of codes, Dia pieces of the text), else sentences said one by one.

    Raises:
        InputError: unusable text, option or search. CheckpointError: a voice of another model.
    """
    how.check()
    verifier = make_verifier(how.verifiers, model, voice, how.asr)
    if how.best_of is not None:
        return best_of(model, text, verifier, voice=voice, seed=seed, **options).best(how.best_of)
    make_space = getattr(model, "search_space", None)
    space = (make_space or partial(SentenceSpace, model))(text, voice=voice, seed=seed, **options)
    return beam_search(space, verifier, beams=how.beams, expansions=how.expansions, steps=how.steps)
