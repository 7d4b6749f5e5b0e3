"""transformers' Dia with sampling that belongs to a row: the published chain of processors, then seeded noise.

Axes: B rows, Q channels, V vocabulary of a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DiaForConditionalGeneration, LogitsProcessorList
from transformers.generation.logits_process import DiaEOSChannelFilterLogitsProcessor


class EndAt:
    """Forces the end of channel 0 when a row has its most frames, before the delay pattern is looked at."""

    def __init__(self, limits: Sequence[int], channels: int, end: int, start: int) -> None:
        """`limits` [B] are frames; `end` is the id; `start` is the length of the decoder's prompt."""
        self.limits, self.channels, self.end, self.start = list(limits), channels, end, start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [B · Q, V] with nothing but the end in channel 0 of rows that are full."""
        step = input_ids.shape[-1] - self.start
        for row, limit in enumerate(self.limits):
            if step == limit:
                scores[row * self.channels] = -torch.inf
                scores[row * self.channels, self.end] = 0.0
        return scores


class SeededDia(DiaForConditionalGeneration):
    """`generate(logits_processor=...)` is honoured, which the library's own class drops.

    The first processor given comes before the rule of the end, which forces an end that is likeliest; all others but
    the last before the delay pattern's, and the last one (the draw) behind it.
    """

    def _get_logits_processor(self, *given: Any, logits_processor: Any = None, **rest: Any) -> LogitsProcessorList:
        chain = super()._get_logits_processor(*given, **rest)
        if not logits_processor:
            return chain
        first, *others, draw = logits_processor
        place = next(at for at, step in enumerate(chain) if isinstance(step, DiaEOSChannelFilterLogitsProcessor))
        return LogitsProcessorList([*chain[:place], first, *chain[place:-1], *others, chain[-1], draw])
