"""How long each gap is spoken: what the model draws, the asked rate, the asked pauses. There are no tensors in here.

Gap k is the distance in frames of 1/50 s between the marks of tokens k − 1 and k of a text of n tokens; token −1 is
what was spoken before (the voice's last token), token n is the end of the turn. A slot says both the gap before its
token and the gap after it (spec section 9.1), so that a gap is met twice: as *after* of one slot, then as *before* of
the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FRAMES_PER_SECOND = 50


@dataclass(frozen=True)
class Tempo:
    """What is asked of the gaps of one text.

    Attributes:
        first: slot of token 0.
        factors: [n + 1], gap k becomes the drawn one divided by factor k; above 1 is faster.
        pauses: gap k -> frames more than was drawn.
        least: gap k -> frames at the least.
    """

    first: int
    factors: Sequence[float]
    pauses: Mapping[int, int] = field(default_factory=dict)
    least: Mapping[int, int] = field(default_factory=dict)

    @property
    def neutral(self) -> bool:
        """Whether every gap stays as it is drawn."""
        return not self.pauses and not self.least and all(factor == 1 for factor in self.factors)


def tempo(
    first: int, tokens: int, speed: float = 1.0, rates: Sequence[float] = (), pauses: Mapping[int, float] | None = None
) -> Tempo:
    """A tempo from what a user asks.

    Args:
        first: slot of token 0. tokens: n.
        speed: of the whole text. rates: [n] or [], of each token beside it; the last one holds for the end too.
        pauses: gap k, 0 … n -> seconds.
    """
    each = [speed * rate for rate in rates] or [speed] * tokens
    frames = {gap: round(seconds * FRAMES_PER_SECOND) for gap, seconds in (pauses or {}).items()}
    return Tempo(first, [*each, each[-1]], {gap: count for gap, count in frames.items() if count > 0})


class Timer:
    """Walks through the slots of one text and decides their gaps.

    What rounding to whole frames takes from one gap is given to the next, so that a text is as much faster as asked.
    """

    def __init__(self, asked: Tempo) -> None:
        self.asked, self.carry = asked, 0.0
        self.promised: dict[int, int] = {}

    def decide(self, slot: int, before: int, after: int) -> tuple[int, int]:
        """Drawn gaps of a slot -> gaps to speak. A forced gap is decided where it is met first and stays."""
        token = slot - self.asked.first
        last = len(self.asked.factors) - 1
        if 0 <= token <= last:
            before = self.promised.pop(token) if token in self.promised else self._carried(token, before)
        if -1 <= token < last:
            after = self._promise(token + 1, after)
        return before, after

    def _carried(self, gap: int, drawn: int) -> int:
        """A drawn gap at its rate, in whole frames, never less than one where something changes."""
        factor = self.asked.factors[gap]
        if factor == 1 and not self.carry:
            return drawn
        wanted = max(drawn, 1) / factor + self.carry  # a gap of 0 takes a frame too (quirk 11)
        whole = max(1, math.floor(wanted + 0.5))
        self.carry = wanted - whole
        return whole

    def _promise(self, gap: int, drawn: int) -> int:
        """What follows a slot: a forced gap is fixed here, any other only foreseen."""
        factor = self.asked.factors[gap]
        scaled = drawn if factor == 1 else max(1, math.floor(max(drawn, 1) / factor + 0.5))
        if gap not in self.asked.pauses and gap not in self.asked.least:
            return scaled
        forced = max(max(scaled, 1) + self.asked.pauses.get(gap, 0), self.asked.least.get(gap, 0))
        self.promised[gap] = forced
        return forced


def cap_total(gaps: Sequence[int], most: int) -> list[int]:
    """Shorten the longest gaps, and as few as can be, until all together take at most `most` frames.

    Gaps keep at least one frame each, so that the result can be longer than `most` where there are more gaps.
    """
    if sum(gaps) <= most:
        return list(gaps)
    low, high = 1, max(gaps)
    while low < high:  # the highest ceiling that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(min(gap, middle) for gap in gaps) <= most else (low, middle - 1)
    return [min(gap, low) for gap in gaps]
