"""What a model is asked to do with each item: say its text, or encode and decode its recording."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unisono import speak
from unisono.audio import write_audio
from unisono.errors import InputError, UnisonoError
from unisono.evaluate.data import Item
from unisono.evaluate.output import AUDIO
from unisono.interface import Audio, Speech, SpeechModel, Voice

SAY, RESYNTHESIS, BOTH = "say", "resynthesis", "both"
TASKS = {SAY: (SAY,), RESYNTHESIS: (RESYNTHESIS,), BOTH: (SAY, RESYNTHESIS)}


@dataclass(frozen=True)
class Made:
    """What a model made of one item.

    Attributes:
        sound: file name within the report's folder; "" when there is no sound.
        seconds: its length.
        compute_seconds: wall time of the model's work, without reading and writing files.
        error: the sentence of the error that ended the work, else "".
    """

    sound: str
    seconds: float
    compute_seconds: float
    error: str = ""


def chosen_tasks(task: str) -> tuple[str, ...]:
    """The tasks that a name stands for. Raises InputError for an unknown one."""
    if task not in TASKS:
        raise InputError(f"the task is {task!r}, known are {', '.join(TASKS)}")
    return TASKS[task]


@dataclass(frozen=True)
class Speaker:
    """A model with everything that is the same for all items."""

    model: SpeechModel
    voice: Voice | None
    seed: int
    options: Mapping[str, Any]

    def make(self, task: str, item: Item) -> tuple[Speech, float]:
        """The speech, and the wall seconds that it took. Raises UnisonoError when the model cannot do it."""
        if task == SAY:
            spoken = speak.say(self.model, item.text, voice=self.voice, seed=self.seed, **self.options)
            return spoken.speech, spoken.seconds
        recording = item.read()
        start = time.perf_counter()
        spoken = speak.decode(self.model, speak.encode(self.model, recording, item.text))
        return spoken.speech, time.perf_counter() - start


def make_all(
    speaker: Speaker, items: Sequence[Item], tasks: Sequence[str], folder: Path, tick: Callable[[], object]
) -> list[dict[str, Made]]:
    """Make and write every sound; one dict by task for each item.

    Args:
        folder: the report's, which holds a folder for sounds.
        tick: called after every item.

    Raises:
        UnisonoError: the first one, when a task failed on every item. Single failures are in the results.
    """
    made: list[dict[str, Made]] = []
    errors: dict[str, UnisonoError] = {}
    for index, item in enumerate(items):
        made.append({})
        for task in tasks:
            name = f"{AUDIO}/{index:04d}-{task}.wav"
            try:
                made[-1][task] = _make(speaker, task, item, folder, name)
            except UnisonoError as problem:
                errors.setdefault(task, problem)
                made[-1][task] = Made("", 0.0, 0.0, " ".join(str(problem).split()))
        tick()
    for task, problem in errors.items():
        if all(each[task].error for each in made):
            raise problem
    return made


def _make(speaker: Speaker, task: str, item: Item, folder: Path, name: str) -> Made:
    speech, compute_seconds = speaker.make(task, item)
    if not len(speech.audio):
        return Made("", 0.0, compute_seconds)
    write_audio(folder / name, Audio(speech.audio, speech.sample_rate))
    return Made(name, speech.duration, compute_seconds)


def write_recordings(items: Sequence[Item], folder: Path) -> Iterator[str]:
    """Write the recordings beside what the model makes of them; yields the file names within `folder`."""
    for index, item in enumerate(items):
        name = f"{AUDIO}/{index:04d}-recording.wav"
        write_audio(folder / name, item.read())
        yield name
