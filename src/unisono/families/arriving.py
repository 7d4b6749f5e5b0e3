"""A text that is there, or arrives in pieces while it is spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from unisono.families.checks import check_text
from unisono.families.spelling import Spelled, has_words
from unisono.text import speakable_parts


class ArrivingText:
    """A text that is there, or comes in pieces (`arrives`).

    Attributes:
        source: what has been read so far. first: the sentences of its first part, after `read`.
    """

    def __init__(self, given: str | Iterable[str]) -> None:
        self.arrives = not isinstance(given, str) and isinstance(given, Iterable)
        self.given, self.source = given, ""
        self.first: list[Spelled] = []
        self._later: Iterator[list[Spelled]] = iter(())

    def read(self, spell: Callable[[str], list[Spelled]]) -> None:
        """Spell the text, or as much of it as makes a first part. Raises InputError for what cannot be spoken."""
        if not self.arrives:
            self.source = check_text(self.given)
            self.first = spell(self.given)
            return
        self._later = self._arriving(spell)
        self.first = next(self._later, None) or spell(check_text(self.source))

    def sentences(self, count: Callable[[list[Spelled]], None]) -> Iterator[Spelled]:
        """Sentences as they come; `count` is told of those that were not in the first part."""
        yield from self.first
        for part in self._later:
            count(part)
            yield from part

    def _arriving(self, spell: Callable[[str], list[Spelled]]) -> Iterator[list[Spelled]]:
        held = ""  # marks and pauses alone, which are spoken with the words behind them
        for part in speakable_parts(self.given):
            self.source, held = self.source + part, held + part
            if has_words(held):
                yield spell(held)
                held = ""
