"""The normaliser of the published TADA checkpoints, oddities included (spec/tada.md section 3.1).

Acronyms are lower-cased, "e.g." becomes "E.G.", hyphens become commas, a run of spaces is only halved: the published
models were trained on this. Every character keeps the span of the source it came from.
"""

from __future__ import annotations

import re

from unisono.text.normalized import Normalized, Piece

_CHARACTERS = {
    "“": '"', "”": '"', "„": '"', "‟": '"', "‘": "'", "’": "'", "‚": "'", "‛": "'", "–": "-", "—": "-", "―": "-",
    "‐": "-", "‑": "-", "…": "...", "‹": "<", "›": ">", "«": "<<", "»": ">>",
}  # fmt: skip
_REPLACEMENTS = (
    ("; ", ". "), ('"', ""), (":", ","), ("(", ""), (")", ""), ("--", "-"), ("-", ", "), (",,", ","), (" '", " "),
    ("' ", " "), ("  ", " "),
)  # fmt: skip
# The lookbehind keeps a long run of white space from being tried again at each of its characters.
_SPACE_BEFORE_MARK = re.compile(r"(?<!\s)\s+(?=[.,?!])")
_AFTER_SENTENCE_END = re.compile(r"[.!?]\s*(\w)")


class _Tracked:
    """A text under rewriting: `text` and, for each character, start and end of the source span it came from."""

    def __init__(self, source: str):
        self.text = source
        self.starts = list(range(len(source)))
        self.ends = list(range(1, len(source) + 1))

    def rewrite(self, edits: list[tuple[int, int, str]]) -> None:
        """Replace text[start:end] by a string for each of `edits`, which are in order and do not overlap."""
        if not edits:
            return
        parts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for start, end, new in edits:
            parts += (self.text[done:start], new)
            starts += self.starts[done:start]
            ends += self.ends[done:start]
            starts += [self.starts[start]] * len(new)
            ends += [self.ends[end - 1]] * len(new)
            done = end
        self.text = "".join((*parts, self.text[done:]))
        self.starts = starts + self.starts[done:]
        self.ends = ends + self.ends[done:]

    def replace(self, old: str, new: str) -> None:
        """One left-to-right pass of plain replacement without overlap, as `str.replace`."""
        if old in self.text:
            places = [match.start() for match in re.finditer(re.escape(old), self.text)]
            self.rewrite([(place, place + len(old), new) for place in places])

    def lower(self) -> None:
        """Lower-case the whole string at once: a final sigma depends on its neighbours, İ becomes two characters."""
        lowered = self.text.lower()
        if len(lowered) != len(self.text):
            widths = [len(character.lower()) for character in self.text]
            self.starts = [at for at, width in zip(self.starts, widths, strict=True) for _ in range(width)]
            self.ends = [at for at, width in zip(self.ends, widths, strict=True) for _ in range(width)]
        self.text = lowered


def normalize_tada(text: str) -> Normalized:
    """The text as the published TADA pipeline feeds it to the tokenizer."""
    tracked = _Tracked(text)
    tracked.rewrite([(i, i + 1, _CHARACTERS[c]) for i, c in enumerate(text) if c in _CHARACTERS])
    for old, new in _REPLACEMENTS:
        tracked.replace(old, new)
    tracked.rewrite([(*match.span(), "") for match in _SPACE_BEFORE_MARK.finditer(tracked.text)])
    tracked.lower()
    tracked.rewrite([(*m.span(1), m.group(1).upper()) for m in _AFTER_SENTENCE_END.finditer(tracked.text)])
    if tracked.text:
        tracked.rewrite([(0, 1, tracked.text[0].upper())])
    return Normalized(text, tracked.text, _pieces(tracked, text))


def _pieces(tracked: _Tracked, source: str) -> list[Piece]:
    """Runs of characters that are copies of neighbouring source characters (but for case), and what is not, apart."""
    pieces: list[Piece] = []
    first = 0  # where the run began
    starts, ends, text = tracked.starts, tracked.ends, tracked.text
    copied = [
        end - start == 1 and (source[start] == character or source[start].lower() == character.lower())
        for character, start, end in zip(text, starts, ends, strict=True)
    ]
    for place in range(1, len(text) + 1):
        if place < len(text) and copied[place] == copied[place - 1]:
            if copied[place] and starts[place] == ends[place - 1]:
                continue
            if not copied[place] and (starts[place], ends[place]) == (starts[place - 1], ends[place - 1]):
                continue
        pieces.append(Piece(first, place, starts[first], ends[place - 1]))
        first = place
    return pieces
