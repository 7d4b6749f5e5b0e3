"""Text that arrives in pieces, as from a language model: handed on as soon as a part of it can be spoken.

Where it is cut depends on the text alone and not on the pieces in which it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from unisono.errors import InputError
from unisono.text.script import read_script
from unisono.text.sentences import split_clauses, split_sentences

FIRST_LETTERS = 8  # of the first part: "Well," alone would be spoken as a sentence
LONGEST = 300  # characters without the end of a sentence
_NEXT = "X"  # stands for the text that is not there yet


def speakable_parts(pieces: Iterable[str]) -> Iterator[str]:
    """The first clause, then sentence by sentence; together they are the pieces.

    A part is whole: its tags are closed, and white space or the end follows it. Text that ends nowhere is cut between
    words beyond `LONGEST` characters.

    Raises:
        InputError: a piece that is no text.
    """
    part, first = "", True
    for piece in pieces:
        if not isinstance(piece, str):
            raise InputError(f"a piece of the text is {type(piece).__name__}, wanted is a string")
        for character in piece:
            part += character
            if _may_end(part) and _ends(part, first):
                yield part
                part, first = "", False
    if part:
        yield part


def _may_end(part: str) -> bool:
    """Whether looking at a part is worth its while: its last character is a space behind a mark, or a wide mark."""
    last, before = part[-1], part[:-1].rstrip(" \t")[-1:]
    if last.isspace():
        return not before.isalnum() or len(part) > LONGEST
    return not last.isascii() and not last.isalnum()


def _ends(part: str, first: bool) -> bool:
    """Whether a part can be spoken before what follows it is known."""
    letters = sum(map(str.isalnum, part))
    if letters == 0 or (first and letters < FIRST_LETTERS):
        return False
    ended = len(part) > LONGEST and part[-1].isspace()
    if not ended:
        split = split_clauses if first else split_sentences
        ended = len(split(part + _NEXT)) > 1 or len(split_sentences(part + _NEXT)) > 1
    if ended and "[" in part:
        try:
            read_script(part)
        except InputError:  # a tag that is not closed yet; what is wrong with it is said at the end
            return False
    return ended
