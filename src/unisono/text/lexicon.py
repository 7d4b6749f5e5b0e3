"""From a pronouncing dictionary to the files of the letter-sound tokenizer.

Codes: a word's labels are written as one character per letter, "A" for the letter's most frequent label, "B" for the
next, and so on; with the label lists of `tokenizer.json` they mean the same as "p/F h/_ o/OW n/N e/_".
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from unisono.errors import DataError
from unisono.text import ngrams
from unisono.text.graphones import best_labels, group_by_shape, restrict, train_table
from unisono.text.letters import LEXICON_FILE, NGRAMS_FILE, PUNCTUATION, VERSION
from unisono.text.phonemes import LETTER_NAMES, LETTERS, SILENT, VOWELS, sounds
from unisono.text.pronounce import Pronouncer
from unisono.text.special import TOKENIZER_FILE, vocabulary_of

Labels = dict[str, list[str]]
# Sounds that are rare by the number of words but common in speech: every pair these words need is kept.
_COMMON = """
the of and to a in that it is was i for on you he be with as by at have are this not but had his they from she which
or we an there her were one do been all their has would will what if can when so no said who more about up them some
could him into its then two out time like only my did other me your now over just may these new also people any know
very see first well after should than where back how get most way down our made got much think work between go years
many being those before right because through yeah good three make us such still year must last even take own too off
here come both does say oh used going erm use government day man might same under yes however put world another want
thought while life again against never need old look home something mr long house once women woman eight business
colonel beautiful tongue island answer sword ocean machine special question
"""
COMMON_WORDS = frozenset(_COMMON.split())


def read_dictionary(path: Path) -> list[tuple[str, list[str]]]:
    """Entries (word, phonemes) of a CMU-style dictionary: first pronunciations, words of letters and apostrophes only.

    Raises DataError when the file has none.
    """
    entries: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phonemes = line.split()
        if phonemes and word not in entries and all(character in LETTERS for character in word):
            entries[word] = phonemes
    if not entries:
        raise DataError(f"{path} holds no dictionary entries; we need lines like 'phone F OW N'")
    return sorted(entries.items())


def choose_labels(entries: Sequence[tuple[str, list[str]]], labels: Mapping[int, list[str]], least: int) -> Labels:
    """For each letter the labels to keep, most frequent first: seen in `least` words, in a common word, or its name."""
    counts: Counter[tuple[str, str]] = Counter()
    common: set[tuple[str, str]] = set()
    for index, word_labels in labels.items():
        pairs = list(zip(entries[index][0], word_labels, strict=True))
        counts.update(pairs)
        if entries[index][0] in COMMON_WORDS:
            common.update(pairs)
    common.update(LETTER_NAMES.items())
    kept = {pair for pair, count in counts.items() if count >= least} | common | {("'", SILENT)}
    return {
        letter: sorted((label for at, label in kept if at == letter), key=lambda label: (-counts[letter, label], label))
        for letter in LETTERS
    }


def distance(one: str, other: str) -> float:
    """How unlike two labels sound: edit distance over phonemes, half price within vowels or within consonants."""
    a, b = sounds([one]), sounds([other])
    row = [float(j) for j in range(len(b) + 1)]
    for i, first in enumerate(a):
        previous, row = row, [i + 1.0]
        for j, second in enumerate(b):
            change = 0.0 if first == second else 0.5 if (first in VOWELS) == (second in VOWELS) else 1.0
            row.append(min(previous[j] + change, previous[j + 1] + 1.0, row[j] + 1.0))
    return row[-1]


def fold(letter: str, label: str, kept: Labels) -> str:
    """The kept label of `letter` that sounds most like `label`; the more frequent one of equals."""
    if label in kept[letter]:
        return label
    return min(kept[letter], key=lambda candidate: (distance(label, candidate), kept[letter].index(candidate)))


def align_dictionary(entries: Sequence[tuple[str, list[str]]], least: int) -> tuple[Labels, dict[str, list[str]]]:
    """(kept labels by letter, labels of every word). Words that need a dropped label are re-aligned, then folded."""
    groups = group_by_shape(entries)
    table = train_table(groups)
    first = best_labels(groups, table)
    kept = choose_labels(entries, first, least)
    second = best_labels(groups, restrict(table, kept))
    words = {}
    for index, free in sorted(first.items()):
        word = entries[index][0]
        found = second.get(index) or [fold(c, label, kept) for c, label in zip(word, free, strict=True)]
        words[word] = found
    return kept, words


def to_codes(word: str, labels: Sequence[str], kept: Labels) -> str:
    """Labels of a word as one character per letter."""
    return "".join(chr(ord("A") + kept[c].index(label)) for c, label in zip(word, labels, strict=True))


def to_labels(word: str, codes: str, kept: Labels) -> list[str]:
    """The inverse of `to_codes`."""
    return [kept[c][ord(code) - ord("A")] for c, code in zip(word, codes, strict=True)]


def vocabulary(kept: Labels) -> list[str]:
    """All token names in id order: specials, roles, punctuation, letters without a sound, letter/label pairs."""
    plain = [f"{letter}/?" for letter in LETTERS if letter != "'"]
    pairs = [f"{letter}/{label}" for letter in LETTERS for label in kept[letter]]
    return vocabulary_of([*PUNCTUATION, *plain, *pairs])


def held_out_accuracy(words: Mapping[str, str], kept: Labels, share: float = 0.05, seed: int = 0) -> dict[str, float]:
    """How unknown words fare: a random `share` of the dictionary, pronounced without knowing it.

    "letter_accuracy" and "word_accuracy" are of the n-grams alone; "with_endings" is of the whole pronouncer,
    which also knows endings on known stems.
    """
    entries = sorted(words.items())
    random.Random(seed).shuffle(entries)
    size = max(1, int(len(entries) * share))
    held, known = entries[:size], entries[size:]
    rows = ngrams.train(known)
    model = ngrams.NGrams(rows, kept)
    pronouncer = Pronouncer(kept, lambda: sorted(f"{word}\t{codes}" for word, codes in known), lambda: rows)
    letters = right_letters = right_words = right_whole = 0
    for word, codes in held:
        wanted = sounds(to_labels(word, codes, kept))
        guess = model.predict(word)
        letters += len(word)
        right_letters += sum(a == b for a, b in zip(guess, codes, strict=True))
        right_words += sounds(to_labels(word, guess, kept)) == wanted
        right_whole += sounds(to_labels(word, pronouncer.pronounce(word), kept)) == wanted
    return {
        "words": size,
        "letter_accuracy": right_letters / letters,
        "word_accuracy": right_words / size,
        "with_endings": right_whole / size,
    }


def write_lines(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write sorted "key<tab>value" lines, compressed, with no time stamp so that equal content is equal bytes."""
    text = "\n".join(f"{key}\t{value}" for key, value in sorted(rows))
    path.write_bytes(gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0))


def build_lexicon(dictionary: Path, folder: Path, least: int = 25, source: str = "") -> dict[str, float]:
    """Write the tokenizer files for `dictionary` into `folder`; return the figures worth recording.

    Args:
        dictionary: CMU-style text file, one entry a line.
        least: number of words a (letter, sound) pair must occur in to become a token.
        source: where the dictionary comes from and its licence, kept in `tokenizer.json`.
    """
    kept, labels = align_dictionary(read_dictionary(dictionary), least)
    words = {word: to_codes(word, found, kept) for word, found in labels.items()}
    rows = ngrams.train(sorted(words.items()))
    names = vocabulary(kept)
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / LEXICON_FILE, words.items())
    write_lines(folder / NGRAMS_FILE, rows.items())
    record = dict(type="letters", version=VERSION, source=source, lexicon=LEXICON_FILE, ngrams=NGRAMS_FILE)
    record |= dict(labels=kept, vocabulary=names)
    (folder / TOKENIZER_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    figures = dict(entries=len(words), vocab_size=len(names), ngram_rows=len(rows))
    return figures | held_out_accuracy(words, kept)
