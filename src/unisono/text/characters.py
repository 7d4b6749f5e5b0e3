"""The plain character tokenizer: every character of the alphabet is one token. For smoke tests and other languages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from unisono.interface import Span, TokenizedText
from unisono.text.folding import fold
from unisono.text.special import TOKENIZER_FILE, SpecialIds, read_record, vocabulary_of

VERSION = 1
ENGLISH = " abcdefghijklmnopqrstuvwxyz.,?!;:'-\"()"


class CharacterTokenizer(SpecialIds):
    """`interface.Tokenizer` over an alphabet; others are folded to it (É -> e) or dropped.

    Args:
        alphabet: the characters, in id order after the special tokens; repeated ones count once.
    """

    def __init__(self, alphabet: Iterable[str] = ENGLISH):
        self.alphabet = list(dict.fromkeys(alphabet))
        self.vocabulary = vocabulary_of(self.alphabet)
        self._ids = {name: index for index, name in enumerate(self.vocabulary)}
        super().__init__(self._ids)
        self._known = frozenset(self.alphabet)

    @classmethod
    def load(cls, folder: str | Path) -> CharacterTokenizer:
        """Read `tokenizer.json` of type "characters" from `folder`."""
        return cls(read_record(Path(folder), "characters", VERSION, ("alphabet",))["alphabet"])

    def save(self, folder: str | Path) -> None:
        """Write `tokenizer.json` into `folder`."""
        record = dict(type="characters", version=VERSION, alphabet=self.alphabet)
        (Path(folder) / TOKENIZER_FILE).write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")

    def tokenize(self, text: str) -> TokenizedText:
        """One token per known character: id, the character as written, its span in `text`."""
        result = TokenizedText([], [], [])
        for character, span in fold(text, self._known):
            index = self._ids.get(character, self._ids.get(character.lower(), -1)) if character else -1
            if index >= 0:
                result.ids.append(index)
                result.texts.append(character)
                result.spans.append(Span(*span))
        return result

    def encode(self, text: str) -> list[int]:
        """Only the ids of `tokenize`."""
        return self.tokenize(text).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text the ids spell; special tokens are left out."""
        first = len(self.vocabulary) - len(self.alphabet)
        return "".join(self.vocabulary[index] for index in ids if index >= first)
