"""Voices over any speech model: a ready one by name, a voice file, or a recording with its text."""

from __future__ import annotations

from pathlib import Path

from unisono.errors import InputError
from unisono.files import load_voice
from unisono.interface import SpeechModel, Voice

VOICE_SUFFIX = ".safetensors"


def ready_voices(folder: Path) -> dict[str, Path]:
    """Names and files of the voices that a model's folder holds."""
    return {path.stem: path for path in sorted((folder / "voices").glob(f"*{VOICE_SUFFIX}"))}


def read_voice(folder: Path, wanted: str) -> Voice | None:
    """The voice that a ready voice's name or a voice file stands for; None for anything else.

    Raises:
        CheckpointError: a voice file that is missing or damaged.
    """
    ready = ready_voices(folder)
    if wanted in ready or wanted.lower().endswith(VOICE_SUFFIX):
        return load_voice(ready.get(wanted, wanted))
    return None


def find_voice(model: SpeechModel, folder: Path, wanted: str | None, text: str | None = None) -> Voice | None:
    """A voice from what a user typed.

    Args:
        model: who shall speak. folder: where it was loaded from.
        wanted: None for the model's own voice, a ready voice's name, a voice file, or a recording.
        text: what the recording says.

    Raises:
        InputError: an unknown name, a recording without text, or text without a recording.
        AudioError, CheckpointError: a file that cannot be used, a voice of another model.
    """
    voice = None if wanted is None else read_voice(folder, wanted)
    if wanted is None or voice is not None:
        if text is not None:
            raise InputError("a voice text belongs to a recording: name one as the voice, or leave the text away")
        return voice
    if not Path(wanted).suffix and not Path(wanted).exists():
        raise unknown_voice(folder, wanted)
    if text is None or not text.strip():
        raise InputError(f"to speak like {wanted} its words are needed: give them as the voice text")
    if not model.can_clone:
        raise InputError(f"model {model.name} cannot learn a voice from a recording: use one of its ready voices")
    voice = model.voice(wanted, text=text)
    voice.name = Path(wanted).stem
    return voice


def unknown_voice(folder: Path, wanted: str) -> InputError:
    """The error that lists the names one could have meant."""
    names = ", ".join(ready_voices(folder)) or "none"
    return InputError(f"there is no voice {wanted[:60]!r}; ready are: {names}; a voice file or a recording serves too")
