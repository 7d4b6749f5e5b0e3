"""One benchmark: load, warm up, speak, take apart, compare. Everything is measured in this process.

The engine's runs (A) and those of what it is compared with (B) take turns, A B, B A, A B, so that other work on the
machine falls on both; a ratio is taken per pair, and its spread is part of the result.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import torch

from unisono.bench.laps import stopwatch
from unisono.bench.machine import machine, peak_memory_mb, read_bandwidth, synchronize
from unisono.bench.random_models import is_random, random_speech
from unisono.bench.reference_say import reference_say
from unisono.bench.result import Measured, Pair, Run, result
from unisono.bench.settings import Settings
from unisono.errors import InputError
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.speech import TadaSpeech
from unisono.files.checkpoint import without_init
from unisono.interface import Speech, Voice

SENTENCE = "Every token of text carries exactly one piece of speech, so that text and sound move in unison."
SHORT = "Hello there."  # for random models, whose tokens are characters and take seconds
SECONDS = 60.0  # that the runs of one benchmark take, roughly
FEWEST, MOST = 3, 15  # runs


class Loaded(NamedTuple):
    """A model ready to speak, the voice to speak with, the seconds that took, and where it is."""

    tts: TadaSpeech
    voice: Voice | None
    seconds: float
    device: str


def measure(settings: Settings, progress: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Run a benchmark.

    Args:
        progress: called with a line on what is being done.

    Returns:
        see `result.result`.

    Raises:
        InputError: settings that cannot be used. CheckpointError: a model that cannot be loaded.
    """
    settings.check()
    progress("loading")
    loaded = load(settings)
    where = machine(loaded.device)
    text = settings.text
    if text is None:
        text = SHORT if is_random(settings.model) else SENTENCE
    ours, theirs = _engine(loaded, settings, text), _other(loaded, settings, text)
    progress("warming up")
    ours()
    progress("taking a run apart")
    with _one_lane(), stopwatch(loaded.tts) as laps:  # timers of several threads would not add up
        apart = ours()
    runs = settings.runs or _affordable(apart.seconds, settings)
    progress("waiting for first samples")
    firsts = _first_samples(loaded, settings, text, runs)
    alone = [ours() for _ in range(runs)] if theirs is None else []
    peak = peak_memory_mb(loaded.device)  # before the reference and the reading of memory take their own
    readings = read_bandwidth(loaded.device)
    pairs = []
    for index in range(runs if theirs is not None else 0):
        progress(f"pair {index + 1} of {runs}")
        pairs.append(_pair(ours, theirs, index % 2 == 1))
    return result(
        Measured(
            settings=settings,
            tts=loaded.tts,
            text=text,
            device=loaded.device,
            machine=where,
            load_seconds=loaded.seconds,
            laps=laps,
            apart=apart,
            runs=alone or [pair.ours for pair in pairs],
            pairs=pairs,
            first_samples=firsts,
            peak_mb=peak,
            bandwidth=median([*readings, *read_bandwidth(loaded.device)]),
        )
    )


@contextmanager
def _one_lane() -> Iterator[None]:
    """Many texts are spoken on one thread."""
    asked = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = asked or str(torch.get_num_threads())
    try:
        yield
    finally:
        if asked is None:
            del os.environ["OMP_NUM_THREADS"]


def load(settings: Settings) -> Loaded:
    """The model and its voice; seconds are those of `unisono.load()` after the imports, or of making random weights."""
    from unisono import hub
    from unisono.families import get_family

    device = hub.check_device(settings.device or hub.best_device())
    dtype = settings.dtype or ("float32" if device == "cpu" else "bfloat16")
    if settings.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # many texts are not shared out either
        torch.set_num_threads(settings.threads)
    given = {} if settings.quantize is None else {"quantize": settings.quantize}
    if is_random(settings.model):
        start = time.perf_counter()
        # Of the weights' own size: the reference's copy in float32, and packed weights.
        copies = 0.0 if dtype == "float32" or settings.against in (None, "single") else 2.0
        copies += {"int8": 0.25, "half": 0.5}.get(settings.quantize, 0.0)
        tts, voice = random_speech(settings.model, device=device, dtype=dtype, copies=copies, **given)
        return Loaded(tts, voice, time.perf_counter() - start, device)
    folder = hub.model_folder(settings.model)
    if settings.threads is None:
        hub.limit_threads(folder)
    get_family(hub.family_of(folder))  # imports
    start = time.perf_counter()
    tts = hub.load(folder, device=device, dtype=dtype, **given)
    seconds = time.perf_counter() - start
    if not isinstance(tts, TadaSpeech):
        raise InputError(f"model {tts.name} is of family {tts.family}, whose parts bench cannot take apart yet")
    return Loaded(tts, None, seconds, device)


