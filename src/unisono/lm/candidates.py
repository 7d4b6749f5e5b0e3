"""Several candidates per step, one kept: the scorers of TADA's online rejection (spec section 12).

Axes: B rows, K candidates, M = K·B rows in candidate-major order, X vector width, A its acoustic part, b bits of one
duration, C head width, E speaker embedding width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from unisono.lm.fused_head import FusedHead
from unisono.lm.gray import decode_gray
from unisono.lm.head import FlowHead

SCORERS = ("likelihood", "duration_median", "spkr_verification")
LIKELIHOOD_TIMES = (0.3, 0.6, 0.9)


def repeat_rows(rows: torch.Tensor, candidates: int) -> torch.Tensor:
    """[B, ...] -> [K·B, ...], candidate-major."""
    return rows if candidates == 1 else rows.repeat(candidates, *([1] * (rows.ndim - 1)))


def likelihood_scores(
    head: FlowHead | FusedHead, condition: torch.Tensor, noise: torch.Tensor, solved: torch.Tensor, acoustic_dim: int
) -> torch.Tensor:
    """How well straight lines from noise to result agree with the unguided velocity; higher is likelier.

    Args:
        condition: [M, C]. noise: [M, X], scaled starting points. solved: [M, X].

    Returns:
        [M]: minus the mean squared error over the acoustic entries, averaged over `LIKELIHOOD_TIMES`.
    """
    target = (solved - noise)[:, :acoustic_dim]
    total = torch.zeros(len(solved), device=solved.device, dtype=solved.dtype)
    for time in LIKELIHOOD_TIMES:
        times = torch.full((len(solved),), time, device=solved.device, dtype=solved.dtype)
        velocity = head((1 - time) * noise + time * solved, times, condition)[:, :acoustic_dim]
        total = total - (velocity - target).square().mean(-1)
    return total / len(LIKELIHOOD_TIMES)


def duration_median_scores(solved: torch.Tensor, acoustic_dim: int, candidates: int) -> torch.Tensor:
    """Closeness of before + after to the lower median over candidates: [K·B, X] -> [K, B], 0 is closest."""
    bits = solved[:, acoustic_dim:].unflatten(-1, (2, -1))  # [M, 2, b]
    total = decode_gray(bits).sum(-1).view(candidates, -1)  # [K, B]
    return -(total - total.median(0).values).abs().float()


def speaker_scores(
    embed: Callable[[torch.Tensor], torch.Tensor], solved: torch.Tensor, reference: torch.Tensor, acoustic_dim: int
) -> torch.Tensor:
    """Cosine similarity to the prompt's speaker: [K·B, X] and reference [B, E] -> [K, B]."""
    embedding = embed(solved[:, :acoustic_dim])  # [M, E], unit length
    return (embedding.view(-1, *reference.shape) * reference).sum(-1)


def reference_embedding(embed: Callable[[torch.Tensor], torch.Tensor], vectors: torch.Tensor) -> torch.Tensor | None:
    """The prompt's speaker: mean embedding of the vectors with a norm above 0, renormalised.

    Args:
        vectors: [B, P, A].

    Returns:
        [B, E], or None when a row has no such vector.
    """
    voiced = vectors.norm(dim=-1) > 0  # [B, P]
    if vectors.shape[1] == 0 or not bool(voiced.any(-1).all()):
        return None
    weight = voiced.to(vectors.dtype)[..., None]
    mean = (embed(vectors) * weight).sum(1) / weight.sum(1)
    return functional.normalize(mean, dim=-1)


def choose(solved: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The candidate with the highest score, the first of equals: [K·B, X] and [K, B] -> [B, X]."""
    candidates, rows = scores.shape
    best = scores.argmax(0)
    return solved.view(candidates, rows, -1)[best, torch.arange(rows, device=solved.device)]
