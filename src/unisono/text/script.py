"""Control tags in a text: what is shown, where pauses and rates stand, what is spoken in place of what is shown.

    [pause:0.8s]  [pause:800ms]   silence, 0 to 10 seconds
    [rate:1.3]…[/rate]            speed, 0.25 to 4; ranges may nest, their factors multiply
    [say:SPOKEN|SHOWN]            SHOWN stands in the text, SPOKEN (IPA or plain letters) is what is said

Brackets that hold none of these names are text, and so is a tag after a backslash. A pause parts the words around it
as a space does; rate tags may stand inside a word.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from unisono.errors import InputError
from unisono.interface import Span

LONGEST_PAUSE = 10.0  # seconds
SLOWEST, FASTEST = 0.25, 4.0
_EXCERPT = 40
_TAG = re.compile(
    r"(?P<escape>\\?)\[(?P<close>/?)(?P<name>pause|rate|say)(?=\s{0,4}[:\]]|\s{1,4}[-+.0-9])(?P<body>[^\[\]]*)(?P<end>\]?)",
    re.IGNORECASE,
)
_SECONDS = re.compile(r":\s?(?P<number>[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})\s?(?P<unit>m?s)\s?", re.IGNORECASE)
_FACTOR = re.compile(r":\s?(?P<number>[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})\s?")
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}…'\"’”»%。，、！？；：،؛؟۔")


class Pause(NamedTuple):
    """`seconds` of silence before character `at` of the shown text; `at` = its length means at the end."""

    at: int
    seconds: float


class Rate(NamedTuple):
    """Characters [start, end) of the shown text are spoken `factor` times as fast."""

    start: int
    end: int
    factor: float


class Respelling(NamedTuple):
    """In place of characters [start, end) of the shown text `spoken` is said, IPA or plain letters."""

    start: int
    end: int
    spoken: str


class Script(NamedTuple):
    """A text with control tags, read.

    Attributes:
        text: what is shown.
        origins: [len(text) + 1] for every character of `text` its index in `source`, then the end.
        pauses: in order; several may stand at one place.
        rates: in order, without overlap: factors of nested tags are multiplied.
        spoken: in order, without overlap.
        source: what the user wrote.
    """

    text: str
    origins: list[int]
    pauses: list[Pause]
    rates: list[Rate]
    spoken: list[Respelling]
    source: str

    def source_span(self, start: int, end: int) -> Span:
        """Where text[start:end] stands in `source`, with the tags inside of it; an empty range gives an empty span."""
        if start >= end:
            return Span(self.origins[start], self.origins[start])
        return Span(self.origins[start], self.origins[end - 1] + 1)

    def part(self, span: Span) -> Script:
        """The script of source[span.start:span.end], under the rates that hold there; no tag may be cut in two."""
        reader = _Reader(self.source[span.start : span.end], whole=False)
        part = reader.read()
        starts = [span.start + origin for origin in part.origins]
        first = bisect_right(self.rates, span.start, key=lambda rate: self.source_span(*rate[:2]).end)
        rates = []
        for rate in self.rates[first:]:
            low, high = self.source_span(rate.start, rate.end)
            if low >= span.end:
                break
            start, end = bisect_left(starts, low), bisect_left(starts, high)
            if start < end:
                rates.append(Rate(start, min(end, len(part.text)), rate.factor))
        return part._replace(rates=rates)


class Tag(NamedTuple):
    """A tag at source[start:end]; `name` is "pause", "rate", "/rate" or "say"."""

    name: str
    start: int
    end: int


def read_script(source: str) -> Script:
    """Read the control tags of a text.

    Raises:
        InputError: a tag that is malformed, out of range, not closed, or closed without having been opened.
    """
    return _Reader(source, whole=True).read()


def show(source: str) -> tuple[Script, list[Tag]]:
    """The script and tags of what may be a piece of a text: what is not well-formed is text, rates are left out."""
    reader = _Reader(source, whole=False)
    return reader.read(), reader.tags


def outside_tags(source: str, spans: list[Span], script: Script, tags: list[Tag]) -> list[Span]:
    """Parts of the shown text as parts of the source that cut no tag in two and lose none.

    A tag between two parts belongs to the second one, but for [/rate] and the end of [say], which belong to the first.
    A boundary inside [say:…|shown] is none.

    Args:
        spans: in the shown text of `script`, in order, with nothing but white space between them.
        tags: of `source`, in order.
    """
    parts: list[Span] = []
    begin, next_tag = 0, 0
    for left, right in pairwise(spans):
        cut, until = script.origins[left.end - 1] + 1, script.origins[right.start]
        while next_tag < len(tags) and tags[next_tag].end <= cut:
            next_tag += 1
        inside = False
        for tag in tags[next_tag:]:
            if tag.start >= until:
                break
            if tag.name == "say" and tag.start < cut:
                inside = until < tag.end
                cut = tag.end
            elif tag.name == "/rate":
                cut = tag.end
        if not inside:
            parts.append(_trim(source, begin, cut))
            begin = cut
    if spans:
        parts.append(_trim(source, begin, len(source)))
    return parts


def _trim(source: str, start: int, end: int) -> Span:
    """source[start:end] without the white space around it."""
    while start < end and source[start].isspace():
        start += 1
    while start < end and source[end - 1].isspace():
        end -= 1
    return Span(start, end)


class _Reader:
    """Goes through a source from left to right and gathers a `Script`.

    whole: the source is all that was written, and what is wrong in it is an error; in a piece of it, text.
    """

    def __init__(self, source: str, *, whole: bool) -> None:
        self.source, self.whole = source, whole
        self.tags: list[Tag] = []
        self._parts: list[str] = []
        self._origins: list[int] = []
        self._pauses: list[Pause] = []
        self._rates: list[Rate] = []
        self._spoken: list[Respelling] = []
        self._open: list[tuple[float, re.Match[str]]] = []  # products of the factors in force, with their tags
        self._since = 0  # where the innermost of them, or its last change, began
        self._last = ""
        self._at = 0  # how far the source is read

    def read(self) -> Script:
        """The whole script."""
        if "[" not in self.source:
            return Script(self.source, list(range(len(self.source) + 1)), [], [], [], self.source)
        for match in self._matches():
            self._show(self._at, match.start())
            self._at = match.end()
            if match["escape"]:
                self._at = match.start("escape") + 2
                self._show(self._at - 1, self._at)
            elif (error := self._take(match)) is not None:
                if self.whole:
                    raise InputError(error)
                self._show(match.start(), match.end())
        self._show(self._at, len(self.source))
        if self._open and self.whole:
            raise InputError(f"the tag {_excerpt(self._open[-1][1])} is never closed: write [/rate] where it ends")
        return Script(
            "".join(self._parts),
            [*self._origins, len(self.source)],
            self._pauses,
            self._rates if self.whole else [],
            self._spoken,
            self.source,
        )

    def _matches(self) -> Iterator[re.Match[str]]:
        """What looks like a tag, searched for behind what has been read."""
        while (match := _TAG.search(self.source, self._at)) is not None:
            yield match

    def _show(self, start: int, end: int) -> None:
        """source[start:end] is shown."""
        if start < end:
            self._parts.append(self.source[start:end])
            self._origins.extend(range(start, end))
            self._last = self.source[end - 1]

    def _take(self, match: re.Match[str]) -> str | None:
        """Read one tag; what is wrong with it, or None."""
        name = match["close"] + match["name"].lower()
        take = {"pause": self._pause, "rate": self._rate, "/rate": self._end_rate, "say": self._say}.get(name)
        if not match["end"]:
            return f"the tag {_excerpt(match)} is never closed: a ] must follow, or write \\[ for a bracket"
        if take is None:
            return f"the tag {_excerpt(match)} does not exist: only [rate:…] has an end tag"
        error = take(match)
        if error is None:
            self.tags.append(Tag(name, *match.span()))
        return error

    def _pause(self, match: re.Match[str]) -> str | None:
        value = _SECONDS.fullmatch(match["body"])
        if value is None:
            return f"the tag {_excerpt(match)} cannot be read: write [pause:0.8s] or [pause:800ms]"
        seconds = float(value["number"]) / (1000 if value["unit"].lower() == "ms" else 1)
        if seconds > LONGEST_PAUSE:
            return f"the tag {_excerpt(match)} is out of range: a pause lasts 0 to {LONGEST_PAUSE:.0f} seconds"
        following = self.source[match.end() : match.end() + 1]
        if self._last and not self._last.isspace() and following.strip() and following not in _NO_SPACE_BEFORE:
            self._parts.append(" ")
            self._origins.append(match.start())
            self._last = " "
        self._skip_space()
        self._pauses.append(Pause(len(self._origins), seconds))
        return None

    def _rate(self, match: re.Match[str]) -> str | None:
        value = _FACTOR.fullmatch(match["body"])
        if value is None:
            return f"the tag {_excerpt(match)} cannot be read: write [rate:1.3] and [/rate] where it ends"
        factor = float(value["number"])
        if not SLOWEST <= factor <= FASTEST:
            return f"the tag {_excerpt(match)} is out of range: a rate is {SLOWEST} to {FASTEST:.0f}"
        product = factor * (self._open[-1][0] if self._open else 1.0)
        if self.whole and not SLOWEST <= product <= FASTEST:
            return (
                f"the tag {_excerpt(match)} inside of others makes a rate of {product:g}, "
                f"{SLOWEST} to {FASTEST:.0f} can be had"
            )
        self._close_range()
        self._open.append((product, match))
        self._skip_space()
        return None

    def _end_rate(self, match: re.Match[str]) -> str | None:
        if match["body"]:
            return f"the tag {_excerpt(match)} cannot be read: write [/rate]"
        if self._open:
            self._close_range()
            self._open.pop()
        elif self.whole:
            return "the tag [/rate] has no [rate:…] before it"
        self._skip_space()
        return None

    def _say(self, match: re.Match[str]) -> str | None:
        spoken, *shown = match["body"].removeprefix(":").split("|")
        if len(shown) != 1 or not spoken.strip() or not shown[0].strip():
            return f"the tag {_excerpt(match)} cannot be read: write [say:SPOKEN|SHOWN], as in [say:naɪki|Nike]"
        text = shown[0].strip()
        start = match.start("body") + match["body"].index("|") + 1 + shown[0].index(text)
        begin = len(self._origins)
        self._show(start, start + len(text))
        self._spoken.append(Respelling(begin, len(self._origins), spoken.strip()))
        return None

    def _close_range(self) -> None:
        """What has been shown since the last change of rate has the rate in force."""
        end = len(self._origins)
        if self._open and self._since < end:
            self._rates.append(Rate(self._since, end, self._open[-1][0]))
        self._since = end

    def _skip_space(self) -> None:
        """A tag between two spaces leaves one."""
        if not self._last or self._last.isspace():
            while self.source[self._at : self._at + 1] in (" ", "\t"):
                self._at += 1


def _excerpt(match: re.Match[str]) -> str:
    """The tag as an error message shows it."""
    text = " ".join(match.group().split())
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"
