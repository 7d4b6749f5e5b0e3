"""Any text as the few characters a small vocabulary knows, each with the source span it came from.

Accented Latin letters lose their accents, typographic quotes and dashes become ASCII, white space becomes one space,
and what is left over (digits, other scripts, emoji) becomes `GAP`: no token, but the words around it stay apart.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from unisono.interface import Span

GAP = ""
_TABLE = {
    "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"', "‘": "'", "’": "'", "‚": ",", "‛": "'",
    "′": "'", "`": "'", "´": "'", "ʼ": "'", "‹": "'", "›": "'", "–": "-", "—": "-", "―": "-", "‐": "-", "‑": "-",
    "−": "-", "‒": "-", "…": "...", "¿": GAP, "¡": GAP, "、": ",", "，": ",", "。": ".", "！": "!", "？": "?",
    "；": ";", "：": ":", "؟": "?", "،": ",", "؛": ";", "۔": ".", "।": ".", "·": GAP, "/": " ", "\\": " ", "_": " ",
    "|": " ", "[": "(", "]": ")", "{": "(", "}": ")", "（": "(", "）": ")", "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE",
    "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "th", "Ð": "Th",
    "þ": "th", "Þ": "Th", "ı": "i", "ħ": "h", "Ħ": "H", "ŋ": "ng", "ə": "a",
}  # fmt: skip
_PRINTED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,?!;:'-\"()")
_ZERO_WIDTH = frozenset(
    "\u200b\u200c\u200d\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00ad"
)


class Folded(NamedTuple):
    """One character after folding (`GAP` for a dropped one) and where it came from."""

    character: str
    span: Span


@lru_cache(maxsize=4096)
def fold_character(character: str, known: frozenset[str] = _PRINTED) -> str:
    """The vocabulary characters for one source character; `GAP` when it has none."""
    if character in known or character.lower() in known:
        return character
    if character in _TABLE:
        return _TABLE[character]
    if character.isspace() or unicodedata.category(character) == "Cc":
        return " "
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return "".join(c if c in known or c.lower() in known else _TABLE.get(c, GAP) for c in plain)


def fold(text: str, known: frozenset[str] = _PRINTED) -> Iterator[Folded]:
    """Fold `text` to the characters in `known` (default: English letters and punctuation).

    Runs of white space (and of what is dropped between them) give one space with the span of the run.
    A combining mark belongs to the letter before it. Spans are in order and never overlap, except that several
    characters made from one ("…", "œ") share its span.
    """
    held: Folded | None = None
    for place, character in enumerate(text):
        if held is not None and (character in _ZERO_WIDTH or unicodedata.combining(character)):
            held = Folded(held.character, Span(held.span.start, place + 1))
            continue
        folded = fold_character(character, known)
        span = Span(place, place + 1)
        if folded.strip(" ") == "":  # a space or a gap: wait for what follows
            if held is None or held.character.strip(" "):
                if held is not None:
                    yield held
                held = Folded(folded and " ", span)
            elif folded:  # a space after a gap starts at the space; a space after a space grows
                held = Folded(" ", Span(held.span.start if held.character else place, place + 1))
            continue
        if held is not None:
            yield held
        for part in folded[:-1]:
            yield Folded(part, span)
        held = Folded(folded[-1], span)
    if held is not None:
        yield held
