"""Given sounds on given letters: which letter of a word makes which sound, with the labels of a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, log2

from unisono.text.phonemes import SILENT, sounds

_SILENT_IN_A_ROW = 3  # "though"
_SILENT_SHARE = 0.6  # of a word's letters, "queue"


def fit(word: str, phones: Sequence[str], labels: Mapping[str, Sequence[str]]) -> list[str] | None:
    """One label a letter that together spell out `phones`; None where that cannot be done in a likely way.

    Args:
        word: lower-case letters and apostrophes.
        phones: ARPABET.
        labels: for each letter its labels, the most frequent first; the sum of the logarithms of ranks is least.
    """
    count = len(phones)
    costs = [0.0] + [inf] * count  # of spelling the first m phones with the letters so far
    back: list[list[tuple[int, str]]] = []
    for letter in word:
        reached = [inf] * (count + 1)
        steps = [(0, "")] * (count + 1)
        for rank, label in enumerate(labels.get(letter, ())):
            chunk = sounds([label])
            for begin in range(count + 1 - len(chunk)):
                end = begin + len(chunk)
                cost = costs[begin] + log2(2 + rank)
                # Of a doubled letter the first one sounds, as in the dictionary.
                better = cost < reached[end] or (cost == reached[end] and label == SILENT)
                if better and cost < inf and list(phones[begin:end]) == chunk:
                    reached[end], steps[end] = cost, (begin, label)
        costs = reached
        back.append(steps)
    if costs[count] == inf:
        return None
    found: list[str] = []
    place = count
    for steps in reversed(back):
        place, label = steps[place]
        found.append(label)
    found.reverse()
    return found if _is_likely(found) else None


def _is_likely(found: Sequence[str]) -> bool:
    """Whether not too many letters are silent."""
    row = 0
    for label in found:
        row = row + 1 if label == SILENT else 0
        if row > _SILENT_IN_A_ROW:
            return False
    return found.count(SILENT) <= _SILENT_SHARE * len(found)


def one_letter_each(phones: Sequence[str], labels: Mapping[str, Sequence[str]]) -> tuple[str, list[str]]:
    """Letters for `phones` without regard to spelling: for each the letter for which it is most usual.

    Raises:
        KeyError: a phone that no letter makes alone.
    """
    letters = ""
    for phone in phones:
        ranks = {letter: of_letter.index(phone) for letter, of_letter in labels.items() if phone in of_letter}
        if not ranks:
            raise KeyError(phone)
        letters += min(ranks, key=lambda letter: (ranks[letter], letter))
    return letters, list(phones)
