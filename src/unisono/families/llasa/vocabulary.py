"""The ids of a Llasa tokenizer: eight marks and the speech codes, found by name, never by number.

Published: Llama 3's 128256 ids, then the marks, then `<|s_0|>` to `<|s_65535|>`. Axes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unisono.errors import CheckpointError

MARKS = tuple(
    f"<|{kind}_{side}|>"
    for kind in ("TEXT_GENERATION", "TEXT_UNDERSTANDING", "SPEECH_GENERATION", "SPEECH_UNDERSTANDING")
    for side in ("START", "END")
)  # in the order of their ids
TEXT_START, TEXT_END = "<|TEXT_UNDERSTANDING_START|>", "<|TEXT_UNDERSTANDING_END|>"
SPEECH_START, SPEECH_END = "<|SPEECH_GENERATION_START|>", "<|SPEECH_GENERATION_END|>"
END_OF_TURN = "<|eot_id|>"


def code_name(code: int) -> str:
    """The token of a speech code."""
    return f"<|s_{code}|>"


@dataclass(frozen=True)
class Vocabulary:
    """Ids of a tokenizer.

    Attributes:
        text_start, text_end, speech_start, speech_end: of the marks around text and speech.
        pad: of the end of a turn, which pads too. first: of speech code 0. codes: how many speech codes there are.
    """

    text_start: int
    text_end: int
    speech_start: int
    speech_end: int
    pad: int
    first: int
    codes: int

    def ids(self, codes: Sequence[int]) -> list[int]:
        """The ids of speech codes."""
        return [self.first + int(code) for code in codes]

    def speech(self, ids: Sequence[int]) -> list[int]:
        """The speech codes up to the end mark, wherever that is; other ids than those of codes are left out."""
        found = list(ids)
        if self.speech_end in found:
            found = found[: found.index(self.speech_end)]
        return [index - self.first for index in found if self.first <= index < self.first + self.codes]

    def allowed(self) -> torch.Tensor:
        """What may be drawn: speech codes and the end mark, bool [V]."""
        allowed = torch.zeros(max(self.first + self.codes, self.speech_end + 1), dtype=torch.bool)
        allowed[self.first : self.first + self.codes] = True
        allowed[self.speech_end] = True
        return allowed


def read_vocabulary(tokenizer: Any, codes: int, name: str) -> Vocabulary:
    """Look up the ids in a tokenizer of transformers.

    Args:
        codes: how many the codec has. name: what messages call the tokenizer.

    Raises:
        CheckpointError: no marks, or not exactly one id for each code, in a row.
    """
    table = tokenizer.get_vocab()
    wanted = (TEXT_START, TEXT_END, SPEECH_START, SPEECH_END, END_OF_TURN, code_name(0))
    if missing := [token for token in wanted if token not in table]:
        raise CheckpointError(f"{name} has no token {missing[0]}: it is no tokenizer of a Llasa model")
    first = table[code_name(0)]
    held = sum(token.startswith("<|s_") and token.endswith("|>") for token in table)
    if held != codes or table.get(code_name(codes - 1)) != first + codes - 1:
        raise CheckpointError(f"{name} has {held} speech codes, the codec {codes}: they belong to different models")
    return Vocabulary(*(table[token] for token in wanted[:5]), first, codes)


def add_speech_tokens(tokenizer: Any, codes: int) -> None:
    """Give a text tokenizer the marks and speech codes, in the published order behind its own tokens."""
    tokenizer.add_tokens([*MARKS, *map(code_name, range(codes))])