def _engine(loaded: Loaded, settings: Settings, text: str) -> Callable[[], Run]:
    """A run of what is measured."""
    tts, options = loaded.tts, {} if settings.steps is None else {"steps": settings.steps}

    def speak() -> Run:
        begin = _now()
        if settings.stream:
            pieces = list(tts.stream(text, voice=loaded.voice, seed=settings.seed, **options))
        else:
            given = text if settings.batch == 1 else [text] * settings.batch
            spoken = tts.say(given, voice=loaded.voice, seed=settings.seed, **options)
            pieces = [spoken] if isinstance(spoken, Speech) else spoken
        return _since(begin, sum(piece.duration for piece in pieces), loaded.device)

    return speak


def _other(loaded: Loaded, settings: Settings, text: str) -> Callable[[], Run] | None:
    """A run of what is compared with, or None."""
    if settings.against is None:
        return None
    tts, steps = loaded.tts, settings.steps
    if settings.against == "single":
        given = {} if steps is None else {"steps": steps}

        def once() -> float:
            return tts.say(text, voice=loaded.voice, seed=settings.seed, **given).duration

    else:
        model = tts.model if tts.model.dtype == torch.float32 else _float32(tts.model)

        def once() -> float:
            wave = reference_say(
                tts,
                text,
                voice=loaded.voice,
                seed=settings.seed,
                steps=settings.reference_steps or steps,
                separate=settings.against == "reference-separate",
                model=model,
            )
            return len(wave) / tts.sample_rate

    def speak() -> Run:
        begin = _now()
        return _since(begin, sum(once() for _ in range(settings.batch)), loaded.device)

    return speak


def _now() -> tuple[float, float]:
    """Time of the clock and of the processor."""
    return time.perf_counter(), time.process_time()


def _since(begin: tuple[float, float], sound: float, device: str) -> Run:
    """The run that began then and made `sound` seconds."""
    synchronize(device)
    clock, processor = _now()
    return Run(clock - begin[0], sound, processor - begin[1])


def _float32(model: TadaForCausalLM) -> TadaForCausalLM:
    """A language model with the same weights in float32."""
    with torch.device("meta"), without_init():
        copy = TadaForCausalLM(model.config)
    copy.load_state_dict({name: value.float() for name, value in model.state_dict().items()}, assign=True)
    return copy.eval().attach(model.tokenizer, model.decoder)


def _pair(ours: Callable[[], Run], theirs: Callable[[], Run], swapped: bool) -> Pair:
    """One run of each, in turns."""
    if swapped:
        other = theirs()
        return Pair(ours(), other)
    return Pair(ours(), theirs())


def _first_samples(loaded: Loaded, settings: Settings, text: str, runs: int) -> list[float]:
    """Seconds from the call of `stream` to its first samples, of some calls that are then given up."""
    options = {} if settings.steps is None else {"steps": settings.steps}
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        pieces = loaded.tts.stream(text, voice=loaded.voice, seed=settings.seed, **options)
        next(pieces)
        seconds.append(time.perf_counter() - start)
        pieces.close()
    return seconds


def _affordable(seconds: float, settings: Settings) -> int:
    """Runs that take about `SECONDS`, where one run takes `seconds`."""
    others = {None: 1.0, "single": 2.0}.get(settings.against, 4.0)  # the reference is slower, by a factor to be found
    return max(FEWEST, min(MOST, int(SECONDS / (seconds * (1 + others)))))
