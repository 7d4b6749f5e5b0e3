"""The one way in to the normalisers: a text, a style and a language give what is spoken and where it comes from."""

from __future__ import annotations

from unisono.errors import InputError
from unisono.text.normalized import Normalized
from unisono.text.tada_normalize import normalize_tada

STYLES = ("plain", "tada")


def normalize(text: str, style: str = "plain", language: str = "en", *, tags: bool = True) -> Normalized:
    """Write out what a reader would say.

    Args:
        text: any text.
        style: "plain" (ours: numbers, dates, money, abbreviations in words) or "tada" (the published checkpoints').
        language: "en", "de", ... for "plain"; "tada" has one rule set for all.
        tags: whether "plain" leaves control tags ([pause:1s]) as they are, for those who act on them.

    Returns `.spoken` and `.spans`, pieces (spoken_start, spoken_end, source_start, source_end) that cover `.spoken`.
    Raises InputError for an unknown style or language and for a text that is no string.
    """
    if not isinstance(text, str):
        raise InputError(f"the text to normalise is of type {type(text).__name__}; give a string")
    if style == "tada":
        return normalize_tada(text)
    if style != "plain":
        raise InputError(f"unknown normaliser {style!r}; choose one of {', '.join(STYLES)}")
    from unisono.text.plain import normalize_plain

    return normalize_plain(text, language, tags=tags)
