"""Step-wise beam search with a partial process reward.

A speech is made in steps (sentences, or seconds of codes). At every step each of `beams` beginnings is spoken on in
`expansions` ways, all of them are judged as far as they go, and the best `beams` stay. The reward may guide only the
first `steps`, after which every beginning is spoken on as it comes (partial PRM of Llasa). In the end whole speeches
are judged, among them the one without any search, so that the result is never judged worse than that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from unisono.errors import InputError
from unisono.interface import Speech
from unisono.speak.search.best_of import MOST, Found
from unisono.speak.search.verifiers import Verifier

Path = tuple[int, ...]  # the number of the draw at each step


class Space(Protocol):
    """Speeches that are made step by step; a path names a beginning, and the same path is the same beginning."""

    text: str

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
    made: set[Path]
    scores: dict[Path, float]

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
    ledger = _Ledger(space, verifier, set(), {})
    plain = ledger.go_on(())
    alive: list[Path] = [()]
    step = 0
    while (steps is None or step < steps) and any(not space.finished(path) for path in alive):
        tried = [path for path in alive if space.finished(path)]
        for path in alive:
            if not space.finished(path):
                tried += [(*path, draw) for draw in range(expansions)]
        for path in tried:
            ledger.make(path)
        # Stable, so that of equals the one with the lower draws stays.
        alive = sorted(tried, key=ledger.judge, reverse=True)[:beams]
        step += 1
    whole = [plain, *(ledger.go_on(path) for path in alive)]
    best = max(dict.fromkeys(whole), key=ledger.judge)
    scores = [ledger.judge(path) for path in dict.fromkeys(whole)]
    return Found(space.speech(best), ledger.judge(best), scores, len(ledger.made - {()}), len(ledger.scores))
