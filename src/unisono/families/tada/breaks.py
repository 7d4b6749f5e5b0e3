"""Pauses and rates of a spelled text as the gaps that the model is made to speak.

A gap that is only long is filled with sound where the text has no punctuation, and so is one much longer than those of
the recordings that the model has learnt from. So a pause is also written into what the model reads: its card's
`pause_text`, ",..", stands before it, with as many more of its last mark as give no gap over `MARK_GAP` frames; the
asked time is shared out evenly among their gaps. These tokens are heard as silence and are not part of the result.

They stand right behind what was spoken last and before the space that parts it from the next word, at the beginning of
a sentence too: there what was spoken last is the sentence before, or the voice. Behind the space the model looks for a
word, and its comma came out as the beginning of one: a soft thump 60 ms into 11 of 50 pauses between two sentences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from unisono.families.spelling import Spelled
from unisono.families.tada.silences import Asked, Silence, shared, silences
from unisono.families.tada.timing import FRAMES_PER_SECOND, Tempo

MARK_GAP = 8  # frames that a token of a pause's text may last; with 40 or more, 7 of 22 pauses were not silent


class Line(NamedTuple):
    """What is spoken: `ids` [n]; `shown` [T], which of them are the tokens of the text; `tempo` of the n + 1 gaps;
    `silences` that shall be heard."""

    ids: list[int]
    shown: list[int]
    tempo: Tempo
    silences: Sequence[Silence] = ()

    @property
    def asked(self) -> int:
        """Frames of all pauses together."""
        return sum(self.tempo.more.values()) + sum(self.tempo.exact.values())


def line(spelled: Spelled, speed: float, pause_ids: Sequence[int]) -> Line:
    """Lay out a text with its pauses and rates.

    Args:
        speed: of the whole text. pause_ids: the tokens that stand for a pause.
    """
    rates = [speed * rate for rate in spelled.rates] or [speed] * len(spelled.ids)
    pauses = _frames(spelled)
    ids, shown, factors, more, exact, asked = [], [], [], {}, {}, []
    for index in range(len(spelled.ids) + 1):
        frames = pauses.get(index, 0)
        count = math.ceil(frames / MARK_GAP) if pause_ids else 0
        start = len(ids)
        ids += [*pause_ids, *pause_ids[-1:] * count][:count]
        factors += [rates[max(index - 1, 0)]] * count
        exact |= dict(zip(range(start + 1, len(ids) + 1), shared(frames, count), strict=True))
        if frames and not count:
            more[start] = frames
        if frames:
            asked.append(Asked(index, frames, range(start + 1, len(ids) + 1) if count else range(start, start + 1)))
        if index < len(spelled.ids):
            shown.append(len(ids))
            ids.append(spelled.ids[index])
            factors.append(rates[index])
    tempo = Tempo(0, [*factors, rates[-1]], more, exact)
    return Line(ids, shown, tempo, silences(spelled, shown, asked))


def _frames(spelled: Spelled) -> dict[int, int]:
    """Token -> frames of the pause before it; one before a word stands before the space that parts it from others, be
    that the space which every sentence begins with."""
    frames: dict[int, int] = {}
    for index, seconds in spelled.pauses.items():
        while 0 < index <= len(spelled.texts) and _is_space(spelled, index - 1):
            index -= 1
        frames[index] = frames.get(index, 0) + round(seconds * FRAMES_PER_SECOND)
    return frames


def _is_space(spelled: Spelled, index: int) -> bool:
    """Whether a token is white space and nothing else."""
    return spelled.texts[index].isspace()
