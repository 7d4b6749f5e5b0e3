"""Best of N: whole speeches are drawn and judged, the best is kept.

Draws are numbered and reused: the best of N + 1 looks at the same N speeches and one more, so that the score never
falls as N grows. Draw 0 is what the model says without a search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from unisono.errors import InputError
from unisono.interface import Speech, SpeechModel, Voice
from unisono.lm import seeded
from unisono.speak.search.verifiers import Verifier

MOST = 1000  # draws
SHOWN = 12  # scores that a report lists


@dataclass(frozen=True)
class Found:
    """What a search found, and what it cost.

    Attributes:
        speech, score: the best. scores: of all whole speeches that were judged.
        model_calls: times that the model spoke, or spoke on by a step. verifier_calls: times that a judge was asked.
    """

    speech: Speech
    score: float
    scores: list[float]
    model_calls: int
    verifier_calls: int

    def lines(self) -> list[str]:
        """What was found and what it cost, in two lines."""
        scores = ", ".join(f"{score:.3f}" for score in self.scores[:SHOWN])
        more = f" and {len(self.scores) - SHOWN} more" if len(self.scores) > SHOWN else ""
        return [
            f"search: score {self.score:.3f} of {scores}{more}",
            f"{self.model_calls} model calls, {self.verifier_calls} verifier calls",
        ]


@dataclass
class BestOf:
    """Draws that are kept as long as this object.

    Attributes:
        draw: number -> speech, the same for the same number. judge: speech -> score.
    """

    draw: Callable[[int], Speech]
    judge: Callable[[Speech], float]
    scores: list[float] = field(default_factory=list)
    _best: Speech | None = None

    def best(self, count: int) -> Found:
        """The best of the first `count` draws; those that were made are not made again.

        Only the best speech so far is kept, so fewer draws than were asked for before cannot be looked at again.

        Raises:
            InputError: no draw, fewer than before, or more than `MOST`.
        """
        if not isinstance(count, int) or not max(len(self.scores), 1) <= count <= MOST:
            raise InputError(f"best of {count!r} cannot be searched: give a whole number from 1 to {MOST}")
        for number in range(len(self.scores), count):
            speech = self.draw(number)
            score = self.judge(speech)
            if not self.scores or score > max(self.scores):
                self._best = speech
            self.scores.append(score)
        return Found(self._best, max(self.scores), list(self.scores), len(self.scores), len(self.scores))


def best_of(
    model: SpeechModel, text: str, verifier: Verifier, *, voice: Voice | None = None, seed: int = 0, **options: Any
) -> BestOf:
    """Draws of a text from a model.

    Online rejection of the family, where it has one (TADA's `speaker_threshold`), works inside of every draw.

    Raises:
        InputError, CheckpointError, GenerationError: as `say`, when a draw is made.
    """
    return BestOf(
        lambda number: model.say(text, voice=voice, seed=seed_of(seed, number), **options),
        lambda speech: verifier(speech, text),
    )


def seed_of(seed: int, *path: int) -> int:
    """The seed of a draw; that of draw 0 is the seed itself."""
    return seeded.seed_of(seed, *path) if any(path) else seed
