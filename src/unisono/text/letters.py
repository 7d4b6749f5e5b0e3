"""The letter-sound tokenizer: every character is one token whose id says the letter and the sound it makes there.

"phone" is p/F h/_ o/OW n/N e/_ . Spelling can be read back (but for case) and pronunciation is given, so a small
model need not learn English spelling. Vocabulary and dictionary are made by `lexicon.build_lexicon`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from unisono.interface import Span, TokenizedText
from unisono.text.fitting import fit, one_letter_each
from unisono.text.folding import Folded, fold, fold_character
from unisono.text.ipa import english
from unisono.text.phonemes import sounds
from unisono.text.pronounce import Pronouncer
from unisono.text.special import SpecialIds, read_record

VERSION = 1
LEXICON_FILE, NGRAMS_FILE = "lexicon.txt.gz", "ngrams.txt.gz"
PUNCTUATION = " .,?!;:'-\"()"
# Abbreviations that are also words: spelled when in capitals inside a text that is not all capitals.
SPELLED = frozenset(("US", "UN", "AI", "ID", "PR", "HR", "TV", "PM", "AM", "EU", "UK", "DNA", "AC", "DC", "ICU"))
_WORD = re.compile(r"[a-z']*[a-z][a-z']*")
_MOST_LETTERS_SPELLED = 5
_SENTENCE_END = ".?!:"


class Sounded(NamedTuple):
    """Ids, one a character, for a part of a text that begins at character `start`; no character of it is dropped."""

    start: int
    ids: Sequence[int]


class LetterSoundTokenizer(SpecialIds):
    """`interface.Tokenizer` over (letter, sound) pairs; characters outside the vocabulary are dropped, never an error.

    Args:
        folder: holds `tokenizer.json` of type "letters" and the files it names.

    Raises CheckpointError for a file of another version or without the needed entries.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        record = read_record(folder, "letters", VERSION, ("vocabulary", "labels", "lexicon", "ngrams"))
        self.vocabulary: list[str] = record["vocabulary"]
        self._ids = {name: index for index, name in enumerate(self.vocabulary)}
        super().__init__(self._ids)
        labels: dict[str, list[str]] = record["labels"]
        self._labels = labels
        self._pronouncer = Pronouncer.load(labels, folder / record["lexicon"], folder / record["ngrams"])
        self._pair_ids = {
            (letter, chr(ord("A") + rank)): self._ids[f"{letter}/{label}"]
            for letter, of_letter in labels.items()
            for rank, label in enumerate(of_letter)
        }
        self._visible = [
            name if name in PUNCTUATION else name[0] if name[1:2] == "/" else "" for name in self.vocabulary
        ]

    def tokenize(self, text: str, given: Sequence[Sounded] = ()) -> TokenizedText:
        """One token per character: id, the character as written (accents folded), span in `text`.

        Args:
            given: parts of `text`, in order, whose sounds are known (`sound_out`).
        """
        pieces = list(fold(text))
        folded = "".join(piece.character or "\0" for piece in pieces)  # a gap keeps its neighbours apart
        ids = [self._ids.get(character, -1) for character in folded]
        lower = folded.lower()
        shouted = folded == folded.upper()
        for match in _WORD.finditer(lower):
            start, end = match.span()
            codes = self._codes(folded, start, end, shouted)
            for place, (letter, code) in enumerate(zip(match.group(), codes, strict=True), start):
                ids[place] = self._pair_ids[letter, code]
        starts = [piece.span.start for piece in pieces] if given else []
        for part in given:
            for place, index in enumerate(part.ids, bisect_left(starts, part.start)):
                ids[place] = index
        kept = [(index, piece) for index, piece in zip(ids, pieces, strict=True) if index >= 0]
        return _as_tokenized(kept)

    def encode(self, text: str) -> list[int]:
        """Only the ids of `tokenize`."""
        return self.tokenize(text).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The lower-case text that the ids spell; special tokens are left out."""
        return "".join(self._visible[index] for index in ids)

    def sounds(self, text: str) -> list[str]:
        """The token names, "p/F", for looking at pronunciations."""
        return [self.vocabulary[index] for index in self.encode(text)]

    def sound_out(self, shown: str, words: Sequence[Sequence[str] | str]) -> tuple[str, list[int]]:
        """Letters and one id for each, that say something else than `shown`.

        Args:
            shown: its own letters are used where they can make the sounds, else others.
            words: of what is said, each as ARPABET sounds or, to be read as usual, in letters.

        Nothing at all when none of the words has a sound.
        """
        read = [self._read(word) if isinstance(word, str) else ("", [*word]) for word in words]
        spoken = [(letters, labels) for letters, labels in read if sounds(labels)]
        folded = [fold_character(character) for character in shown.lower()]
        written = "".join(folded).split(" ") if all(len(character) == 1 for character in folded) else []
        if len(written) == len(spoken) and all(_WORD.fullmatch(word) for word in written):
            found = [
                labels if word == letters else self._fitted(word, sounds(labels))
                for word, (letters, labels) in zip(written, spoken, strict=True)
            ]
            if all(labels is not None for labels in found):
                return shown, self._name(written, found)
        own = [(letters, labels) if letters else self._write(labels) for letters, labels in spoken]
        return " ".join(letters for letters, _ in own), self._name(*zip(*own, strict=True)) if own else []

    def _read(self, word: str) -> tuple[str, list[str]]:
        """The letters of a word without what has no sound, and their labels."""
        names = [name for name in self.sounds(word) if name[1:2] == "/"]
        return "".join(name[0] for name in names), [name[2:] for name in names]

    def _fitted(self, word: str, phones: Sequence[str]) -> list[str] | None:
        """Labels under which a word makes these sounds, the usual ones where it always does; None where it cannot."""
        letters, labels = self._read(word)
        return labels if letters == word and sounds(labels) == phones else fit(word, phones, self._labels)

    def _write(self, phones: Sequence[str]) -> tuple[str, list[str]]:
        """Letters that make sounds and their labels: a word that sounds so, else as English is spelled."""
        if (word := self._pronouncer.homophone(phones)) is not None:
            return word, self._read(word)[1]
        text = english(phones)
        labels = fit(text, phones, self._labels)
        return one_letter_each(phones, self._labels) if labels is None else (text, labels)

    def _name(self, words: Sequence[str], labels: Sequence[Sequence[str]]) -> list[int]:
        """Ids of words with these labels, with spaces between them."""
        ids: list[int] = []
        for word, of_word in zip(words, labels, strict=True):
            ids += [self._ids[" "]] * bool(ids)
            ids += [self._ids[f"{letter}/{label}"] for letter, label in zip(word, of_word, strict=True)]
        return ids

    def _codes(self, folded: str, start: int, end: int, shouted: bool) -> str:
        """Codes of the word folded[start:end]: spelled when it is an abbreviation, else pronounced."""
        word = folded[start:end]
        lower = word.lower()
        if word == "A":
            return self._pronouncer.spell(lower) if _is_letter_a(folded, start) else self._pronouncer.pronounce(lower)
        stem = lower[:-2] if lower.endswith("'s") else lower
        capitals = word[: len(stem)]
        if not (capitals.isupper() and capitals.isalpha() and 2 <= len(capitals) <= _MOST_LETTERS_SPELLED):
            return self._pronouncer.pronounce(lower)
        known = self._pronouncer.look_up(stem) is not None
        if (known and (shouted or capitals not in SPELLED)) or (not known and shouted and len(folded) > len(word) + 2):
            return self._pronouncer.pronounce(lower)
        codes = self._pronouncer.spell(stem)
        return codes + self._pronouncer.possessive(stem, codes) if stem != lower else codes


def _is_letter_a(folded: str, place: int) -> bool:
    """Whether a capital A is the letter: not where a sentence begins, unless another lone capital follows."""
    after = folded[place + 1 : place + 4].lstrip(" .-")
    if len(after) == 1 or (len(after) > 1 and after[0].isupper() and not after[1].isalpha()):
        return after[0].isupper()
    before = folded[max(0, place - 8) : place].rstrip(" \"'(\0-")
    return bool(before) and before[-1] not in _SENTENCE_END


def _as_tokenized(kept: Sequence[tuple[int, Folded]]) -> TokenizedText:
    return TokenizedText(
        ids=[index for index, _ in kept],
        texts=[piece.character for _, piece in kept],
        spans=[Span(*piece.span) for _, piece in kept],
    )
