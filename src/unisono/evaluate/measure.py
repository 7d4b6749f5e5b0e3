"""All that is measured on one item: what listeners hear, distances to the recording, voice prints, pictures.

`Bench.measure` is independent of all other items and runs in worker processes when several are asked for.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unisono.audio import read_audio
from unisono.audio.files import SILENCE
from unisono.audio.speaker import voice_print
from unisono.evaluate.data import Item
from unisono.evaluate.hearing import DomainModel, Ear, clean
from unisono.evaluate.pictures import save_spectrogram
from unisono.evaluate.sound import Distances, Profile, Spectrum, compare, profile
from unisono.evaluate.words import Counts, Divergence, character_counts, diverge, word_counts
from unisono.interface import Audio

RECORDING = "recording"


@dataclass(frozen=True)
class Heard:
    """What one listener understood of a sound, beside the text: both in the form of `hearing.clean`."""

    text: str
    words: Counts
    characters: Counts

    @classmethod
    def of(cls, text: str, heard: str) -> Heard:
        """Count the errors of `heard` against a text of at least one word."""
        return cls(heard, word_counts(text, heard), character_counts(text, heard))

    @property
    def wer(self) -> float:
        """Word error rate, 1.0 = as many errors as words."""
        return self.words.errors / self.words.length

    @property
    def cer(self) -> float:
        """Character error rate."""
        return self.characters.errors / self.characters.length


@dataclass
class Measures:
    """What is measured on one sound.

    Attributes:
        seconds: its length.
        silent: nothing in it reaches -80 dB.
        domain, general: what was understood under either language model; None where nobody listens (not English, or a
            text without letters).
        divergence: of what was understood under the domain's model.
        spectrum, print: None for a silent sound.
        distances: to the recording; None for the recording itself and for a silent sound.
        picture: file name within the report's folder.
    """

    seconds: float
    silent: bool
    domain: Heard | None = None
    general: Heard | None = None
    divergence: Divergence | None = None
    spectrum: Spectrum | None = None
    print: np.ndarray | None = None
    distances: Distances | None = None
    picture: str = ""


@dataclass(frozen=True)
class Job:
    """One item to be measured.

    Attributes:
        item: the recording and its text.
        sounds: task -> sound file of what the model made, within `folder`.
        pictures: sound's name -> file to be drawn within `folder`.
        take: another recording of the same text by the same speaker, if there is one.
    """

    item: Item
    folder: Path
    sounds: dict[str, str]
    pictures: dict[str, str]
    take: Item | None = None


@dataclass
class Result:
    """Measures by name ("recording" or a task), and distances between two takes where the data has them."""

    measures: dict[str, Measures] = field(default_factory=dict)
    takes: Distances | None = None


class Bench:
    """Two listeners, and whatever else measuring needs."""

    def __init__(self, domain_model: DomainModel) -> None:
        self.domain, self.general = Ear(domain_model), Ear()

    def measure(self, job: Job) -> Result:
        """Measure the recording and every sound made for it."""
        recording = job.item.read()
        original = profile(recording)
        result = Result({RECORDING: self._sound(job, RECORDING, recording)})
        for task, name in job.sounds.items():
            audio = read_audio(job.folder / name)
            result.measures[task] = self._sound(job, task, audio, original)
        if job.take is not None:
            result.takes = compare(profile(job.take.read()), original)
        return result

    def _sound(self, job: Job, name: str, audio: Audio, recording: Profile | None = None) -> Measures:
        """Measures of one sound, compared with `recording` if given."""
        measures = Measures(len(audio.samples) / audio.sample_rate, bool(np.abs(audio.samples).max() < SILENCE))
        text = clean(job.item.text)
        if text and job.item.language.lower().startswith("en"):
            measures.domain = Heard.of(text, "" if measures.silent else self.domain.hear(audio))
            measures.general = Heard.of(text, "" if measures.silent else self.general.hear(audio))
            measures.divergence = diverge(text, measures.domain.text)
        if not measures.silent:
            own = profile(audio)
            measures.spectrum = own.spectrum()
            measures.print = voice_print(audio)
            if recording is not None:
                measures.distances = compare(own, recording)
        if name in job.pictures:
            measures.picture = job.pictures[name]
            save_spectrogram(job.folder / measures.picture, audio)
        return measures


def measure_all(jobs: Sequence[Job], domain_model: DomainModel, workers: int) -> Iterator[Result]:
    """Results in the order of the jobs; with several `workers`, from as many processes."""
    if workers == 1:
        bench = Bench(domain_model)
        yield from map(bench.measure, jobs)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _open_bench, (domain_model,))
    try:
        yield from pool.map(_measure, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


_benches: list[Bench] = []  # the one of a worker process


def _open_bench(domain_model: DomainModel) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _benches.append(Bench(domain_model))


def _leave_with_parent() -> None:
    """End this worker when the process that started it is gone: a killed one cannot say goodbye."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _measure(job: Job) -> Result:
    return _benches[0].measure(job)
