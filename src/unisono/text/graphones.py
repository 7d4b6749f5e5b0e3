"""Which letter makes which sound: letters and phonemes of a pronouncing dictionary aligned by expectation maximisation.

Every letter of a word emits a *chunk* of 0, 1 or 2 phonemes, in order, so that the chunks of its letters spell out the
pronunciation: phone = p/F h/_ o/OW n/N e/_. Three letter names that are longer (q, x, w) are allowed as well, so that
abbreviations can be spelled. Axes here: W words of one shape, n letters, m phonemes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from unisono.text.phonemes import LETTER_NAMES, LETTERS, PHONEMES, SILENT

_P = len(PHONEMES)
_LONG = [tuple(name.split("-")) for name in LETTER_NAMES.values() if name.count("-") > 1]
_N_CHUNKS = 1 + _P + _P * _P + len(_LONG)
# Prior mass of chunks of 0, 1 and 2 phonemes: one letter, one sound is the rule; without it EM lumps neighbours.
_PRIOR = {0: 0.25, 1: 0.74}
_PRIOR_MORE = 0.01
_PAIR_DISCOUNT = 0.3


@dataclass(frozen=True)
class Group:
    """All words of one shape: `rows` [W] indices of the words, `letters` [W, n], `phonemes` [W, m] as integers."""

    rows: np.ndarray
    letters: np.ndarray
    phonemes: np.ndarray


def chunk_name(code: int) -> str:
    """The label of a chunk code: "_", "K" or "K-S"."""
    if code == 0:
        return SILENT
    if code <= _P:
        return PHONEMES[code - 1]
    if code <= _P + _P * _P:
        first, second = divmod(code - 1 - _P, _P)
        return f"{PHONEMES[first]}-{PHONEMES[second]}"
    return "-".join(_LONG[code - 1 - _P - _P * _P])


def chunk_code(name: str) -> int:
    """The inverse of `chunk_name`; KeyError for an unknown label."""
    if name == SILENT:
        return 0
    parts = tuple(name.split("-"))
    numbers = [_PHONEME_INDEX[part] for part in parts]
    if len(parts) == 1:
        return 1 + numbers[0]
    if len(parts) == 2:
        return 1 + _P + numbers[0] * _P + numbers[1]
    return 1 + _P + _P * _P + _LONG.index(parts)


_PHONEME_INDEX = {phoneme: index for index, phoneme in enumerate(PHONEMES)}


def group_by_shape(entries: Sequence[tuple[str, Sequence[str]]]) -> list[Group]:
    """Dictionary entries (word, phonemes) as integer arrays, grouped by their numbers of letters and phonemes."""
    shapes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, (word, phonemes) in enumerate(entries):
        shapes[len(word), len(phonemes)].append(index)
    groups = []
    for _, rows in sorted(shapes.items()):
        letters = np.array([[LETTERS.index(c) for c in entries[r][0]] for r in rows])
        phonemes = np.array([[_PHONEME_INDEX[p] for p in entries[r][1]] for r in rows])
        groups.append(Group(np.array(rows), letters, phonemes))
    return groups


def _chunks(phonemes: np.ndarray) -> dict[int, np.ndarray]:
    """For each chunk length k: codes [W, m - k + 1] of the chunk starting at each phoneme, -1 where there is none."""
    words, m = phonemes.shape
    codes: dict[int, np.ndarray] = {0: np.zeros((words, m + 1), dtype=np.int64), 1: 1 + phonemes}
    if m >= 2:
        codes[2] = 1 + _P + phonemes[:, :-1] * _P + phonemes[:, 1:]
    for index, chunk in enumerate(_LONG):
        k = len(chunk)
        if m < k:
            continue
        found = codes.setdefault(k, np.full((words, m - k + 1), -1, dtype=np.int64))
        match = np.ones(found.shape, dtype=bool)
        for offset, phoneme in enumerate(chunk):
            match &= phonemes[:, offset : m - k + 1 + offset] == _PHONEME_INDEX[phoneme]
        found[match] = 1 + _P + _P * _P + index
    return codes


def _emissions(table: np.ndarray, letter: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Probability [W, m - k + 1] that `letter` [W] emits the chunk at each place; 0 where no chunk stands."""
    return np.where(codes >= 0, table[letter[:, None], codes], 0.0)


