"""The words of a source text, verbatim, and which tokens speak them.

A word is what stands between white space and holds a letter or digit ("here." stays "here."). Control tags such as
[pause:1s] are no words, they part words as spaces do; of [say:naɪki|Nike] the shown text is a word. In scripts without
spaces a word is a run of one script's letters between punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from unisono.interface import Span
from unisono.text.script import show

_ITEM = re.compile(r"\S+")
_SPACELESS = (
    ("han", r"\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"),
    ("hiragana", r"\u3041-\u309f"),
    ("katakana", r"\u30a1-\u30fa\u30fd-\u30ff\u31f0-\u31ff\uff66-\uff9f"),
    ("bopomofo", r"\u3105-\u312f"),
    ("thai", r"\u0e01-\u0e4e"),
    ("lao", r"\u0e81-\u0ece"),
    ("myanmar", r"\u1000-\u103f"),
    ("khmer", r"\u1780-\u17d3"),
)
_ANY_SPACELESS = re.compile("[" + "".join(ranges for _, ranges in _SPACELESS) + "]")
_LONG_VOWEL = "\u30fc"  # ー belongs to whatever kana stands before it
_RUN = re.compile(
    "|".join(f"[{ranges}][{ranges}{_LONG_VOWEL}]*" for _, ranges in _SPACELESS)
    + rf"|[0-9]+(?:[.,:][0-9]+)*|(?:(?!{_ANY_SPACELESS.pattern})[^\W\d_])(?:(?!{_ANY_SPACELESS.pattern})[\w'’.-])*"
)
_TRAILING_MARKS = "'’.-_"


class ShownWord(NamedTuple):
    """A word as it is shown, and where it stands in the source."""

    text: str
    span: Span


def source_words(text: str) -> list[Span]:
    """The spans of the words of `text`, in order; empty for a text without letters or digits."""
    return [word.span for word in shown_words(text)]


def shown_words(text: str) -> list[ShownWord]:
    """The words of `text`, in order, as a reader sees them; a span includes tags that stand inside its word."""
    script, _ = show(text)
    words: list[Span] = []
    for match in _ITEM.finditer(script.text):
        item = match.group()
        if _ANY_SPACELESS.search(item):
            words += _runs(item, match.start())
        elif any(character.isalnum() for character in item):
            words.append(Span(*match.span()))
    return [ShownWord(script.text[start:end], script.source_span(start, end)) for start, end in words]


def _runs(item: str, offset: int) -> list[Span]:
    """The words inside an item that holds letters of a script without spaces."""
    runs = []
    for match in _RUN.finditer(item):
        start, end = match.start(), match.start() + len(match.group().rstrip(_TRAILING_MARKS))
        while end < len(item) and unicodedata.combining(item[end]):
            end += 1
        if any(character.isalnum() for character in item[start:end]):
            runs.append(Span(offset + start, offset + end))
    return runs


def words_of_tokens(words: Sequence[Span], tokens: Sequence[Span]) -> list[Span]:
    """For each word the range [start, end) of token indices that speak it.

    Args:
        words: spans of the words in the source text, in order (`source_words`).
        tokens: for each token the span in the source it came from, in order; spans may repeat where several tokens
            come from one piece ("$3.50"), and may cover several words; those tokens are shared out by word length.

    A word without any token (characters the tokenizer drops) gets an empty range at the place where it would be.
    Ranges are in order and do not overlap, but where there are fewer tokens than words on one span.
    """
    starts: list[int | None] = [None] * len(words)
    ends = [0] * len(words)
    word_ends = [word.end for word in words]
    word_starts = [word.start for word in words]
    first = 0
    while first < len(tokens):
        last = first + 1
        while last < len(tokens) and tokens[last] == tokens[first]:
            last += 1
        span = tokens[first]
        low = bisect_right(word_ends, span.start)
        high = bisect_left(word_starts, max(span.end, span.start + 1))
        for word, (begin, end) in zip(range(low, high), _share(words[low:high], first, last), strict=True):
            if starts[word] is None:
                starts[word] = begin
            ends[word] = max(ends[word], end)
        first = last
    result: list[Span] = []
    for start, end in zip(starts, ends, strict=True):
        place = result[-1].end if result else 0
        result.append(Span(place, place) if start is None else Span(start, end))
    return result


def _share(words: Sequence[Span], first: int, last: int) -> list[tuple[int, int]]:
    """Token ranges inside [first, last) for words on one span, in proportion to their lengths, at least one token."""
    total = sum(word.end - word.start for word in words)
    count, done, shares = last - first, 0, []
    for word in words:
        begin = first + done * count // total
        done += word.end - word.start
        shares.append((begin, max(first + done * count // total, begin + 1)))
    return shares
