"""Step-wise beam search with a partial process reward.

A speech is made in steps (sentences, pieces of a text, or seconds of codes). At every step each of `beams` beginnings
is spoken on in `expansions` ways, all of them are judged as far as they go, and the best `beams` stay. The reward may
guide only the first `steps`, after which every beginning is spoken on as it comes (partial PRM of Llasa).

Whole speeches are judged in the end: those that 1, 2, .. `beams` beginnings lead to, and the one without any search.
So the result is never judged worse than what the model says unasked, nor than that of fewer beams; draws have numbers
and are reused, so looking at fewer beams as well costs only the beginnings that more beams would not have met.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from unisono.errors import InputError
from unisono.interface import Speech
from unisono.speak.search.best_of import MOST, Found
from unisono.speak.search.verifiers import Verifier

Path = tuple[int, ...]  # the number of the draw at each step


class Space(Protocol):
    """Speeches that are made step by step; a path names a beginning, and the same path is the same beginning.

    Attributes:
        text: what is said. calls: how often the model was asked to speak, or to speak on by a step.
    """

    text: str
    calls: int

    def plain(self) -> Speech | None:
        """What the model says without a search; None where that is the path of draws 0."""

    def extend(self, path: Path) -> None:
        """Make the last step of a path whose other steps are made."""

    def finished(self, path: Path) -> bool:
        """Whether the speech of a path is whole."""

    def speech(self, path: Path) -> Speech:
        """The speech of a path as far as it goes; it may be silent."""


@dataclass
class _Ledger:
    """What was made and judged, so that nothing is made or judged twice."""

    space: Space
    verifier: Verifier
    made: set[Path] = field(default_factory=set)
    scores: dict[Path, float] = field(default_factory=dict)

    def make(self, path: Path) -> None:
        if path not in self.made:
            self.space.extend(path)
            self.made.add(path)

    def judge(self, path: Path) -> float:
        if path not in self.scores:
            whole = self.space.finished(path)
            self.scores[path] = self.verifier(self.space.speech(path), self.space.text, whole)
        return self.scores[path]

    def go_on(self, path: Path) -> Path:
        """Speak on with draw 0 until the end."""
        while not self.space.finished(path):
            path = (*path, 0)
            self.make(path)
        return path

    def walk(self, beams: int, expansions: int, steps: int | None) -> list[Path]:
        """Whole speeches that so many beginnings lead to."""
        alive: list[Path] = [()]
        step = 0
        while (steps is None or step < steps) and any(not self.space.finished(path) for path in alive):
            tried = [path for path in alive if self.space.finished(path)]
            for path in alive:
                if not self.space.finished(path):
                    tried += [(*path, draw) for draw in range(expansions)]
            for path in tried:
                self.make(path)
            # Stable, so that of equals the one with the lower draws stays.
            alive = sorted(tried, key=self.judge, reverse=True)[:beams]
            step += 1
        return [self.go_on(path) for path in alive]


def beam_search(
    space: Space, verifier: Verifier, *, beams: int = 2, expansions: int = 3, steps: int | None = None
) -> Found:
    """The best whole speech that was met.

    Args:
        beams: beginnings that stay. expansions: ways in which each of them is spoken on.
        steps: how many steps the reward guides; None = all.

    Raises:
        InputError: numbers below one. Whatever the model raises.
    """
    if not (1 <= beams <= MOST and 1 <= expansions <= MOST) or (steps is not None and steps < 1):
        raise InputError(f"beams, expansions and steps are {beams}, {expansions} and {steps}: each must be at least 1")
    ledger, plain = _Ledger(space, verifier), space.plain()
    whole = [ledger.go_on(())] if plain is None else []
    for width in range(1, beams + 1):
        whole += ledger.walk(width, expansions, steps)
    whole = list(dict.fromkeys(whole))
    best = max(whole, key=ledger.judge)
    scores, asked = [ledger.judge(path) for path in whole], len(ledger.scores)
    speech, score = space.speech(best), ledger.judge(best)
    if plain is not None:
        scores, asked = [verifier(plain, space.text, True), *scores], asked + 1
        if scores[0] >= score:
            speech, score = plain, scores[0]
    return Found(speech, score, scores, space.calls, asked)
