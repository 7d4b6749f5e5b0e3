"""Pauses as long as they were asked for: heard in the sound, and set right there.

A word goes on sounding after its last mark and sounds before its first one, so the silence between two marks is shorter
than their gap, by how much nobody knows before the decoder has spoken; and the model draws a pause of its own before
the asked one. So a sentence with pauses is decoded, the silence between the words is heard, as word times have it, and
the gap is made longer or shorter by what is missing; then it is decoded anew. What the model has read, the vectors and
all other gaps stay.

Axes: T tokens of the text, n tokens of the line that is spoken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

import torch

from unisono.families.spelling import Spelled
from unisono.families.tada.timing import FRAMES_PER_SECOND
from unisono.interface import Speech
from unisono.text import source_words
from unisono.text.words import words_of_tokens

SHORTEST = 10  # frames; a shorter silence is not told from the closure of a stop consonant
# Frames, as long as a slow onset sounds before its mark.
MOST_ADDED = 14  # where more is missing the place is not silent, and would only sound for longer
ROUNDS = 5  # a silence between soft sounds may be heard otherwise once it is longer


class Silence(NamedTuple):
    """A pause of `frames` behind the first `words` words of a text.

    gaps: the gaps of the line that are made longer or shorter for it.
    low, high: the tokens of the line around it that are heard; -1 = what was before the line, n = its end.
    """

    words: int
    frames: int
    gaps: range
    low: int
    high: int


class Asked(NamedTuple):
    """A pause of `frames` before token `token` of a text, spoken in `gaps` of a line."""

    token: int
    frames: int
    gaps: range


def shared(frames: int, count: int) -> list[int]:
    """Frames in `count` parts as equal as can be, the longer ones first, none under one frame."""
    return [max(1, (frames + count - 1 - index) // count) for index in range(count)]


def silences(spelled: Spelled, shown: Sequence[int], pauses: Sequence[Asked]) -> list[Silence]:
    """What shall be heard of pauses, in order; several between the same two words are one.

    Args:
        shown: [T], the place of each token in the line.
    """
    if not pauses:
        return []
    starts = [tokens.start for tokens in words_of_tokens(source_words(spelled.source), spelled.spans)]
    heard = [index for index, text in enumerate(spelled.texts) if any(map(str.isalnum, text))]
    found: dict[int, Silence] = {}
    for pause in pauses:
        place = bisect_left(heard, pause.token)
        words = bisect_right(starts, heard[place - 1]) if place else 0
        low = shown[heard[place - 1]] if place else -1
        high = shown[heard[place]] if place < len(heard) else max(pause.gaps[-1], shown[-1] + 1)
        before = found[words].frames if words in found else 0
        found[words] = Silence(words, before + pause.frames, pause.gaps, low, high)
    return [silence for silence in found.values() if silence.frames >= SHORTEST]


def settle(
    speak: Callable[[torch.Tensor], tuple[Speech, list[int]]],
    before: torch.Tensor,
    wanted: Sequence[Silence],
    quiet: float,
) -> tuple[Speech, list[int]]:
    """Speak a line with pauses as long as they were asked for, to a frame.

    A place that is not silent stays as it is, and marks around a pause stay at least as far apart as it is long.

    Args:
        speak: gaps -> speech of the text, and the 1-based frames [n] of all marks of the line in it.
        before: int64 [n + 2]; entry k + 1 is gap k of the line.
        quiet: seconds of silence before the line; they count as part of a pause at its beginning.
    """
    spoken = speak(before)
    if not wanted:
        return spoken
    first = before.tolist()
    best, least = spoken, inf
    for _ in range(ROUNDS):
        missing = [_missing(*spoken, silence, quiet) for silence in wanted]
        if (off := sum(map(abs, missing))) < least:
            best, least = spoken, off
        if off == 0:
            break
        gaps = before.tolist()
        for silence, frames in zip(wanted, missing, strict=True):
            entries = slice(silence.gaps[0] + 1, silence.gaps[-1] + 2)
            most = sum(first[entries]) + MOST_ADDED
            gaps[entries] = shared(min(sum(gaps[entries]) + frames, most), len(silence.gaps))
        if gaps == before.tolist():
            break
        before = torch.tensor(gaps, device=before.device)
        spoken = speak(before)
    return best


def _missing(speech: Speech, positions: Sequence[int], silence: Silence, quiet: float) -> int:
    """Frames by which a silence is shorter than asked for; 0 where none is heard."""
    words, at = speech.words, silence.words
    start = words[at - 1].end if at else 0.0
    end = words[at].start if at < len(words) else speech.duration
    if end <= start:
        return 0
    before = quiet if at == 0 else 0.0
    missing = round(silence.frames - (end - start + before) * FRAMES_PER_SECOND)
    low = positions[silence.low] if silence.low >= 0 else -round(before * FRAMES_PER_SECOND)
    high = positions[silence.high] if silence.high < len(positions) else round(speech.duration * FRAMES_PER_SECOND)
    return max(missing, silence.frames - (high - low))
