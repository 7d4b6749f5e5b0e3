"""A word's sounds: dictionary first, then a known stem with an ending, then n-grams.

Works on codes, one character per letter (see `lexicon.py`). Files are read on first use: the dictionary stays one
sorted list of lines that is searched by bisection, which loads in a twentieth of a second; the n-grams are read when
the first unknown word comes.
"""

from __future__ import annotations

import gzip
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path

from unisono.errors import CheckpointError
from unisono.text.ngrams import NGrams
from unisono.text.phonemes import LETTER_NAMES, SIBILANT, SILENT, VOICELESS, sounds

_CLOSED = re.compile(r"(?<![aeiou])[aeiou][bcdgklmnprstvz]$")  # hop-ing is hope, hopp-ing is hop
LONGEST_WORD = 64  # longer runs of letters are read in pieces, so that no input is slow


def read_lines(path: Path) -> list[str]:
    """The lines of a compressed text file; CheckpointError when it is missing or damaged."""
    try:
        return gzip.decompress(path.read_bytes()).decode("ascii").split("\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is missing or damaged ({error}); install the tokenizer again") from error


def read_table(path: Path) -> dict[str, str]:
    """The "key<tab>value" lines of a compressed text file; CheckpointError when it is missing or damaged."""
    try:
        return dict(line.split("\t") for line in read_lines(path))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); install the tokenizer again") from error


