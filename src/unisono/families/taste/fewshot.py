"""Pace by example, as published: one recording of question and answer turns, whose forced transcript names the pace.

Spec section 4.3: the recording and its transcript are the prompt, `inference_completion` speaks on from it in mode
"audio" with `out_generated_part_only=True`. The published wording is not known beyond "[Q] … at a slow pace: … [A] …".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unisono.errors import InputError

PACES = ("slow", "normal", "fast")
QUESTION = "[Q] Please say this at a {pace} pace: {text} [A]"


class Turn(NamedTuple):
    """A turn of the prompt's recording: the pace that was asked for, and what was said at it."""

    pace: str
    text: str


def pace_transcript(turns: Sequence[Turn], pace: str, text: str) -> str:
    """The transcript that goes with a recording of some turns, ending where the model shall answer.

    Args:
        turns: what is heard in the recording, question and answer each. pace, text: asked for now; the recording ends
            with this question.

    Raises:
        InputError: no turns, an unknown pace, or an empty text.
    """
    if not turns:
        raise InputError("pace by example needs at least one turn that was recorded")
    asked = [*turns, Turn(pace, text)]
    for turn in asked:
        if turn.pace not in PACES:
            raise InputError(f"pace is {turn.pace!r}, known are {', '.join(PACES)}")
        if not turn.text.strip():
            raise InputError("a turn has no text: give what is said in it")
    told = [f"{QUESTION.format(**turn._asdict())} {turn.text}" for turn in turns]
    return " ".join([*told, QUESTION.format(pace=pace, text=text)])
