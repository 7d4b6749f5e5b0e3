"""A recording as the reference of a voice: the silence around it is cut, and what is wrong with it is said.

Axes: N samples. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from unisono.align.agreement import LEAST
from unisono.align.pauses import find_pauses
from unisono.interface import Audio

# Kept of the silence. The first gap of a voice is the silence before it, which a model copies: a voice that waits a
# second makes every sentence wait. The last token, a full stop, lies in the silence behind it and needs some.
KEPT_BEFORE, KEPT_AFTER = 0.1, 0.3
FEWEST_TOKENS, SHORTEST_SPEECH = 6, 1.0
LONGEST = 60.0
CLIPPED_SECONDS, CLIPPED_RUN = 125e-6, 3  # at the peak, and samples; a wave is that flat only where it was cut off
CLIPPED_LEVEL = 0.999  # of the peak
CLIPPED_SHARE = 1e-4  # of all samples; see `clipped_share`
ADVICE = "9 to 15 seconds of clean, neutral speech serve best"


class Reference(NamedTuple):
    """A recording without the silence around it.

    Attributes:
        audio: what is left. before, after: seconds cut there. speech: seconds of it that are not pauses.
    """

    audio: Audio
    before: float
    after: float
    speech: float


def trim_silence(audio: Audio) -> Reference:
    """Cut the silence around a recording down to `KEPT_BEFORE` and `KEPT_AFTER` seconds; pauses inside it stay."""
    seconds = len(audio.samples) / audio.sample_rate
    pauses = find_pauses(audio)
    silent = sum(pause.end - pause.start for pause in pauses)
    start, stop = 0.0, seconds
    if pauses and pauses[0].start == 0:
        start = max(pauses[0].end - KEPT_BEFORE, 0.0)
    if pauses and pauses[-1].end >= seconds and pauses[-1].start > start:
        stop = min(pauses[-1].start + KEPT_AFTER, seconds)
    first, last = round(start * audio.sample_rate), round(stop * audio.sample_rate)
    kept = Audio(np.ascontiguousarray(audio.samples[first:last]), audio.sample_rate)
    return Reference(kept, start, seconds - stop, seconds - silent)


def clipped_share(audio: Audio) -> float:
    """Part of the samples that lie in runs, of 125 microseconds or more, within .1 % of the peak.

    Measured on 288 recordings of `shared/speech`: 0 in every one. The same clipped at half of their peak: over
    `CLIPPED_SHARE` in 98 % (median .006; the rest has single loud peaks), at a quarter of it in all.
    """
    size = np.abs(audio.samples)
    flat = np.concatenate([[False], size >= CLIPPED_LEVEL * size.max(initial=1e-9), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]).reshape(-1, 2)  # [runs, 2], half-open
    runs = edges[:, 1] - edges[:, 0]
    shortest = max(CLIPPED_RUN, CLIPPED_SECONDS * audio.sample_rate)
    return float(runs[runs >= shortest].sum() / max(len(size), 1))


def faults(reference: Reference, tokens: int, agreement: float, least: float = LEAST) -> Iterator[str]:
    """Sentences on what is wrong with a recording and its transcript, each with what it does to the voice.

    Args:
        tokens: of the transcript. agreement: see `align.agreement`. least: under which the transcript is doubted;
            0 = it never is.
    """
    seconds = len(reference.audio.samples) / reference.audio.sample_rate
    if tokens < FEWEST_TOKENS or reference.speech < SHORTEST_SPEECH:
        yield (
            f"the recording holds {tokens} tokens and {reference.speech:.1f} s of speech, which is too short: "
            f"the voice will hardly be like the speaker's; {ADVICE}"
        )
    if seconds > LONGEST:
        yield (
            f"the recording is {seconds:.0f} s long, and all of it is read again for every sentence: "
            f"the voice will be slow and no better; {ADVICE}"
        )
    if (share := clipped_share(reference.audio)) > CLIPPED_SHARE:
        yield (
            f"the recording is clipped ({100 * share:.2g} % of its samples): "
            "the voice will sound rough and distorted; record it with less gain"
        )
    if sentence := doubt(agreement, least, "the voice will slur and swap words"):
        yield sentence


def doubt(agreement: float, least: float, what: str) -> str:
    """A sentence on a transcript that fits its recording badly, and `what` it does; "" for one that fits."""
    if agreement >= least or least <= 0:
        return ""
    return (
        f"the transcript fits the recording badly (agreement {max(agreement, 0.0):.2f}, right ones have over "
        f"{least:.2f}): {what}; check text and language"
    )
