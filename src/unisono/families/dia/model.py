"""transformers' Dia with sampling that belongs to a row: the published chain of processors, then seeded noise.

Axes: B rows, Q channels, V vocabulary of a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DiaForConditionalGeneration, LogitsProcessorList


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

    All processors given but the last come before the delay pattern's, the last one (the draw) behind it.
    """

    def _get_logits_processor(self, *given: Any, logits_processor: Any = None, **rest: Any) -> LogitsProcessorList:
        chain = super()._get_logits_processor(*given, **rest)
        extra = list(logits_processor or ())
        return LogitsProcessorList([*chain[:-1], *extra[:-1], chain[-1], *extra[-1:]])
