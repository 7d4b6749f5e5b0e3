"""Words grouped into subtitles that can be read: a sentence or a part of one, at most two lines of 42 columns.

A subtitle ends where a sentence ends (the next one of its line may join a very short one), where a pause is long, and
where the next word would be too much; then it is cut at the last sentence in it, else behind the last comma or the like
of its second half. One that would be gone too soon stays longer, as far as there is room before the next.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from unisono.interface import Span, Speech
from unisono.text import shown_words, split_clauses, split_sentences
from unisono.text.script import show

COLUMNS, LINES = 42, 2
LONGEST = 7.0  # seconds
SHORTEST = 1.0
PAUSE = 1.0  # seconds between words that end a subtitle


class Cue(NamedTuple):
    """A subtitle: one or two lines, and when it is shown, in seconds."""

    lines: tuple[str, ...]
    start: float
    end: float


def subtitles(speech: Speech) -> list[Cue]:
    """The words of a speech as subtitles, in order and without overlap."""
    words, pieces = speech.words, _pieces(speech)
    cues: list[Cue] = []
    spans = list(_spans(speech, pieces))
    for number, (first, last) in enumerate(spans):
        until = words[spans[number + 1][0]].start if number + 1 < len(spans) else speech.duration
        start, end = words[first].start, words[last - 1].end
        end = max(end, min(start + SHORTEST, until))
        cues.append(Cue(_lines(_one_line("".join(pieces[first:last]))), start, end))
    return cues


def _pieces(speech: Speech) -> list[str]:
    """The text of each word with what stands between it and the next one; as it is shown, on one line."""
    text = show(speech.text)[0].text
    shown = shown_words(text)
    if [word.text for word in shown] != [word.text for word in speech.words]:
        return [f"{word.text} " for word in speech.words]
    starts = [0, *(word.span.start for word in shown[1:]), len(text)]
    return [_one_line(text[start:end]) for start, end in pairwise(starts)]


def _one_line(text: str) -> str:
    """White space as single spaces; at the end a line break stays one."""
    end = text[len(text.rstrip()) :]
    return " ".join(text.split()) + ("\n" if "\n" in end else " " * bool(end))


def _spans(speech: Speech, pieces: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The words [first, last) of each subtitle."""
    words = speech.words
    sentences, clauses = (_ends(pieces, split) for split in (split_sentences, split_clauses))
    first = 0
    for place in range(1, len(words) + 1):
        while first < place and not _fits("".join(pieces[first:place]), words[place - 1].end - words[first].start):
            middle = first + (place - first) // 2  # a clause that ends before it would leave as much again
            within = [end for end in sentences if first < end < place] or [
                end for end in clauses if middle < end < place
            ]
            cut = max(within, default=max(place - 1, first + 1))
            yield first, cut
            first = cut
        if first == place:
            continue
        last = words[place - 1]
        turned = pieces[place - 1].endswith("\n") or last.end - words[first].start >= SHORTEST
        ended = place in sentences and turned
        if place == len(words) or ended or words[place].start - last.end > PAUSE:
            yield first, place
            first = place


def _ends(pieces: Sequence[str], split: Callable[[str], list[Span]]) -> set[int]:
    """How many words there are up to the end of each part of the text."""
    ends, number, done = set(), 0, 0
    for _, end in split("".join(pieces)):
        while number < len(pieces) and done < end:
            done += len(pieces[number])
            number += 1
        ends.add(number)
    return ends


def _fits(text: str, seconds: float) -> bool:
    """Whether a text can be shown at once."""
    lines = _lines(text)
    return len(lines) <= LINES and all(_columns(line) <= COLUMNS for line in lines) and seconds <= LONGEST


def _columns(text: str) -> int:
    """The width of a text; East Asian signs are two wide."""
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)


def _lines(text: str) -> tuple[str, ...]:
    """A text on one line, or on two that are as even as can be."""
    text = text.strip()
    if _columns(text) <= COLUMNS:
        return (text,)
    spaces = [place for place, sign in enumerate(text) if sign == " "]
    breaks = spaces or [place for place in range(1, len(text)) if _may_begin(text[place])]
    if not breaks:
        return (text,)
    pairs = [(text[:place].rstrip(), text[place:].lstrip()) for place in breaks]
    return min(pairs, key=lambda pair: max(map(_columns, pair)))


def _may_begin(sign: str) -> bool:
    """Whether a line of a script without spaces may begin with a sign."""
    return unicodedata.east_asian_width(sign) == "W" and unicodedata.category(sign) not in ("Pe", "Po", "Lm", "Mn")
