"""Choosing the next text token from logits (TADA, spec section 13.7).

Axes: B rows, V vocabulary, n ids so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class TextSampling:
    """How text is drawn.

    Attributes:
        sample: False takes the arg-max and ignores the rest.
        temperature: above 0. top_k: 0 keeps all. top_p: nucleus mass, 1 keeps all.
        repetition_penalty: 1 leaves logits alone; above 1 makes ids that occurred less likely.
    """

    sample: bool = True
    temperature: float = 0.6
    top_k: int = 0
    top_p: float = 0.9
    repetition_penalty: float = 1.1


def text_probabilities(logits: torch.Tensor, history: torch.Tensor, sampling: TextSampling) -> torch.Tensor:
    """Probabilities to draw the next token from.

    Args:
        logits: [B, V]. history: int64 [B, n], every id so far; each distinct id is penalised once.

    Returns:
        [B, V], rows sum to 1.
    """
    scores = penalise(logits, history, sampling.repetition_penalty) / sampling.temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        smallest = scores.topk(sampling.top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < smallest, float("-inf"))
    if sampling.top_p < 1:
        scores = keep_nucleus(scores, sampling.top_p)
    return scores.softmax(-1)


def penalise(logits: torch.Tensor, history: torch.Tensor, penalty: float) -> torch.Tensor:
    """Divide positive and multiply negative logits of ids that occurred, once per distinct id."""
    if penalty == 1:
        return logits
    seen = logits.gather(-1, history)
    return logits.scatter(-1, history, torch.where(seen < 0, seen * penalty, seen / penalty))


def keep_nucleus(scores: torch.Tensor, mass: float) -> torch.Tensor:
    """Drop tokens once the probability mass of likelier ones has reached `mass`; the likeliest always stays."""
    ordered, order = scores.sort(-1, descending=True)
    probabilities = ordered.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    dropped = (before >= mass).scatter(-1, order, before >= mass)
    return scores.masked_fill(dropped, float("-inf"))
