"""Texts that are spoken piece by piece, in one voice from the first piece to the last.

These models make up a voice where none is given, another one with every generation. So the pieces behind the first are
spoken in the voice of the first, which is given to them as the codes and words of a recording are.

Axes: T frames, Q code books.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from unisono.errors import GenerationWarning

SHORTEST, SHORTEST_LETTER = 0.1, 0.02  # seconds of a piece, and of each letter or digit: nobody speaks as fast
SLACK = 1.5  # a piece may take so much longer than the first one, letter for letter


@dataclass(frozen=True)
class Piece:
    """What is generated at once: a text, the transcript and codes [P, Q] of a voice ("" and None without)."""

    text: str
    said: str = ""
    codes: torch.Tensor | None = None


def fewest(text: str, rate: float) -> int:
    """Frames that any speech of a text has at least, `rate` a second; the end cannot be drawn before."""
    return round(rate * max(SHORTEST, SHORTEST_LETTER * sum(map(str.isalnum, text))))


class Room(Protocol):
    """How many frames there is room for behind the prompt of a piece; none or less where it does not fit at all."""

    def room(self, piece: Piece) -> int: ...


def in_the_voice_of(first: Piece, codes: torch.Tensor, piece: Piece, engine: Room) -> Piece:
    """A later piece in the voice of the first one, whose codes [T, Q] are drawn; as it is where it has a voice.

    Warns:
        GenerationWarning: the first piece leaves too little room, so that the voice may change.
    """
    if piece.codes is not None or not len(codes):
        return piece
    led = Piece(piece.text, first.text, codes)
    if engine.room(led) >= SLACK * len(codes) * len(piece.text) / len(first.text):
        return led
    warnings.warn(
        f"{piece.text.strip()[:30]!r} may be spoken by another voice, for the beginning of the speech leaves no room "
        "to go on from it: name a voice",
        GenerationWarning,
        stacklevel=2,
    )
    return piece


def keep(blocks: Iterable[torch.Tensor], kept: list[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Hand on blocks of codes as they come, and keep them."""
    for block in blocks:
        kept.append(block)
        yield block
