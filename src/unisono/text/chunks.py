"""A text of any length in pieces within a budget, cut where a reader would pause.

A piece ends at the last sentence end within the budget, else at the last clause end, else at the last word end, else
between two characters; never inside a control tag or between a letter or emoji and the marks that belong to it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

from unisono.errors import InputError
from unisono.interface import Span
from unisono.text.script import show
from unisono.text.sentences import split_clauses, split_sentences
from unisono.text.words import source_words

_FIRST_GUESS = 64  # characters
_ITEM = re.compile(r"\S+")
# What is never parted from the character before it: combining marks, variation selectors, skin tones, Hangul vowels,
# emoji tags. A joiner holds both sides; flags are pairs of letters. Unicode's stream-safe format allows 30 in a row.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8"
    "\u06ea-\u06ed\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963\u0981-\u0983\u09bc-\u09cd\u0a01-\u0a03\u0a3c-\u0a4d"
    "\u0b01-\u0b03\u0b3c-\u0b4d\u0bbe-\u0bcd\u0c00-\u0c04\u0c3e-\u0c4d\u0cbc-\u0ccd\u0d3b-\u0d4d\u0e31\u0e34-\u0e3a"
    "\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u1160-\u11ff\u17b4-\u17d3\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u200c\u200d\u20d0-\u20ff\u3099\u309a\ufe00-\ufe0f\ufe20-\ufe2f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
)
_BOUND = re.compile(
    rf"\r\n|(?:[\U0001f1e6-\U0001f1ff]{{2}}|[^\s{_MARKS}])?(?:[{_MARKS}]|(?<=\u200d)[\u2190-\u2bff\U0001f000-\U0001faff])"
    r"{1,30}|[\U0001f1e6-\U0001f1ff]{2}"
)


def split_chunks(text: str, fits: Callable[[str], bool] | int) -> list[Span]:
    """Pieces of `text`, in order, without the white space around them; nothing but white space lies between them.

    Takes time in proportion to the length of the text, and calls `fits` about ten times a piece.

    Args:
        fits: whether a piece is within the budget, or the most characters a piece may have. What fits must also fit
            without its end. Pieces cut no control tag in two, but may hold one end of a [rate] range.

    Raises:
        InputError: not even one character fits.
    """
    within = (lambda piece: len(piece) <= fits) if isinstance(fits, int) else fits
    whole = _together(text)
    sentences = [span.end for span in split_sentences(text)]
    clauses = [span.end for span in split_clauses(text)]
    words = sorted({*(span.end for span in source_words(text)), *(match.end() for match in _ITEM.finditer(text))})
    words = [end for end in words if whole[end]]
    chunks: list[Span] = []
    at, guess = _skip_space(text, 0), _FIRST_GUESS
    while at < len(text):
        limit = _furthest(text, at, guess, within, whole)
        end = limit
        if limit < len(text):
            end = next((found for ends in (sentences, clauses, words) if (found := _last(ends, at, limit))), limit)
        end = at + len(text[at:end].rstrip())
        if not within(text[at:end]):  # what fits with its end only
            end = limit
        chunks.append(Span(at, end))
        guess = limit - at
        at = _skip_space(text, end)
    return chunks


def _together(text: str) -> bytearray:
    """For every place 0 .. len(text) whether the text may be cut there."""
    may = bytearray(b"\1" * (len(text) + 1))
    for match in _BOUND.finditer(text):
        start, end = match.span()
        may[start + 1 : end] = bytes(max(end - start - 1, 0))
    for tag in show(text)[1]:
        may[tag.start : tag.end + 1] = b"\1" + bytes(tag.end - tag.start - 1) + b"\1"
    return may


def _furthest(text: str, at: int, guess: int, within: Callable[[str], bool], whole: bytearray) -> int:
    """The furthest place up to which text[at:] fits. Raises InputError when nothing does."""
    fitting, step = at, guess
    too_far = len(text) + 1
    while fitting < len(text):  # twice as far, until it is too far
        end = _cut(whole, fitting, min(at + step, len(text)), len(text) + 1)
        if not within(text[at:end]):
            too_far = end
            break
        fitting, step = end, 2 * (end - at)
    while (end := _cut(whole, fitting, (fitting + too_far) // 2, too_far)) > 0:
        if within(text[at:end]):
            fitting = end
        else:
            too_far = end
    if fitting == at:
        raise InputError(f"not even {text[at:too_far][:20]!r} is short enough for the budget: allow more at once")
    return fitting


def _cut(whole: bytearray, low: int, place: int, high: int) -> int:
    """The nearest place to `place` between `low` and `high` where the text may be cut; -1 for none."""
    back = whole.rfind(1, low + 1, min(place + 1, high))
    return back if back > 0 else whole.find(1, max(place, low) + 1, high)


def _last(ends: Sequence[int], at: int, limit: int) -> int:
    """The last of `ends` in (at, limit]; 0 for none."""
    index = bisect_right(ends, limit)
    return ends[index - 1] if index and ends[index - 1] > at else 0


def _skip_space(text: str, place: int) -> int:
    """The first place from `place` on that holds something."""
    while place < len(text) and text[place].isspace():
        place += 1
    return place
