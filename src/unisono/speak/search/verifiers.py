"""Small callables that judge a speech: the higher the better, 0 is nothing to complain about, or a likeness up to 1.

A verifier is also asked about beginnings of a speech (`whole=False`), which is the partial process reward of the
step-wise search. What it measures must not be what the result is reported with: a search for word errors is judged by
another recogniser, a search for likeness by another voice print.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from unisono.align.transcribe import POCKETSPHINX, Recogniser, cut_at_pauses, make_recogniser
from unisono.audio.speaker import similarity, voice_print
from unisono.errors import InputError
from unisono.interface import Audio, Speech, SpeechModel, Voice

CHARACTERS_A_SECOND = 14.0  # letters and digits of read English, 12 to 17 in the recordings of speech/
SHORTEST_PRINT = 0.5  # seconds of sound from which a voice print says something


class Verifier(Protocol):
    """A judge of speeches."""

    def __call__(self, speech: Speech, text: str, whole: bool = True) -> float:
        """How good a speech of `text` is; with `whole` False the speech may be a beginning of it."""


class WordErrors:
    """Minus the word error rate, as a recogniser hears it, at worst -1.

    Of a beginning, the errors against that beginning of the text which fits best.
    """

    def __init__(self, asr: str | Recogniser = POCKETSPHINX, language: str = "en") -> None:
        self.hear = asr if callable(asr) else make_recogniser(asr, language)

    def __call__(self, speech: Speech, text: str, whole: bool = True) -> float:
        sound = Audio(speech.audio, speech.sample_rate)
        heard = plain_words(" ".join(self.hear(piece) for piece in cut_at_pauses(sound)))
        return -min(word_error_rate(plain_words(text), heard, whole), 1.0)


class SpeakerLikeness:
    """Likeness to a reference in [-1, 1] (`audio.speaker`); 0 for sounds that are too short to tell."""

    def __init__(self, reference: Audio) -> None:
        self.prints = [voice_print(reference)]

    def __call__(self, speech: Speech, text: str, whole: bool = True) -> float:
        if speech.duration < SHORTEST_PRINT or not speech.audio.any():
            return 0.0
        return similarity(voice_print(Audio(speech.audio, speech.sample_rate)), self.prints) or 0.0


class DurationPlausibility:
    """Minus the size of the logarithm of length over the length that the text usually takes, at worst -1.

    Nothing is said of a beginning, unless it is longer than the whole should be.
    """

    def __init__(self, characters_a_second: float = CHARACTERS_A_SECOND) -> None:
        self.rate = characters_a_second

    def __call__(self, speech: Speech, text: str, whole: bool = True) -> float:
        usual = max(sum(character.isalnum() for character in text), 1) / self.rate
        off = math.log(max(speech.duration, 1e-3) / usual)
        return -min(abs(off) if whole else max(off, 0.0), 1.0)


class Sum:
    """Several verifiers, each with a weight."""

    def __init__(self, parts: Sequence[tuple[Verifier, float]]) -> None:
        self.parts = parts

    def __call__(self, speech: Speech, text: str, whole: bool = True) -> float:
        return sum(weight * verifier(speech, text, whole) for verifier, weight in self.parts)


def _wer(model: SpeechModel, voice: Voice | None, asr: str | Recogniser) -> Verifier:
    return WordErrors(asr, model.language)


def _similarity(model: SpeechModel, voice: Voice | None, asr: str | Recogniser) -> Verifier:
    voice = voice or getattr(model, "default_voice", None)
    if voice is None:
        raise InputError("the verifier similarity compares with a voice: name one")
    speech = model.decode(voice.tokens)
    return SpeakerLikeness(Audio(speech.audio, speech.sample_rate))


def _duration(model: SpeechModel, voice: Voice | None, asr: str | Recogniser) -> Verifier:
    return DurationPlausibility()


VERIFIERS: Mapping[str, Callable[[SpeechModel, Voice | None, str | Recogniser], Verifier]] = {
    "wer": _wer,
    "similarity": _similarity,
    "duration": _duration,
}


def make_verifier(
    names: Sequence[str], model: SpeechModel, voice: Voice | None, asr: str | Recogniser = POCKETSPHINX
) -> Verifier:
    """The verifier of some names, such as ["wer"] or ["wer", "similarity:0.5"], a number being its weight.

    Args:
        voice: what `similarity` compares with; None = the model's own. asr: who hears for `wer`.

    Raises:
        InputError: an unknown name, a weight that is none, or nothing to compare with.
    """
    parts = []
    for item in names:
        name, _, weight = item.partition(":")
        if name not in VERIFIERS:
            raise InputError(f"there is no verifier {name[:40]!r}: use {', '.join(VERIFIERS)}")
        parts.append((VERIFIERS[name](model, voice, asr), _weight(weight, item)))
    if not parts:
        raise InputError(f"a search needs a verifier: name one of {', '.join(VERIFIERS)}")
    return Sum(parts)


def _weight(text: str, item: str) -> float:
    if not text:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 100:
        raise InputError(f"the verifier {item[:40]!r} has no weight that can be used: wanted is a number up to 100")
    return value


def plain_words(text: str) -> list[str]:
    """Words in small letters without marks."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower().replace("’", "'"))


def word_error_rate(wanted: Sequence[str], heard: Sequence[str], whole: bool = True) -> float:
    """Edits from `heard` to `wanted`, or to the beginning of it that fits best, over the words there.

    Without words heard, the rate of a beginning is 0.
    """
    row = list(range(len(wanted) + 1))  # edits from what was heard so far to each beginning
    for number, word in enumerate(heard, 1):
        before, row = row, [number]
        for place, other in enumerate(wanted, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (word != other)))
    if whole:
        return row[-1] / max(len(wanted), 1)
    return min(edits / max(place, len(heard), 1) for place, edits in enumerate(row))
