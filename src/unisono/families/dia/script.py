"""The text of a dialogue as Dia reads it: turns that begin with [S1] or [S2], packed into pieces.

A text without such tags is one turn of the first speaker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from unisono.errors import InputError
from unisono.text import split_chunks

SPEAKERS = ("S1", "S2")
_TAG = re.compile(r"\[\s*([A-Za-z]+\d+)\s*\]")


class Turn(NamedTuple):
    """Who speaks ("S1" or "S2"), and what."""

    speaker: str
    text: str


def read_turns(text: str) -> list[Turn]:
    """The turns of a text.

    Raises:
        InputError: a speaker that Dia does not know, or a turn without words.
    """
    parts = _TAG.split(text)  # what stands before the first tag, then tag and text in turn
    turns = [Turn(SPEAKERS[0], parts[0])] if parts[0].strip() else []
    for tag, said in zip(parts[1::2], parts[2::2], strict=True):
        if tag.upper() not in SPEAKERS:
            raise InputError(f"the text has a turn of [{tag}], a model of the family dia speaks as [S1] and [S2]")
        if not any(character.isalnum() for character in said):
            raise InputError(f"a turn of [{tag}] holds no letter or digit: give it words, or leave its tag away")
        turns.append(Turn(tag.upper(), said))
    return turns


def write_turns(turns: Sequence[Turn]) -> str:
    """Turns as Dia reads them."""
    return " ".join(f"[{turn.speaker}] {' '.join(turn.text.split())}" for turn in turns)


def pack(turns: Sequence[Turn], characters: int) -> list[str]:
    """Turns in pieces of at most `characters`; a turn that is longer is cut where a reader would pause."""
    short = [
        Turn(turn.speaker, turn.text[start:end]) for turn in turns for start, end in split_chunks(turn.text, characters)
    ]
    pieces: list[list[Turn]] = []
    for turn in short:
        if pieces and len(write_turns([*pieces[-1], turn])) <= characters:
            pieces[-1].append(turn)
        else:
            pieces.append([turn])
    return [write_turns(piece) for piece in pieces]
