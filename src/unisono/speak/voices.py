"""Voices over any speech model: by name, a voice file, or a recording with its text or a recogniser that hears it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unisono.align.transcribe import transcribe
from unisono.audio import read_audio
from unisono.errors import InputError
from unisono.files import named_voices, read_voice, ready_voices
from unisono.files.outputs import exists
from unisono.interface import Audio, SpeechModel, Voice


def find_voice(
    model: SpeechModel,
    folder: Path,
    wanted: str | None,
    text: str | None = None,
    asr: str | None = None,
    *,
    text_option: str = "--voice-text",
    **making: Any,
) -> Voice | None:
    """A voice from what a user typed.

    Args:
        model: who shall speak. folder: where it was loaded from.
        wanted: None for the model's own voice, a name (of the model's voices or the user's), a voice file, or a
            recording.
        text: what the recording says. asr: who hears that instead, see `SpeechModel.voice`.
        text_option: what messages call the option that gives `text`.
        making: further options of `SpeechModel.voice` (sample_latent, seed).

    Raises:
        InputError: an unknown name, a recording without text, or text without a recording.
        AudioError, CheckpointError: a file that cannot be used, a voice of another model.
    """
    if wanted is not None and not str(wanted).strip():
        raise InputError("the voice's name is empty: give a name, a voice file or a recording")
    voice = None if wanted is None else read_voice(folder, wanted)
    if wanted is None or voice is not None:
        if text is not None or asr is not None:
            option = "--asr" if text is None else text_option
            raise InputError(f"{option} is for a recording: name one as the voice, or leave {option} away")
        return voice
    if not Path(wanted).suffix and not exists(wanted):
        raise unknown_voice(folder, wanted)
    if asr is None and (text is None or not text.strip()):
        raise InputError(
            f"to speak like {wanted} its words are needed: give them with {text_option}, or a recogniser with --asr"
        )
    if not model.can_clone:
        raise InputError(f"model {model.name} cannot learn a voice from a recording: use one of its ready voices")
    hearing = {} if text is not None else {"asr": asr}
    voice = model.voice(wanted, text=text, **hearing, **making)
    voice.name = Path(wanted).stem
    return voice


def find_voices(
    model: SpeechModel, folder: Path, names: Sequence[str], given: Sequence[str] | None
) -> dict[str, Voice]:
    """The voices of a dialogue's speakers.

    Args:
        names: of the speakers, in the order in which they first speak.
        given: "NAME=VOICE" as a user types it; None = the model's ready voices, in their order.

    Raises:
        InputError: a speaker that nobody is or that has no voice, or too few ready voices.
    """
    if given is None:
        ready = sorted(ready_voices(folder))
        if len(ready) < len(names):
            raise InputError(
                f"the script has {len(names)} speakers, the model {len(ready)} ready voices: say who speaks as whom "
                f"with --voices {names[0]}=VOICE"
            )
        return {name: read_voice(folder, voice) for name, voice in zip(names, ready[: len(names)], strict=True)}
    voices: dict[str, Voice] = {}
    for pair in given:
        name, _, wanted = pair.partition("=")
        if name.strip() not in names or not wanted.strip():
            raise InputError(f"{pair[:60]!r} gives no voice to a speaker of the script: {', '.join(names[:6])}")
        voices[name.strip()] = find_voice(model, folder, wanted.strip())
    if missing := [name for name in names if name not in voices]:
        raise InputError(f"{missing[0]} of the script has no voice: add --voices {missing[0]}=VOICE")
    return voices


def find_text(
    model: SpeechModel, recording: str | Path, text: str | None, asr: str | None
) -> tuple[str | Path | Audio, str]:
    """A recording, read if that had to be, and its words.

    Raises:
        InputError: neither text nor recogniser, or no words heard. AudioError, CheckpointError: unusable files.
    """
    if text is not None:
        return recording, text
    if asr is None:
        raise InputError(f"the words of {recording} are needed: give them with --text, or a recogniser with --asr")
    sound = read_audio(recording, require_sound=True)
    return sound, transcribe(sound, asr, model.language)


def unknown_voice(folder: Path, wanted: str) -> InputError:
    """The error that lists the names one could have meant."""
    names = ", ".join(named_voices(folder)) or "none"
    return InputError(f"there is no voice {wanted[:60]!r}; ready are: {names}; a voice file or a recording serves too")
