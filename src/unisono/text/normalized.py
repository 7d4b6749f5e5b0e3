"""A text as it is spoken beside the text as it was written, piece by piece."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from unisono.interface import Span

_OPENERS = "([{$£€"


class Piece(NamedTuple):
    """spoken[spoken_start:spoken_end] says source[source_start:source_end]; all counts are characters."""

    spoken_start: int
    spoken_end: int
    source_start: int
    source_end: int


class Said(NamedTuple):
    """What a rule says for a part of the source: `text` for source[start:end]; an empty text drops the part.

    `apart` asks for a space before it, as words for symbols need.
    """

    text: str
    start: int
    end: int
    apart: bool = False


@dataclass
class Normalized:
    """`spoken` for `source`; `spans` cover all of `spoken`, in order, and their source sides never go back."""

    source: str
    spoken: str
    spans: list[Piece] = field(default_factory=list)

    @cached_property
    def _starts(self) -> list[int]:
        return [piece.spoken_start for piece in self.spans]

    def source_span(self, start: int, end: int) -> Span:
        """Where spoken[start:end] comes from; character by character where the piece is copied, else the whole piece.

        Ranges outside the text are clipped; an empty range gives an empty span.
        """
        start, end = max(0, start), min(end, len(self.spoken))
        if start >= end:
            at = self.source_span(start - 1, start).end if 0 < start <= len(self.spoken) else 0
            return Span(at, at)
        first_index = bisect_right(self._starts, start) - 1
        last_index = bisect_right(self._starts, end - 1) - 1
        first, last = self.spans[first_index], self.spans[last_index]
        source_start = first.source_start + (start - first.spoken_start if self._copied[first_index] else 0)
        source_end = last.source_end - (last.spoken_end - end if self._copied[last_index] else 0)
        return Span(source_start, source_end)

    def map_spans(self, spans: Sequence[Span]) -> list[Span]:
        """`source_span` of each of `spans`."""
        return [self.source_span(*span) for span in spans]

    @cached_property
    def _copied(self) -> list[bool]:
        """For each piece whether it is spoken as it is written, but for case."""
        spoken = [self.spoken[piece.spoken_start : piece.spoken_end] for piece in self.spans]
        source = [self.source[piece.source_start : piece.source_end] for piece in self.spans]
        return [
            len(one) == len(two) and (one == two or one.lower() == two.lower())
            for one, two in zip(spoken, source, strict=True)
        ]


class Builder:
    """Puts a `Normalized` together from left to right; keeps words apart where a rule's words meet letters."""

    def __init__(self, source: str, spaced: bool = True):
        self._source = source
        self._space = " " if spaced else ""  # Chinese and Japanese set no spaces between words
        self._parts: list[str] = []
        self._spans: list[Piece] = []
        self._length = 0
        self._last = ""  # last character spoken
        self._said = False  # whether that character came from a rule
        self._dropped = False  # whether the last part of the source was dropped

    def copy(self, start: int, end: int) -> None:
        """Speak source[start:end] as it is written."""
        if start < end and self._dropped and self._source[start] == " " and self._last in ("", " ", "\n"):
            start += 1  # one of the two spaces around what was dropped
        if start < end:
            self._dropped = False
            if (
                self._said
                and self._last.isalnum()
                and (self._source[start].isalnum() or self._source[start] in _OPENERS)
            ):
                self._put(self._space, start, start)
            self._put(self._source[start:end], start, end)
            self._said = False

    def say(self, said: Said) -> None:
        """Speak what a rule says."""
        text = said.text
        self._dropped = not text
        if not text:
            return
        if self._last and ((self._last.isalnum() and text[0].isalnum()) or (said.apart and not self._last.isspace())):
            text = self._space + text
        self._put(text, said.start, said.end)
        self._said = True

    def last(self) -> str:
        """The last character spoken, "" at the beginning."""
        return self._last

    def finish(self) -> Normalized:
        """The result so far."""
        return Normalized(self._source, "".join(self._parts), self._spans)

    def _put(self, text: str, start: int, end: int) -> None:
        if not text:
            return
        self._parts.append(text)
        self._spans.append(Piece(self._length, self._length + len(text), start, end))
        self._length += len(text)
        self._last = text[-1]
