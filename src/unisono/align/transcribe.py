"""What a recording says, when nobody wrote it down: a speech recogniser of transformers, or pocketsphinx.

Axes: N samples. transformers and pocketsphinx are imported when they are used.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from unisono.align.pauses import find_pauses
from unisono.audio import resample
from unisono.errors import CheckpointError, InputError, VoiceWarning
from unisono.files import find_folder
from unisono.interface import Audio

POCKETSPHINX = "pocketsphinx"
PUBLISHED = "nvidia/parakeet-ctc-1.1b"  # what TADA was published with
RATE = 16000  # Hz that pocketsphinx hears
PADDING = RATE // 5  # samples of silence before and after
LEVEL = 0.7  # peak that every sound is brought to
LONGEST_PIECE = 25.0  # seconds; recognisers are trained on less than 30
SHORTEST_CUT = 5.0  # seconds that a piece lasts before a pause may end it
Recogniser = Callable[[Audio], str]


def transcribe(audio: Audio, asr: str | Recogniser, language: str = "en") -> str:
    """The words of a recording, as a sentence.

    Args:
        audio: mono samples [N] at any rate; more than `LONGEST_PIECE` seconds are cut at pauses.
        asr: "pocketsphinx" (English, offline, errs often), a folder or hub name of a speech recogniser that
            transformers can run (CTC or Whisper), or a function Audio -> str.
        language: of the recording.

    Raises:
        InputError: nothing was heard, no such language, or a package that is missing.
        CheckpointError: a recogniser that cannot be loaded.
    """
    hear = asr if callable(asr) else make_recogniser(asr, language)
    heard = " ".join(hear(piece).strip() for piece in cut_at_pauses(audio))
    text = tidy(heard)
    if not any(character.isalnum() for character in text):
        name = "the recogniser" if callable(asr) else asr
        raise InputError(f"{name} heard no words in the recording: give its text")
    if asr == POCKETSPHINX:
        warnings.warn(
            "pocketsphinx errs often, and a voice whose text is wrong slurs and swaps words: check what it heard",
            VoiceWarning,
            stacklevel=4,
        )
    return text


def make_recogniser(asr: str, language: str = "en") -> Recogniser:
    """A function that hears, by name. Raises as `transcribe`."""
    if asr == POCKETSPHINX:
        return _pocketsphinx(language)
    return _pipeline(asr, language)


def tidy(heard: str) -> str:
    """A transcript as one would write it: single spaces, a capital, a full stop; text in capitals in small letters."""
    text = " ".join(heard.split())
    if text.isupper():
        text = text.lower()
    if text.islower():
        text = text[:1].upper() + text[1:]
    return f"{text}." if text[-1:].isalnum() else text


def cut_at_pauses(audio: Audio, longest: float = LONGEST_PIECE) -> Iterator[Audio]:
    """Pieces of at most `longest` seconds which together are the recording, cut inside pauses where there are any."""
    rate, samples = audio.sample_rate, audio.samples
    middles = [(pause.start + pause.end) / 2 for pause in find_pauses(audio)]
    start, end = 0.0, len(samples) / rate
    while end - start > longest:
        inside = [middle for middle in middles if start + min(SHORTEST_CUT, longest / 2) < middle <= start + longest]
        stop = inside[-1] if inside else start + longest
        yield Audio(samples[round(start * rate) : round(stop * rate)], rate)
        start = stop
    yield Audio(samples[round(start * rate) :], rate)


def _pocketsphinx(language: str) -> Recogniser:
    """pocketsphinx with its general English language model."""
    if language != "en":
        raise InputError(f"pocketsphinx hears English, not {language!r}: give the text, or another recogniser")
    if importlib.util.find_spec("pocketsphinx") is None:
        raise InputError("the package pocketsphinx is missing: pip install pocketsphinx")
    return hear_sphinx


def hear_sphinx(audio: Audio, **files: str) -> str:
    """What pocketsphinx hears in mono samples [N] at any rate; "" for no words.

    Every sound gets a decoder of its own: a used one carries its estimate of the noise over to the next sound, even
    after `reinit_feat` and `set_cmn`, and what is heard would depend on the order.

    Args:
        files: `lm` and `dict`, the files of another language model than that of general English.
    """
    from pocketsphinx import Decoder

    decoder: Any = Decoder(samprate=RATE, loglevel="FATAL", **files)
    samples = np.pad(resample(audio, RATE).samples.astype(np.float32), PADDING)
    peak = float(np.abs(samples).max()) or 1.0
    decoder.start_utt()
    decoder.process_raw((samples / peak * LEVEL * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""


def _pipeline(name: str, language: str) -> Recogniser:
    """A recogniser of transformers, from a folder, the hub's cache or the hub."""
    recogniser = _load_pipeline(name)
    rate = recogniser.feature_extractor.sampling_rate
    # Whisper is told the language, for it may translate otherwise; CTC models know one, or all alike.
    told = (
        getattr(recogniser.model.generation_config, "lang_to_id", None) if recogniser.type == "seq2seq_whisper" else {}
    )
    options = {"generate_kwargs": {"language": language, "task": "transcribe"}} if told else {}

    def hear(audio: Audio) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            samples = np.ascontiguousarray(resample(audio, rate).samples, dtype=np.float32)
            return recogniser({"raw": samples, "sampling_rate": rate}, **options)["text"]

    return hear


def _load_pipeline(name: str) -> Any:
    """transformers' pipeline for a recogniser. Raises CheckpointError."""
    advice = f"a speech recogniser is a folder, a hub name such as {PUBLISHED}, or {POCKETSPHINX}; or give the text"
    if not name.strip():
        raise CheckpointError(f"the name of the speech recogniser is empty: {advice}")
    try:
        folder = find_folder(name)
    except CheckpointError as problem:
        raise CheckpointError(f"no speech recogniser {name[:100]!r} can be found: {advice}") from problem
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import pipeline
        from transformers.utils import logging

        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            return pipeline("automatic-speech-recognition", model=str(folder))
        except Exception as problem:  # whatever transformers makes of a foreign or damaged folder
            reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            raise CheckpointError(f"{name[:200]} holds no speech recogniser ({reason[:120]}): {advice}") from problem
        finally:
            if bars:
                logging.enable_progress_bar()