def initial_table() -> np.ndarray:
    """Probability [letters, chunks] before the first round: by the number of phonemes only, for all letters alike."""
    row = np.full(_N_CHUNKS, _PRIOR_MORE / (_N_CHUNKS - 1 - _P))
    row[0] = _PRIOR[0]
    row[1 : 1 + _P] = _PRIOR[1] / _P
    return np.tile(row, (len(LETTERS), 1))


def expected_counts(group: Group, table: np.ndarray) -> np.ndarray:
    """Expected uses [letters, chunks] of every (letter, chunk) over a group, by the forward-backward algorithm."""
    words, n = group.letters.shape
    m = group.phonemes.shape[1]
    codes = _chunks(group.phonemes)
    emit = {(i, k): _emissions(table, group.letters[:, i], c) for i in range(n) for k, c in codes.items()}
    forward = np.zeros((n + 1, words, m + 1))
    backward = np.zeros((n + 1, words, m + 1))
    forward[0, :, 0] = 1.0
    backward[n, :, m] = 1.0
    for i in range(n):
        for k in codes:
            forward[i + 1, :, k:] += forward[i, :, : m + 1 - k] * emit[i, k]
    for i in reversed(range(n)):
        for k in codes:
            backward[i, :, : m + 1 - k] += backward[i + 1, :, k:] * emit[i, k]
    total = forward[n, :, m]
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)  # words that cannot be spelled count 0
    counts = np.zeros(table.size)
    for i in range(n):
        for k, code in codes.items():
            weight = forward[i, :, : m + 1 - k] * emit[i, k] * backward[i + 1, :, k:] * scale[:, None]
            index = group.letters[:, i, None] * _N_CHUNKS + np.maximum(code, 0)
            counts += np.bincount(index.ravel(), weight.ravel(), minlength=table.size)
    return counts.reshape(table.shape)


def train_table(groups: Sequence[Group], rounds: int = 8) -> np.ndarray:
    """Emission probabilities [letters, chunks] by `rounds` of expectation maximisation."""
    table = initial_table()
    for _ in range(rounds):
        counts = sum(expected_counts(group, table) for group in groups)
        counts[:, 1 + _P :] *= _PAIR_DISCOUNT
        table = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
    return table


def best_labels(groups: Sequence[Group], table: np.ndarray) -> dict[int, list[str]]:
    """The most probable label of every letter (Viterbi), by entry index; entries that cannot be spelled are absent."""
    names = [chunk_name(code) for code in range(_N_CHUNKS)]
    result: dict[int, list[str]] = {}
    for group in groups:
        words, n = group.letters.shape
        m = group.phonemes.shape[1]
        codes = _chunks(group.phonemes)
        score = np.zeros((words, m + 1))
        score[:, 0] = 1.0
        taken = np.zeros((n, words, m + 1), dtype=np.int64)
        for i in range(n):
            best = np.zeros((words, m + 1))
            for k, code in codes.items():
                reach = score[:, : m + 1 - k] * _emissions(table, group.letters[:, i], code)
                better = reach > best[:, k:]
                best[:, k:][better] = reach[better]
                taken[i, :, k:][better] = k
            score = best
        place = np.full(words, m)
        labels = np.zeros((words, n), dtype=np.int64)
        for i in reversed(range(n)):
            used = taken[i, np.arange(words), place]
            place = place - used
            for k, code in codes.items():
                rows = np.flatnonzero(used == k)
                labels[rows, i] = code[rows, place[rows]] if k <= m else 0
        for word in np.flatnonzero(score[:, m] > 0):
            result[int(group.rows[word])] = [names[code] for code in labels[word]]
    return result


def restrict(table: np.ndarray, kept: Mapping[str, Iterable[str]]) -> np.ndarray:
    """The table with every (letter, label) outside `kept` set to zero and a floor below the kept ones."""
    mask = np.zeros_like(table, dtype=bool)
    for letter, labels in kept.items():
        mask[LETTERS.index(letter), [chunk_code(label) for label in labels]] = True
    return np.where(mask, np.maximum(table, 1e-6), 0.0)
