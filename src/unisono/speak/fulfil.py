"""What `unisono say` was asked for, over any speech model: a text as it comes, a dialogue, or a search."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unisono.errors import InputError
from unisono.interface import Audio, SpeechModel, Voice
from unisono.speak.dialogue import Turn, say_dialogue
from unisono.speak.long import say_to
from unisono.speak.say import Spoken
from unisono.speak.search import Found, Search, search


def check_words(model: SpeechModel, wanted: str | None) -> None:
    """Refuse to write word times that a model does not know. Raises InputError."""
    if wanted is not None and not model.word_times:
        raise InputError(f"model {model.name} knows no word times for {wanted}: leave it away, or use another model")


def say_request(
    model: SpeechModel,
    text: str,
    sink: Callable[[Audio], None],
    *,
    turns: Sequence[Turn] | None = None,
    voices: Mapping[str, Voice] | None = None,
    level: bool = True,
    how: Search | None = None,
    keep: bool = False,
    voice: Voice | None = None,
    seed: int = 0,
    **options: Any,
) -> tuple[Spoken, Found | None]:
    """Speak a text, or the turns of a dialogue, or search for the best way to say a text.

    Args:
        text: passed over when there are `turns`. voices, level: of a dialogue, see `say_dialogue`.
        sink: takes the sound. how: of the search; None = no search.
        keep, voice, seed, options: as for `say_to`.

    Returns:
        the speech and its time, and what the search found.

    Raises:
        InputError: unusable text or option, a search of a dialogue. CheckpointError: a voice of another model.
    """
    if turns is None and how is None:
        return say_to(model, text, sink, keep=keep, voice=voice, seed=seed, **options), None
    if turns is not None and how is not None:
        raise InputError("a search speaks one text: leave the script or the search away")
    start, found = time.perf_counter(), None
    if turns is not None:
        speech = say_dialogue(model, turns, voices=voices, voice=voice, level=level, seed=seed, **options)
    else:
        options.pop("progress", None)
        found = search(model, text, how, voice=voice, seed=seed, **options)
        speech = found.speech
    sink(Audio(speech.audio, speech.sample_rate))
    return Spoken(speech, time.perf_counter() - start), found
