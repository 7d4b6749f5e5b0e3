"""Verifier-guided search: several takes or partial takes, judged, the best of them kept; over any speech model."""

from unisono.speak.search.beam import Space, beam_search
from unisono.speak.search.best_of import BestOf, Found, best_of
from unisono.speak.search.sentences import SentenceSpace
from unisono.speak.search.settings import Search, search
from unisono.speak.search.verifiers import (
    VERIFIERS,
    DurationPlausibility,
    SpeakerLikeness,
    Verifier,
    WordErrors,
    make_verifier,
    word_error_rate,
)

__all__ = [
    "VERIFIERS",
    "BestOf",
    "DurationPlausibility",
    "Found",
    "Search",
    "SentenceSpace",
    "Space",
    "SpeakerLikeness",
    "Verifier",
    "WordErrors",
    "beam_search",
    "best_of",
    "make_verifier",
    "search",
    "word_error_rate",
]
