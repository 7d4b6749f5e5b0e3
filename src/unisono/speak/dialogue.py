"""Dialogue scripts: who says what, over any speech model.

A script is a text file; a line "NAME: what is said" or "[NAME] what is said" begins a turn, other lines go on with it,
blank lines and lines that begin with # are passed over. Models that speak dialogues themselves (Dia) get all turns at
once, others speak each turn in the voice of its speaker. Recordings are of any loudness, and voices made of them speak
as loudly; so that nobody has to reach for the volume, each speaker's turns are brought to the same level.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unisono.audio.level import speech_level
from unisono.errors import InputError
from unisono.families.checks import check_text
from unisono.families.joining import FRAMES_PER_SECOND, join, soften
from unisono.interface import Audio, Speech, SpeechModel, Voice

PAUSE_SECONDS = 0.24  # between turns that are spoken one by one
LEVEL = -23.0  # dB, of what sounds of each speaker's turns
PEAK = 0.98  # of the whole dialogue, full scale being 1
_TURN = re.compile(r"(?:\[(?P<tag>[^\[\]:]{1,40})\]|(?P<name>[^\W\d_][\w .'-]{0,39}):(?=\s|$))\s*(?P<text>.*)")
TWO = ("S1", "S2")


class Turn(NamedTuple):
    """A speaker's name and what is said."""

    speaker: str
    text: str


def read_dialogue(text: str) -> list[Turn]:
    """The turns of a script.

    Raises:
        InputError: words before the first speaker, a turn without words, or no turn at all.
    """
    turns: list[Turn] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if match := _TURN.fullmatch(line):
            turns.append(Turn((match["tag"] or match["name"]).strip(), match["text"]))
        elif not turns:
            raise InputError(f"line {number} of the script names no speaker: begin it with a name and a colon")
        else:
            turns[-1] = turns[-1]._replace(text=f"{turns[-1].text} {line}")
    if not turns:
        raise InputError("the script is empty: give lines such as 'Anna: Hello there.'")
    for turn in turns:
        check_text(turn.text)
    return turns


def read_dialogue_file(path: str | Path) -> list[Turn]:
    """The turns of a script file. Raises InputError as `read_dialogue`, or when it cannot be read as UTF-8."""
    try:
        return read_dialogue(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise InputError(f"the script {path} cannot be read: {problem.strerror or problem}") from None
    except UnicodeDecodeError:
        raise InputError(f"the script {path} is not UTF-8 text: convert it first") from None


def speakers(turns: Sequence[Turn]) -> list[str]:
    """Names in the order in which they first speak."""
    return list(dict.fromkeys(turn.speaker for turn in turns))


def say_dialogue(
    model: SpeechModel,
    turns: Sequence[Turn],
    *,
    voices: Mapping[str, Voice] | None = None,
    voice: Voice | None = None,
    level: bool = True,
    seed: int = 0,
    **options: Any,
) -> Speech:
    """Speak a dialogue.

    Args:
        voices: of the speakers, for models that speak one voice at a time; a speaker without one gets `voice`.
        voice: for models that speak dialogues, a recording of both speakers with [S1] and [S2] in its text.
        level: bring speakers that are spoken one by one to the same loudness; one speaker alone stays as it is.
        seed, options: as for `say`.

    Raises:
        InputError: unusable text or option, more speakers than the model has. CheckpointError: a foreign voice.
    """
    if getattr(model, "can_dialogue", False):
        if voices:
            raise InputError(
                f"model {model.name} speaks both sides itself: give one recording of both as the voice, or none"
            )
        return model.say(dialogue_text(turns), voice=voice, seed=seed, **options)
    parts = []
    chosen = dict(voices or {})
    said = [model.say(turn.text, voice=chosen.get(turn.speaker, voice), seed=seed, **options) for turn in turns]
    if level and len(speakers(turns)) > 1:
        said = levelled(said, [turn.speaker for turn in turns])
    for number, speech in enumerate(said):
        speech = soften(speech, start=number > 0, end=number + 1 < len(turns))
        parts.append(_with_pause(speech) if number + 1 < len(turns) else speech)
    return join("\n".join(turn.text for turn in turns), parts)


def levelled(said: Sequence[Speech], names: Sequence[str]) -> list[Speech]:
    """Speeches with all of a speaker's together at `LEVEL`; if that would be too loud for a file, all are softer.

    Args:
        names: of who speaks each of them.
    """
    gains = {}
    for name in dict.fromkeys(names):
        own = [speech for speech, other in zip(said, names, strict=True) if other == name]
        level = speech_level(Audio(np.concatenate([speech.audio for speech in own]), own[0].sample_rate))
        gains[name] = 10 ** ((LEVEL - level) / 20) if math.isfinite(level) else 1.0
    scaled = [speech.audio * np.float32(gains[name]) for speech, name in zip(said, names, strict=True)]
    peak = max(float(np.abs(audio).max(initial=0.0)) for audio in scaled)
    down = np.float32(min(1.0, PEAK / peak) if peak else 1.0)
    return [replace(speech, audio=audio * down) for speech, audio in zip(said, scaled, strict=True)]


def dialogue_text(turns: Sequence[Turn]) -> str:
    """Turns of two speakers as Dia reads them, [S1] being who speaks first. Raises InputError for more speakers."""
    names = speakers(turns)
    if len(names) > len(TWO):
        raise InputError(f"the script has {len(names)} speakers ({', '.join(names[:4])}), this model speaks as two")
    tags = dict(zip(names, TWO[: len(names)], strict=True))
    return " ".join(f"[{tags[turn.speaker]}] {turn.text}" for turn in turns)


def _with_pause(speech: Speech) -> Speech:
    """A speech with silence behind it, in whole frames of 1/50 s, so that times in the next one stay exact."""
    frame = speech.sample_rate // FRAMES_PER_SECOND
    length = len(speech.audio) + round(PAUSE_SECONDS * speech.sample_rate)
    silence = -(-length // frame) * frame - len(speech.audio)
    audio = np.concatenate([speech.audio, np.zeros(silence, np.float32)])
    return Speech(audio, speech.sample_rate, speech.text, speech.words, speech.tokens, speech.speaker_scores)
