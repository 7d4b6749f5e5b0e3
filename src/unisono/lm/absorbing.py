"""Masked discrete diffusion: symbols are hidden, all at once or bit by bit, and found again (absorbing state).

Axes: B batch, S symbols, V vocabulary; the hidden symbol is `HIDDEN`. Time t runs from 0 (nothing is hidden) to 1
(everything is); a symbol is hidden at time t with probability `hidden_share(t)`, whatever the others are.
Austin et al. 2021 (arXiv 2107.03006); the loss weight 1/t of the linear schedule: Sahoo et al. 2024 (arXiv 2406.07524);
confidence order: Chang et al. 2022 (arXiv 2202.04200).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from unisono.lm.sampling import keep_nucleus

HIDDEN = -1
ORDERS = ("confidence", "ancestral")
SCHEDULES = ("linear", "cosine")

Predict = Callable[[torch.Tensor], torch.Tensor]
"""Symbols int64 [B, S], HIDDEN where hidden -> logits [B, S, V]."""


@dataclass(frozen=True)
class Finding:
    """How hidden symbols are found.

    Attributes:
        steps: calls of the model, 1 or more.
        order: "ancestral" draws which symbols appear, as the reverse process does, so that with as many steps as one
            likes the law is the model's own; "confidence" lets those appear of which the model is surest.
        schedule: of what is still hidden, "linear" or "cosine" (few symbols first).
        temperature, top_k, top_p: of the draw of each symbol; top_k 0 and top_p 1 keep all.
    """

    steps: int = 10
    order: str = "confidence"
    schedule: str = "linear"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


def hidden_share(time: float, schedule: str) -> float:
    """Probability that a symbol is hidden at a time in [0, 1]."""
    return time if schedule == "linear" else math.cos(math.pi / 2 * (1 - time))


def hide(
    symbols: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide symbols for training, each row at its own time (spread evenly over the batch, so that losses vary less).

    Args:
        symbols: int64 [B, S]. lengths: int64 [B]; what lies beyond is never hidden.

    Returns:
        symbols with HIDDEN in them, times [B] in (0, 1].
    """
    batch, longest = symbols.shape
    start = torch.rand((), generator=generator)
    times = 1 - (start + torch.arange(batch) / batch) % 1  # (0, 1]
    drawn = torch.rand(batch, longest, generator=generator) < times[:, None]
    inside = torch.arange(longest) < lengths.cpu()[:, None]
    return symbols.masked_fill((drawn & inside).to(symbols.device), HIDDEN), times.to(symbols.device)


def bound(logits: torch.Tensor, symbols: torch.Tensor, shown: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Upper bound of −log p of each row in nats [B], from one draw of time and hiding with the linear schedule: the
    cross-entropy of what is hidden, over t.

    Args:
        logits: [B, S, V]. symbols: int64 [B, S], the truth. shown: the same with HIDDEN. times: [B].
    """
    truth = logits.log_softmax(-1).gather(-1, symbols.clamp_min(0)[..., None])[..., 0]
    return -(truth * (shown == HIDDEN)).sum(-1) / times


def find(
    predict: Predict, lengths: Sequence[int], generators: Sequence[torch.Generator], finding: Finding
) -> torch.Tensor:
    """Draw rows of symbols. A row is what it would be alone: it has its own generator, and padding is never hidden.

    Args:
        lengths: symbols of each row. generators: one of each row, on the CPU.

    Returns:
        int64 [B, max(lengths)], 0 beyond the lengths.

    Raises:
        ValueError: no steps, an unknown order or schedule.
    """
    if finding.steps < 1 or finding.order not in ORDERS or finding.schedule not in SCHEDULES:
        raise ValueError(f"steps must be 1 or more, order one of {ORDERS}, schedule one of {SCHEDULES}: {finding}")
    places = torch.arange(max(lengths, default=0))
    symbols = torch.where(places < torch.tensor(list(lengths))[:, None], HIDDEN, 0)
    for step in range(finding.steps):
        shares = [hidden_share(1 - (step + done) / finding.steps, finding.schedule) for done in (0, 1)]
        logits = predict(symbols)
        for row, generator in enumerate(generators):
            hidden = (symbols[row] == HIDDEN).nonzero()[:, 0]
            if len(hidden):
                weights = probabilities(logits[row, hidden.to(logits.device)].float().cpu(), finding)
                drawn = torch.multinomial(weights, 1, generator=generator)[:, 0]
                chosen = _appear(weights, drawn, lengths[row], shares, generator, finding.order)
                symbols[row, hidden[chosen]] = drawn[chosen]
    return symbols


def probabilities(logits: torch.Tensor, finding: Finding) -> torch.Tensor:
    """What symbols are drawn from: logits [n, V] -> [n, V], rows sum to 1."""
    scores = logits / finding.temperature
    if 0 < finding.top_k < scores.shape[-1]:
        least = scores.topk(finding.top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < least, float("-inf"))
    if finding.top_p < 1:
        scores = keep_nucleus(scores, finding.top_p)
    return scores.softmax(-1)


def _appear(
    weights: torch.Tensor,
    drawn: torch.Tensor,
    length: int,
    shares: Sequence[float],
    generator: torch.Generator,
    order: str,
) -> torch.Tensor:
    """Which of the hidden symbols appear now: bool [n]. shares: hidden before and after this step."""
    now, then = shares
    if order == "ancestral":
        return torch.rand(len(drawn), generator=generator) >= then / now
    count = len(drawn) - min(len(drawn), math.floor(length * then))
    surest = weights.gather(-1, drawn[:, None])[:, 0].argsort(descending=True, stable=True)[:count]
    return torch.zeros(len(drawn), dtype=torch.bool).index_fill(0, surest, True)
