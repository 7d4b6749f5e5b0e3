"""Other words in a recording, over any speech model that can do it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from unisono.errors import InputError
from unisono.families.checks import check_text
from unisono.families.edits import find_edits, split_pair
from unisono.interface import AlignedTokens, Audio, SpeechModel
from unisono.speak.say import Spoken


class Edits(NamedTuple):
    """What shall change: pairs (old, new) to replace, phrases to delete, pairs (phrase, what shall follow it)."""

    replace: list[tuple[str, str]]
    delete: list[str]
    insert_after: list[tuple[str, str]]


def read_edits(
    text: str,
    replace: Sequence[str] | None = None,
    delete: Sequence[str] | None = None,
    insert_after: Sequence[str] | None = None,
) -> Edits:
    """Edits as a user types them: "old=new", "words", "words=new".

    Raises:
        InputError: one that cannot be made in `text`, before any work is done.
    """
    edits = Edits(
        [split_pair(given, "--replace") for given in replace or ()],
        list(delete or ()),
        [split_pair(given, "--insert-after") for given in insert_after or ()],
    )
    if not any(edits):
        raise InputError("there is nothing to edit: give --replace OLD=NEW, --delete WORDS or --insert-after WORDS=NEW")
    find_edits(check_text(text), *edits)
    return edits


def edit(
    model: SpeechModel,
    source: str | Path | Audio,
    text: str,
    edits: Edits,
    *,
    seed: int = 0,
    **options: Any,
) -> tuple[Spoken, AlignedTokens]:
    """A recording that says `text`, with edits made: its sound, and its tokens.

    Raises:
        InputError: a model that cannot edit, unusable text or option, words that are not there or there too often.
        AudioError: unusable sound. AlignmentError: text too long for the sound.
    """
    if not getattr(model, "can_edit", False):
        raise InputError(f"model {model.name} cannot edit recordings: use another one")
    start = time.perf_counter()
    speech, tokens = model.edit_tokens(source, text=text, **edits._asdict(), seed=seed, **options)
    return Spoken(speech, time.perf_counter() - start), tokens
