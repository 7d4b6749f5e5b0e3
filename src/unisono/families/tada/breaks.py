"""Pauses and rates of a spelled text as the gaps that the model is made to speak.

A gap that is only long is filled with the sound before it where the text has no punctuation there (measured with the
built-in voice: 3 of 16 pauses between words were silent). So a pause is also written into what the model reads: its
card's `pause_text`, ",..", stands before it and its gaps make up the asked time (64 of 64 were silent for at least as
long as asked). These tokens are heard as silence and are not part of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from unisono.families.spelling import Spelled
from unisono.families.tada.silences import Asked, Silence, silences
from unisono.families.tada.timing import FRAMES_PER_SECOND, Tempo

MARK_GAP = 2  # frames between the tokens of a pause's text; the last one is followed by the rest of the pause


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
        if frames > MARK_GAP * len(pause_ids) > 0:
            start = len(ids)
            ids += pause_ids
            factors += [rates[max(index - 1, 0)]] * len(pause_ids)
            exact |= {gap: MARK_GAP for gap in range(start + 1, len(ids))}
            exact[len(ids)] = frames - MARK_GAP * (len(pause_ids) - 1)
        elif frames:
            more[len(ids)] = frames
        if frames:
            asked.append(Asked(index, frames, len(ids)))
        if index < len(spelled.ids):
            shown.append(len(ids))
            ids.append(spelled.ids[index])
            factors.append(rates[index])
    tempo = Tempo(0, [*factors, rates[-1]], more, exact)
    return Line(ids, shown, tempo, silences(spelled, shown, asked))


def _frames(spelled: Spelled) -> dict[int, int]:
    """Token -> frames of the pause before it; one before a word stands before the space that parts it from others."""
    frames: dict[int, int] = {}
    for index, seconds in spelled.pauses.items():
        while 1 < index <= len(spelled.texts) and _is_space(spelled, index - 1):
            index -= 1
        frames[index] = frames.get(index, 0) + round(seconds * FRAMES_PER_SECOND)
    return frames


def _is_space(spelled: Spelled, index: int) -> bool:
    """Whether a token is white space and nothing else."""
    return spelled.texts[index].isspace()
