"""How long each gap is spoken: what the model draws, the asked rate, the asked pauses. There are no tensors in here.

Gap k is the distance in frames of 1/50 s between the marks of tokens k − 1 and k of a text of n tokens; token −1 is
what was spoken before (the voice's last token), token n is the end of the turn. A slot says both the gap before its
token and the gap after it (spec section 9.1), so that a gap is met twice: as *after* of one slot, then as *before* of
the next. A pause is decided where it is met first and stays; so the model reads it on both sides.

A rate changes what is spoken, not what the language model reads: a model that reads faster speech draws still faster
speech (measured with the built-in voice: 1.36 times as fast where 1.2 was asked, 2.4 where 1.5 was).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

FRAMES_PER_SECOND = 50


@dataclass(frozen=True)
class Tempo:
    """What is asked of the gaps of one text.

    Attributes:
        first: slot of token 0.
        factors: [n + 1], gap k becomes the drawn one divided by factor k; above 1 is faster.
        more: gap k -> frames beside the drawn ones. exact: gap k -> frames. least: gap k -> frames at the least.
    """

    first: int
    factors: Sequence[float]
    more: Mapping[int, int] = field(default_factory=dict)
    exact: Mapping[int, int] = field(default_factory=dict)
    least: Mapping[int, int] = field(default_factory=dict)

    @property
    def neutral(self) -> bool:
        """Whether every gap stays as it is drawn."""
        return not (self.more or self.exact or self.least) and all(factor == 1 for factor in self.factors)

    def forced(self, gap: int) -> bool:
        """Whether a gap is asked for and not just drawn."""
        return gap in self.more or gap in self.exact or gap in self.least

    def asked(self, gap: int, drawn: int) -> int:
        """A forced gap in frames, given what would have been there."""
        return max(self.exact.get(gap, max(drawn, 1) + self.more.get(gap, 0)), self.least.get(gap, 0))


class Decided(NamedTuple):
    """Gaps of a slot: `before` and `after` as they are spoken, and as the language model reads them."""

    before: int
    after: int
    read_before: int
    read_after: int


class Timer:
    """Walks through the slots of one text and decides their gaps.

    What rounding to whole frames takes from one gap is given to the next, so that a text is as much faster as asked.
    """

    def __init__(self, asked: Tempo) -> None:
        self.tempo, self.carry = asked, 0.0
        self.promised: dict[int, tuple[int, int]] = {}  # forced gap -> frames spoken and read

    def decide(self, slot: int, before: int, after: int) -> Decided:
        """Gaps to speak and to read from those that were drawn for a slot."""
        token, end = slot - self.tempo.first, len(self.tempo.factors) - 1
        spoken_before, read_before, spoken_after, read_after = before, before, after, after
        if token in self.promised:
            spoken_before, read_before = self.promised.pop(token)
        elif 0 <= token <= end:
            spoken_before = self._carried(self.tempo.factors[token], before)
        if -1 <= token < end:
            spoken_after = _scaled(after, self.tempo.factors[token + 1])
            if self.tempo.forced(token + 1):
                spoken_after = self.tempo.asked(token + 1, spoken_after)
                read_after = self.tempo.asked(token + 1, after)
                self.promised[token + 1] = (spoken_after, read_after)
        return Decided(spoken_before, spoken_after, read_before, read_after)

    def _carried(self, factor: float, drawn: int) -> int:
        """A drawn gap at a rate, in whole frames, at least one where anything changes: 0 takes a frame too."""
        if factor == 1 and not self.carry:
            return drawn
        wanted = max(drawn, 1) / factor + self.carry
        whole = max(1, math.floor(wanted + 0.5))
        self.carry = wanted - whole
        return whole


def _scaled(drawn: int, factor: float) -> int:
    """A drawn gap at a rate, rounded."""
    return drawn if factor == 1 else max(1, math.floor(max(drawn, 1) / factor + 0.5))


class Allowance:
    """Walks through the drawn gaps of one text and keeps them within the longest time that it may take.

    A gap is cut where it would leave later ones less than half of their even share, or less than a frame each. What is
    decided of a gap does not depend on later ones: they may not be drawn yet when it is heard. Gaps that are asked for
    are beside it.

    Attributes:
        drawn, spent: frames of all gaps so far, as drawn and as they are spoken. cut: whether any of them was cut.
    """

    def __init__(self, asked: Tempo, gaps: int, most: int) -> None:
        """`most` frames for the drawn ones among `gaps` gaps."""
        self.tempo, self.most, self.share = asked, most, max(most / 2 / max(gaps, 1), 1)
        self.rest = sum(not asked.forced(gap) for gap in range(gaps))
        self.drawn = self.spent = 0
        self.cut = False

    def spend(self, gap: int, frames: int) -> int:
        """The frames that a gap gets; gaps come in their order."""
        if self.tempo.forced(gap):
            return frames
        self.rest -= 1
        taken = min(frames, max(self.most - self.spent - math.ceil(self.rest * self.share), 1))
        self.drawn, self.spent = self.drawn + frames, self.spent + taken
        self.cut = self.cut or taken < frames
        return taken