class Pronouncer:
    """Words -> codes.

    Args:
        labels: for each letter its labels in the order of their codes.
        lines: gives the dictionary, sorted "word<tab>codes" lines; called when the first word comes.
        rows: gives history -> packed counts, see `ngrams`; called when the first unknown word comes.
    """

    def __init__(
        self,
        labels: Mapping[str, Sequence[str]],
        lines: Callable[[], list[str]],
        rows: Callable[[], Mapping[str, str]],
    ):
        self._labels, self._load_lines, self._load_rows = labels, lines, rows
        self._known: dict[str, str] = {}

    @classmethod
    def load(cls, labels: Mapping[str, Sequence[str]], lexicon: Path, rows: Path) -> Pronouncer:
        """From the files that `lexicon.build_lexicon` wrote."""
        return cls(labels, partial(read_lines, lexicon), partial(read_table, rows))

    @cached_property
    def lines(self) -> list[str]:
        """The dictionary."""
        return self._load_lines()

    @cached_property
    def unknown(self) -> NGrams:
        """What tells the sounds of words that nothing else tells."""
        return NGrams(self._load_rows(), self._labels)

    def look_up(self, word: str) -> str | None:
        """The dictionary's codes of a lower-case word, or None."""
        key = word + "\t"
        place = bisect_left(self.lines, key)
        if place < len(self.lines) and self.lines[place].startswith(key):
            return self.lines[place][len(key) :]
        return None

    def homophone(self, phones: Sequence[str]) -> str | None:
        """The word of the dictionary that makes these sounds by the most usual labels of its letters, or None."""
        found = self._homophones.get(tuple(phones))
        return None if found is None else found[-1]

    @cached_property
    def _homophones(self) -> dict[tuple[str, ...], tuple[int, int, str]]:
        """Sounds -> the word whose labels are the most usual: rank of the rarest, ranks together, word."""
        made = {
            (letter, self._code(letter, label)): (tuple(sounds([label])), rank)
            for letter, of_letter in self._labels.items()
            for rank, label in enumerate(of_letter)
        }
        best: dict[tuple[str, ...], tuple[int, int, str]] = {}
        for word, tab, codes in (line.partition("\t") for line in self.lines):
            if not tab or "'" in word:
                continue
            parts = [made[pair] for pair in zip(word, codes, strict=True)]
            phones = tuple(chain.from_iterable(part[0] for part in parts))
            ranks = [part[1] for part in parts]
            entry = (max(ranks), sum(ranks), word)
            best[phones] = min(entry, best.get(phones, entry))
        return best

    def spell(self, word: str) -> str:
        """Codes under which every letter says its name; apostrophes are silent."""
        return "".join(self._code(letter, LETTER_NAMES.get(letter, SILENT)) for letter in word)

    def pronounce(self, word: str) -> str:
        """Codes of a lower-case word of letters and apostrophes, one per character; any such word has some."""
        codes = self._known.get(word)
        if codes is None:
            if len(self._known) > 1 << 16:
                self._known.clear()
            codes = self._known[word] = self._find(word)
        return codes

    def _find(self, word: str) -> str:
        if len(word) > LONGEST_WORD:
            pieces = (word[start : start + LONGEST_WORD] for start in range(0, len(word), LONGEST_WORD))
            return "".join(map(self.pronounce, pieces))
        return self.look_up(word) or self._trimmed(word) or self._ending(word) or self.unknown.predict(word)

    def _trimmed(self, word: str) -> str | None:
        """A word between apostrophes that are quotation marks or mark a plural's possession."""
        bare = word.strip("'")
        if bare == word:
            return None
        before = len(word) - len(word.lstrip("'")) if bare else len(word)
        silent = self._code("'", SILENT)
        return silent * before + (self._find(bare) if bare else "") + silent * (len(word) - before - len(bare))

    def _ending(self, word: str) -> str | None:
        """'s on any word; plural s, -ed, -ing and -ly on a word of the dictionary."""
        if word.endswith("'s"):
            stem = self.pronounce(word[:-2])
            return stem + self.possessive(word[:-2], stem)
        if len(word) < 5:
            return None
        if word.endswith("ly") and (stem := self.look_up(word[:-2])):
            return stem + self._code("l", SILENT if word.endswith("lly") else "L") + self._code("y", "IY")
        if word.endswith("ing") and (stem := self._stem(word[:-3])):
            return stem + self._code("i", "IH") + self._code("n", SILENT) + self._code("g", "NG")
        if word.endswith("ed") and (stem := self._stem(word[:-2])):
            last = self._last_sound(word[:-2], stem)
            vowel = "IH" if last in ("T", "D") else SILENT
            past = "T" if last in VOICELESS or last in ("S", "SH", "CH") else "D"
            return stem + self._code("e", vowel) + self._code("d", "D" if vowel == "IH" else past)
        return self._plural(word) if word.endswith("s") and not word.endswith("ss") else None

    def possessive(self, word: str, codes: str) -> str:
        """Codes of the two characters 's after a word with these codes."""
        last = self._last_sound(word, codes)
        link = "IH" if last in SIBILANT else SILENT
        return self._code("'", link) + self._code("s", "S" if last in VOICELESS else "Z")

    def _stem(self, stem: str) -> str | None:
        """Codes for what stands before -ing or -ed: with a silent e dropped (hoping), doubled (hopping) or as it is."""
        with_e = self.look_up(stem + "e")
        if _CLOSED.search(stem) and with_e:
            return with_e[:-1]
        if stem[-1] == stem[-2] and (single := self.look_up(stem[:-1])):
            return single + self._code(stem[-1], SILENT)
        return self.look_up(stem) or (with_e[:-1] if with_e else None)

    def _plural(self, word: str) -> str | None:
        for stem_word in (word[:-1], word[:-2]):
            stem = self.look_up(stem_word)
            if not stem or not word.startswith((stem_word + "s", stem_word + "es")):
                continue
            last = self._last_sound(stem_word, stem)
            hissed = last in SIBILANT
            sound = self._code("s", "S" if last in VOICELESS else "Z")
            vowel = self._code("e", "IH" if hissed else SILENT)
            if stem_word == word[:-1] and (not hissed or stem_word.endswith("e")):
                return (stem[:-1] + vowel if hissed else stem) + sound
            if stem_word == word[:-2] and (hissed or stem_word.endswith("o")):
                return stem + vowel + sound
        return None

    def _last_sound(self, word: str, codes: str) -> str:
        found = sounds(self._labels[c][ord(code) - ord("A")] for c, code in zip(word, codes, strict=True))
        return found[-1] if found else ""

    def _code(self, letter: str, label: str) -> str:
        return chr(ord("A") + self._labels[letter].index(label))
