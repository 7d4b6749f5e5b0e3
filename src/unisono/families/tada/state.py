"""Where a generation stands, and the records it hands to whoever watches.

Axes: B rows, V branches of each row (positive, negative, text-only), N ids, A acoustic width, X = A + 2b flowing
width, H hidden width, K candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from unisono.families.tada.timing import Timer
from unisono.lm.backbone import Backbone
from unisono.lm.draws import Draws


@dataclass
class State:
    """Where a generation stands; `step` advances it in place and hands it back.

    Attributes:
        position: the next position to run. steps: positions to run in all; known later where text is invented.
        branch_ids: int64 [V, B, n], known and chosen ids. cache: the backbone's.
        vector [B, A], mask, before, after int64 [B]: what the next step reads.
        vectors: [B, A] per slot so far. befores: int64 [B] per slot so far. sampled: int64 [B] per chosen text token.
        prompt_hidden: [B, prefill, H], kept for guidance away from the prompt.
        unchecked: flags of steps whose values have not been looked at yet.
        timers: who decides each row's gaps, none where every gap stays as drawn.
    """

    position: int
    steps: int
    branch_ids: torch.Tensor
    cache: Any
    backbone: Backbone
    draws: Draws
    vector: torch.Tensor
    mask: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    vectors: list[torch.Tensor] = field(default_factory=list)
    befores: list[torch.Tensor] = field(default_factory=list)
    sampled: list[torch.Tensor] = field(default_factory=list)
    prompt_hidden: torch.Tensor | None = None
    unchecked: list[torch.Tensor] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)


@dataclass(frozen=True)
class Prefilled:
    """What the prefill saw and made: ids [B, N], embeds [B, n, H] and hidden [V', B, n, H] (V' 2 with text-only)."""

    ids: torch.Tensor
    embeds: torch.Tensor
    hidden: torch.Tensor


@dataclass(frozen=True)
class Stepped:
    """What one step saw and made; every tensor as the step had it, None where the step made none.

    ids [V, B]; vector, mask, before, after as read by the positive branch; hidden [V, B, H]; condition, negative
    [K·B, H]; noise (scaled), solved [K·B, X]; scores [K, B]; chosen [B, X]; drawn int64 [B, 2], its durations; gaps
    int64 [B, 4], `timing.Decided` where they were decided and not just drawn; logits [V, B, vocabulary], probabilities
    [B, vocabulary], token [B].
    """

    position: int
    ids: torch.Tensor
    vector: torch.Tensor
    mask: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    hidden: torch.Tensor
    condition: torch.Tensor | None = None
    negative: torch.Tensor | None = None
    noise: torch.Tensor | None = None
    solved: torch.Tensor | None = None
    scores: torch.Tensor | None = None
    chosen: torch.Tensor | None = None
    drawn: torch.Tensor | None = None
    gaps: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    probabilities: torch.Tensor | None = None
    token: torch.Tensor | None = None


Observer = Callable[[Any], None]
