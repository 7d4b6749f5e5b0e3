"""The families side by side: `unisono models --table` and the table of docs/families.md, computed where it can be.

`python -m unisono.families.facts` writes the page's table anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unisono.families.registry import FAMILIES, get_family

SECONDS, POSITIONS = 10, 2048
BEGIN, END = "<!-- families -->\n", "<!-- end of families -->"


@dataclass(frozen=True)
class Facts:
    """What is true of a family as published.

    Attributes:
        model: the speech model's class, whose flags say what it can do.
        unit: what a step of the language model is. rate: of them a second of speech.
        rate_note: where the rate comes from, when it is not fixed by the codec.
        books, size: code books and codes in each; 0 = continuous. width: numbers of a continuous vector.
        beside: positions of the decoder besides one a unit (delays, prompt marks), for any length.
        streaming, continuation: in words. languages, licence: of the published weights. offline: what runs here.
    """

    model: type
    unit: str
    rate: float
    rate_note: str
    books: int
    size: int
    width: int
    beside: int
    streaming: str
    languages: str
    licence: str
    offline: str

    @property
    def bits_per_second(self) -> float | None:
        """Of the codes; None for continuous vectors."""
        return self.rate * self.books * math.log2(self.size) if self.books else None

    def positions(self, seconds: float) -> int:
        """Positions of the language model that so many seconds take."""
        return math.ceil(seconds * self.rate) + self.beside

    def seconds(self, positions: int) -> float:
        """Seconds of speech that so many positions hold."""
        return (positions - self.beside) / self.rate


def rows() -> Iterator[tuple[str, Facts]]:
    """Families that say what is true of them, by name."""
    for name in FAMILIES:
        if (facts := get_family(name).facts) is not None:
            yield name, facts


def table_lines() -> Iterator[str]:
    """The table in Markdown, a family a column."""
    found = list(rows())
    yield "| | " + " | ".join(name for name, _ in found) + " |"
    yield "|---" * (len(found) + 1) + "|"
    for label, cell in CELLS.items():
        yield f"| {label} | " + " | ".join(cell(facts) for _, facts in found) + " |"


def _bits(facts: Facts) -> str:
    if facts.bits_per_second is None:
        return f"continuous: {facts.width} numbers a unit, {facts.rate * facts.width:.0f} a second"
    return f"{facts.bits_per_second:.0f}"


def _can(flag: str):
    return lambda facts: "yes" if getattr(facts.model, flag, False) else "no"


CELLS = {
    "unit of speech": lambda facts: facts.unit,
    "units a second": lambda facts: f"{facts.rate:.3g}" + (f" ({facts.rate_note})" if facts.rate_note else ""),
    "bits a second": _bits,
    f"positions for {SECONDS} s": lambda facts: str(facts.positions(SECONDS)),
    f"seconds in {POSITIONS} positions": lambda facts: f"{facts.seconds(POSITIONS):.0f}",
    "streaming": lambda facts: facts.streaming if facts.model.can_stream else "no",
    "word times": _can("word_times"),
    "voice from a recording": _can("can_clone"),
    "speaks on from a recording": _can("can_continue"),
    "edits recordings": _can("can_edit"),
    "languages of the weights": lambda facts: facts.languages,
    "licence of the weights": lambda facts: facts.licence,
    "runs without a network": lambda facts: facts.offline,
}


def page(path: Path) -> str:
    """The text of docs/families.md with its table made anew."""
    head, rest = path.read_text(encoding="utf-8").split(BEGIN)
    return head + BEGIN + "\n".join(table_lines()) + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    DOCUMENT = Path(__file__).parents[3] / "docs" / "families.md"
    DOCUMENT.write_text(page(DOCUMENT), encoding="utf-8")
