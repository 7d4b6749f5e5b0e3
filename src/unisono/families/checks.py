"""What every family asks of its input before any work is done."""

from __future__ import annotations

from pathlib import Path

from unisono.audio import check_audio, read_audio
from unisono.errors import CheckpointError, InputError
from unisono.interface import AlignedTokens, Audio


def check_text(text: str) -> str:
    """Hand back a text that can be spoken.

    Raises:
        InputError: no text at all, blank, without a letter or digit, or not valid Unicode.
    """
    if not isinstance(text, str):
        raise InputError(f"the text is a {type(text).__name__}, wanted is a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError("the text is not valid UTF-8: save or type it as UTF-8") from None
    if not text.strip():
        raise InputError("the text is empty: give at least one word")
    if not any(character.isalnum() for character in text):
        raise InputError(f"the text {text.strip()[:30]!r} holds no letter or digit: give at least one word")
    return text


def check_sound(source: str | Path | Audio) -> Audio:
    """A recording that holds sound, read from a file name or "-" if it is not there yet.

    Raises:
        AudioError: missing, unreadable, too short, not finite, or silent.
    """
    if isinstance(source, tuple):
        return check_audio(Audio(*source), require_sound=True)
    return read_audio(source, require_sound=True)


def check_maker(tokens: AlignedTokens, family: str, model: str, what: str) -> None:
    """Raise CheckpointError when these pieces of speech come from another model than the one that shall use them."""
    if (tokens.family, tokens.model) != (family, model):
        raise CheckpointError(
            f"{what} come from model {tokens.model} ({tokens.family}) and cannot be used by {model} ({family}): "
            "make them again with it, or name the model that made them"
        )


def check_seed(seed: int) -> int:
    """Hand back a seed that a generator takes. Raises InputError for any other."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"the seed is {seed!r}, wanted is a whole number from 0 to 2**63 - 1")
    return seed
