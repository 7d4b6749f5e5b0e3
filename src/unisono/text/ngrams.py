"""Sounds for words no dictionary has: n-grams of (letter, sound) units, smoothed and pruned (Bisani and Ney, 2008).

A unit is two characters, a letter and the code of its sound (see `lexicon.py`); a history is up to four units. The
probability of a unit after a history mixes the counts there with those after the shorter history (Witten and Bell).
A history is kept only where it explains the dictionary clearly better than the shorter one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

ORDER = 5
BEGIN, END = "##", "$$"
_WIDTH = 2  # characters a unit takes
_BEAM = 10
_CHOICES = 12  # sounds of one letter that are followed up; fewer costs accuracy
_MOST_CACHED = 1 << 17
_UNIT_FLOOR = 1 / 400  # probability of a unit before any count; there are about 170
# Counts are stored as one character, their logarithm in steps of 1/7: 7 % off at most.
_STEPS, _FIRST = 7, 35
_LEAST_GAIN = 1.0  # nats that a history must explain for each row it costs

Counts = Mapping[str, Mapping[str, float]]


def train(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """(word, codes) entries -> history -> its units and counts as `pack` writes them, pruned."""
    counts = _count(entries)
    kept: dict[str, Counter[str]] = {"": counts[0][""]}
    for layer in counts[1:]:
        worthwhile = {
            history: units
            for history, units in layer.items()
            if _gain(kept, history, units) > _LEAST_GAIN * (1 + len(units))
        }
        kept |= worthwhile
    return {history: pack(units) for history, units in kept.items()}


def _count(entries: Iterable[tuple[str, str]]) -> list[dict[str, Counter[str]]]:
    """For 0 to ORDER - 1 units of history: history -> unit -> how often."""
    counts: list[dict[str, Counter[str]]] = [defaultdict(Counter) for _ in range(ORDER)]
    for word, codes in entries:
        units = [BEGIN] * (ORDER - 1) + [letter + code for letter, code in zip(word, codes, strict=True)] + [END]
        for place in range(ORDER - 1, len(units)):
            for length in range(ORDER):
                counts[length]["".join(units[place - length : place])][units[place]] += 1
    return counts


def _gain(kept: Counts, history: str, units: Counter[str]) -> float:
    """How many nats better the units after a history are predicted when the history has counts of its own."""
    total, distinct = sum(units.values()), len(units)
    gain = 0.0
    for unit, count in units.items():
        without = probability(kept, history[_WIDTH:], unit)
        gain += count * math.log((count + distinct * without) / (total + distinct) / without)
    return gain


def probability(counts: Counts, history: str, unit: str) -> float:
    """P(unit | history): every kept history, from the empty to the whole one, corrects the one before."""
    value = _UNIT_FLOOR
    for start in range(len(history), -1, -_WIDTH):
        units = counts.get(history[start:])
        if units is not None:
            distinct = len(units)
            value = (units.get(unit, 0) + distinct * value) / (sum(units.values()) + distinct)
    return value


def pack(units: Mapping[str, int]) -> str:
    """Units and counts as three characters each, the most frequent first."""
    ordered = sorted(units.items(), key=lambda item: (-item[1], item[0]))
    return "".join(unit + chr(_FIRST + round(_STEPS * math.log(count))) for unit, count in ordered)


def unpack(packed: str) -> dict[str, float]:
    """The inverse of `pack`, with rounded counts."""
    step = _WIDTH + 1
    return {
        packed[at : at + _WIDTH]: math.exp((ord(packed[at + _WIDTH]) - _FIRST) / _STEPS)
        for at in range(0, len(packed), step)
    }


class NGrams:
    """The model that `train` made, ready to predict.

    Args:
        rows: history -> packed units and counts.
        labels: for each letter its labels; a code is their number, "A" the first.
    """

    def __init__(self, rows: Mapping[str, str], labels: Mapping[str, Sequence[str]]):
        self._rows = rows
        self._choices = {
            letter: [letter + chr(ord("A") + rank) for rank in range(len(found))] for letter, found in labels.items()
        }
        self._choices[END[0]] = [END]
        self._unpacked: dict[str, tuple[dict[str, float], float] | None] = {}
        self._ranked: dict[str, list[tuple[float, str]]] = {}

    def predict(self, word: str) -> str:
        """The codes of `word`, one per letter, by beam search. KeyError for a letter without labels."""
        beam = [(0.0, BEGIN * (ORDER - 1))]
        for letter in word + END[0]:
            grown = [
                (score + gain, path + unit)
                for score, path in beam
                for gain, unit in self._best_units(path[-_WIDTH * (ORDER - 1) :], letter)
            ]
            grown.sort(key=_by_score)
            beam = grown[:_BEAM]
        units = beam[0][1][_WIDTH * (ORDER - 1) : -_WIDTH]
        return units[1::_WIDTH]

    def _best_units(self, history: str, letter: str) -> list[tuple[float, str]]:
        """Log probability and unit of the likeliest sounds of `letter` after a history, best first."""
        key = history + letter
        ranked = self._ranked.get(key)
        if ranked is None:
            if len(self._ranked) > _MOST_CACHED:
                self._ranked.clear()
            ranked = [(math.log(self._probability(history, unit)), unit) for unit in self._choices[letter]]
            ranked.sort(key=_by_score)
            ranked = self._ranked[key] = ranked[:_CHOICES]
        return ranked

    def _probability(self, history: str, unit: str) -> float:
        """As `probability`, on unpacked rows that are kept with their sums."""
        value = _UNIT_FLOOR
        for start in range(len(history), -1, -_WIDTH):
            row = self._row(history[start:])
            if row is not None:
                units, total = row
                value = (units.get(unit, 0.0) + len(units) * value) / (total + len(units))
        return value

    def _row(self, history: str) -> tuple[dict[str, float], float] | None:
        if history not in self._unpacked:
            if len(self._unpacked) > _MOST_CACHED:
                self._unpacked.clear()
            packed = self._rows.get(history)
            units = unpack(packed) if packed is not None else None
            self._unpacked[history] = (units, sum(units.values())) if units is not None else None
        return self._unpacked[history]


def _by_score(item: tuple[float, str]) -> tuple[float, str]:
    """Sort key: the best score first, ties by name so that results never depend on order."""
    return -item[0], item[1]
