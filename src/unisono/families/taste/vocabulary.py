"""What each id of a language model's vocabulary may do while speaking: looked up once, not at every step.

Axes: V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

SPEAKABLE = re.compile(r"[.,'a-zA-Z0-9]")
WHITE = re.compile(r"\s")
END_OF_TEXT = 128001
FIRST_SPECIAL = 128000


class WordTokenizer(Protocol):
    """What TASTE asks of a tokenizer."""

    vocab_size: int

    def encode(self, text: str) -> list[int]:
        """Ids without special tokens."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """bool [V] each: `banned` ids are never drawn, `starts` begin a word, `ends` hold a full stop."""

    banned: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor


def read_vocabulary(texts: Sequence[str], first_special: int = FIRST_SPECIAL, end: int = END_OF_TEXT) -> Vocabulary:
    """Tables from the text of every id (spec section 4.2).

    Args:
        texts: text of each id. first_special: from here on ids are special tokens, each a word of its own. end: the end
            of text, which was never learned.
    """
    banned = [not SPEAKABLE.search(text) or "\n" in text or index == end for index, text in enumerate(texts)]
    starts = [text.startswith(" ") or index >= first_special for index, text in enumerate(texts)]
    return Vocabulary(torch.tensor(banned), torch.tensor(starts), torch.tensor(["." in text for text in texts]))


def vocabulary_of(tokenizer: WordTokenizer) -> Vocabulary:
    """The tables of a published tokenizer, by decoding every id once."""
    return read_vocabulary([tokenizer.decode([index]) for index in range(tokenizer.vocab_size)])


def own_vocabulary(tokenizer: WordTokenizer) -> Vocabulary:
    """The tables of one of our tokenizers, whose space may be a token of its own: it begins a word and may be drawn.
    Its special tokens have no text and are never drawn."""
    texts = [tokenizer.decode([index]) for index in range(tokenizer.vocab_size)]
    shown = read_vocabulary(texts, first_special=len(texts), end=-1)
    spaces = torch.tensor([text == " " for text in texts])
    return Vocabulary(shown.banned & ~spaces, shown.starts, shown.ends)


@dataclass(frozen=True)
class Worded:
    """A text as both sides read it: `words` with their leading space, ids int64 [n] and the word number of each."""

    words: list[str]
    ids: list[int]
    word_ids: list[int]


def split_words(text: str, leading_space: bool = True) -> list[str]:
    """Words between single white space characters, each with a space before it; several in a row give empty words.

    Args:
        leading_space: the first word has one too, as when speaking; else as in the published training (section 7.6).
    """
    words = [f" {word}" for word in WHITE.split(text.strip())]
    return words if leading_space else [words[0][1:], *words[1:]]


def read_words(words: Sequence[str], tokenizer: WordTokenizer) -> Worded:
    """Every word tokenised by itself; the word number is all that ties two tokenisations together (section 1.1)."""
    pieces = [tokenizer.encode(word) for word in words]
    numbers = [number for number, ids in enumerate(pieces) for _ in ids]
    return Worded(list(words), [index for ids in pieces for index in ids], numbers)
