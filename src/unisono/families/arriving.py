"""A text that is there, or arrives in pieces while it is spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from unisono.families.checks import check_text
from unisono.families.spelling import Spelled
from unisono.text import speakable_parts


class ArrivingText:
    """A text that is there, or arrives in pieces (`arrives`): `parts` are the sentences of each part of it, `source`
    what has been read so far."""

    def __init__(self, given: str | Iterable[str]) -> None:
        self.arrives = not isinstance(given, str) and isinstance(given, Iterable)
        self.given, self.source = given, ""
        self.parts: Iterator[list[Spelled]] = iter(())

    def read(self, spell: Callable[[str], list[Spelled]]) -> None:
        """Spell the text, or as much of it as makes a first part. Raises InputError for what cannot be spoken."""
        if self.arrives:
            parts = self._arriving(spell)
            first = next(parts, None)
            if first is None:
                check_text(self.source)
            self.parts = chain([first], parts)
        else:
            self.source = check_text(self.given)
            self.parts = iter([spell(self.given)])

    def _arriving(self, spell: Callable[[str], list[Spelled]]) -> Iterator[list[Spelled]]:
        for part in speakable_parts(self.given):
            self.source += part
            if any(map(str.isalnum, part)):
                yield spell(part)
