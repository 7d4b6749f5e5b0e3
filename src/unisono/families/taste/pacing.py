"""When a word begins, when its codes are due and when to stop: the control flow of speaking on, without a tensor.

Spec section 4.2. Codes of a word are predicted `delay` words later than its text; after the text has ended the last
words' codes are still to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

HARD_LIMIT = 3  # times the words asked for


class Action(IntEnum):
    """What a step did with its text."""

    START = 0
    INSIDE = 1
    WAIT = 2
    STOP = 3


class Heard(IntEnum):
    """What the position after a step hears: the pad vector, the next word of the prompt, that word still, or the last
    codes that were made up."""

    PAD = 0
    NEXT = 1
    KEEP = 2
    OWN = 3


class Move(NamedTuple):
    """What one drawn token means: `codes` = a word's codes are due now."""

    action: Action
    heard: Heard
    codes: bool


@dataclass
class Pacing:
    """The state of one completion.

    Attributes:
        delay: words between text and codes. extra_words: how many are wanted. stop_id: ends at once.
        starts, ends: of each id, see `vocabulary.Vocabulary`. pending: words of the prompt not yet heard.
        words, coded: word starts seen, codes made so far.
    """

    delay: int
    extra_words: int
    starts: Sequence[bool]
    ends: Sequence[bool]
    pending: int = 0
    stop_id: int | None = None
    words: int = 0
    coded: int = 0
    stopped: int = 0  # steps since the text ended
    stopping: bool = False
    hearing_prompt: bool = False

    def take(self, token: int) -> Move:
        """The next drawn token."""
        self.stopping = self.stopping or token == self.stop_id
        if self.stopping:
            return self._after_text()
        start = self.words == 0 or bool(self.starts[token])
        self.words += start
        codes = start and self.words > self.delay
        self.coded += codes
        # More words than were wanted: now a full stop ends the text, later whatever comes. Published results show the
        # ">" of the hard limit; that the full stop is held against the same count is taken from there.
        self.stopping = self.words > HARD_LIMIT * self.extra_words or (
            self.words > self.extra_words and bool(self.ends[token])
        )
        return Move(Action.START if start else Action.INSIDE, self._heard(start), codes)

    def _after_text(self) -> Move:
        """A step that only waits for codes; with few words the first of them are not yet due."""
        codes = self.coded < self.words and self.stopped >= self.delay - self.words
        self.stopped += 1
        self.coded += codes
        done = self.coded >= self.words
        return Move(Action.STOP if done else Action.WAIT, self._heard(True), codes)

    def _heard(self, start: bool) -> Heard:
        if self.coded:
            return Heard.OWN
        if start and self.pending:
            self.pending -= 1
            self.hearing_prompt = True
            return Heard.NEXT
        if start:
            self.hearing_prompt = False
        return Heard.KEEP if self.hearing_prompt else Heard.PAD
