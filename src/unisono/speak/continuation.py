"""Speaking on from a recording, over any speech model that can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unisono.errors import InputError
from unisono.interface import Audio, SpeechModel
from unisono.speak.say import Spoken, timed


def continue_(
    model: SpeechModel,
    source: str | Path | Audio,
    text: str,
    tokens: int = 40,
    *,
    with_prompt: bool = False,
    seed: int = 0,
    **options: Any,
) -> Spoken:
    """Make up what comes after a recording, text and sound together.

    Args:
        source: file name, "-" for standard input, or samples. text: what is said in it.
        tokens: at most so many tokens of text. with_prompt: put the recording before what was made up.
        seed: same seed, same bytes on a CPU. options: generation options of the model.

    Raises:
        AudioError, InputError: unusable sound, text or option, a model that cannot speak on.
        AlignmentError: more tokens than frames.
    """
    if not model.can_continue:
        raise InputError(f"model {model.name} cannot speak on from a recording: use another one")
    return timed(
        lambda: model.continue_(source, text=text, tokens=tokens, with_prompt=with_prompt, seed=seed, **options)
    )
