"""What every family asks of its input before any work is done."""

from __future__ import annotations

from pathlib import Path

from unisono.audio import check_audio, read_audio
from unisono.errors import AlignmentError, InputError
from unisono.files.outputs import is_unicode
from unisono.interface import Audio, Voice


def check_text(text: str) -> str:
    """Hand back a text that can be spoken.

    Raises:
        InputError: no text at all, blank, without a letter or digit, or not valid Unicode.
    """
    if not isinstance(text, str):
        raise InputError(f"the text is a {type(text).__name__}, wanted is a string")
    if not is_unicode(text):
        raise InputError("the text is not valid UTF-8: save or type it as UTF-8")
    if not text.strip():
        raise InputError("the text is empty: give at least one word")
    if not any(character.isalnum() for character in text):
        raise InputError(f"the text {text.strip()[:30]!r} holds no letter or digit: give at least one word")
    return text


def check_voice(voice: Voice | None) -> Voice | None:
    """Hand back a voice. Raises InputError for what is none, such as its name."""
    if voice is None or isinstance(voice, Voice):
        return voice
    shown = f"the name {voice[:40]!r}" if isinstance(voice, str) else f"a {type(voice).__name__}"
    raise InputError(f"voice is {shown}, wanted is a Voice: the model's voice(...) makes one of a name or recording")


def check_sound(source: str | Path | Audio) -> Audio:
    """A recording that holds sound, read from a file name or "-" if it is not there yet.

    Raises:
        InputError: neither a name nor samples with their rate.
        AudioError: missing, unreadable, too short, not finite, or silent.
    """
    if isinstance(source, tuple) and len(source) == 2:
        return check_audio(Audio(*source), require_sound=True)
    if not isinstance(source, str | Path):
        raise InputError(
            f"the recording is a {type(source).__name__}, wanted is a file name, or Audio(samples, sample_rate)"
        )
    return read_audio(source, require_sound=True)


def check_fit(text: str, sound: Audio, frames_per_second: int) -> None:
    """Refuse a transcript with more words than the recording has frames, before it is read at length.

    Raises:
        AlignmentError: every word takes a token, and every token a frame of its own.
    """
    frames = len(sound.samples) * frames_per_second // sound.sample_rate + 1
    words = sum(any(character.isalnum() for character in word) for word in text.split())
    if words > frames:
        raise AlignmentError(
            f"the text has {words} words, the recording only {frames} frames of 1/{frames_per_second} s: "
            "is it the text of this recording?"
        )


def check_unpacked(quantize: str | None, family: str) -> None:
    """Refuse to pack weights of a family that has no packing. Raises InputError."""
    if quantize not in (None, "none"):
        raise InputError(f"quantize is {quantize[:40]!r}: weights of the family {family} are not packed, leave it away")


def check_seed(seed: int) -> int:
    """Hand back a seed that a generator takes. Raises InputError for any other."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"the seed is {seed!r}, wanted is a whole number from 0 to 2**63 - 1")
    return seed
