"""Sounds for words no dictionary has: a table of letter contexts, read widest first (IGTree, Daelemans et al. 1997).

A context is a string whose characters are, in the order of `ORDER`, letters around the letter in question and labels
already given to letters before it. A row exists only where it says something else than the next narrower one.
Labels are single characters throughout ("codes"), local to their letter; see `lexicon.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

# (what, offset): "l" a letter at that distance, "s" the sound given to the letter at that distance (always before).
ORDER = (
    ("l", 0), ("l", 1), ("l", -1), ("l", 2), ("s", -1), ("l", 3), ("l", -2), ("s", -2), ("l", 4), ("l", -3), ("l", 5),
    ("l", -4),
)  # fmt: skip
OUTSIDE = "#"


def context(word: str, place: int, before: str) -> str:
    """The widest context of one letter: `word`, the letter's index, and the codes of all letters before it."""
    features = []
    for what, offset in ORDER:
        at = place + offset
        if not 0 <= at < len(word):
            features.append(OUTSIDE)
        else:
            features.append(word[at] if what == "l" else before[at])
    return "".join(features)


def train(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A table context -> code from (word, codes) entries, pruned where the narrower context predicts the same."""
    widest: dict[str, Counter[str]] = defaultdict(Counter)
    for word, codes in entries:
        for place in range(len(word)):
            widest[context(word, place, codes)][codes[place]] += 1
    levels = [widest]
    for width in range(len(ORDER) - 1, 0, -1):
        narrower: dict[str, Counter[str]] = defaultdict(Counter)
        for key, counts in levels[-1].items():
            narrower[key[:width]].update(counts)
        levels.append(narrower)
    table: dict[str, str] = {}
    for level in reversed(levels):
        for key, counts in sorted(level.items()):
            best = min(counts, key=lambda code, counts=counts: (-counts[code], code))
            if _look_up(table, key[:-1]) != best:
                table[key] = best
    return table


def _look_up(table: Mapping[str, str], key: str) -> str | None:
    """The code of the widest context that is a prefix of `key` and has a row; None when not even the letter has one."""
    for width in range(len(key), 0, -1):
        code = table.get(key[:width])
        if code is not None:
            return code
    return None


def predict(table: Mapping[str, str], word: str) -> str:
    """Codes for every letter of `word`, left to right; each decision sees the ones before. KeyError: unknown letter."""
    codes = ""
    for place in range(len(word)):
        code = _look_up(table, context(word, place, codes))
        if code is None:
            raise KeyError(word[place])
        codes += code
    return codes
