"""Finite scalar quantisation: a few bounded numbers, each rounded to one of a few steps; no code book to learn.

Axes: B batch, T tokens, D vector width, C = Q · len(levels) latent width, Q code groups.
After Mentzer et al. 2023 (arXiv 2309.15505). A group of scalars is one code of the tuple, so that tuples look like
those of `ResidualVQ`: 4 groups of 8 · 8 · 8 steps are 4 codes of 512, 36 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from unisono.codec.quantisers import ABSENT, Quantised

SLACK = 1e-3  # the bound stays this far inside the last step, so that rounding never leaves the grid


class FiniteSQ(nn.Module):
    """A `codec.quantisers.Quantiser` whose steps are fixed.

    Args:
        width: D. levels: steps of each scalar of a group. groups: Q.
        dropout: in training the later groups are left out at random, one cutoff for the whole batch.
    """

    def __init__(
        self, width: int = 1280, levels: Sequence[int] = (8, 8, 8), groups: int = 4, dropout: bool = False
    ) -> None:
        super().__init__()
        if min(levels) < 2:
            raise ValueError(f"every scalar needs 2 steps or more, got {tuple(levels)}")
        self.sizes, self.latent_width = (math.prod(levels),) * groups, groups * len(levels)
        self.groups, self.dropout = groups, dropout
        self.project_in = nn.Linear(width, self.latent_width)
        self.project_out = nn.Linear(self.latent_width, width)
        steps = torch.tensor(levels)
        self.register_buffer("steps", steps, persistent=False)  # [l]
        places = torch.cat([steps.new_ones(1), steps.cumprod(0)[:-1]])
        self.register_buffer("places", places, persistent=False)  # [l], value of each digit

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None, cutoff: int | None = None) -> Quantised:
        """Quantise vectors [B, T, D]; mask bool [B, T], True = a token; cutoff: last group that is used.

        Returns:
            where masked: indices −1 and the projection of a zero latent. There is no commitment loss: zeros [Q].
        """
        bounded = self._bound(self.project_in(x).unflatten(-1, (self.groups, -1)))  # [B, T, Q, l]
        rounded = bounded + (self._round(bounded) - bounded).detach()  # straight through
        indices = self._number(rounded.detach())
        last = self._cutoff() if cutoff is None else cutoff
        kept = torch.arange(self.groups, device=x.device) <= last
        if mask is not None:
            kept = kept & mask[..., None]
        kept = kept.expand(indices.shape)
        latent = rounded.masked_fill(~kept[..., None], 0).flatten(-2)
        losses = x.new_zeros(self.groups)
        return Quantised(self.project_out(latent), indices.masked_fill(~kept, ABSENT), losses)

    def latent(self, indices: torch.Tensor) -> torch.Tensor:
        """Indices [.., Q] -> scalars in [−1, 1] [.., C]; zeros where absent."""
        digits = indices.clamp_min(0)[..., None] // self.places % self.steps
        scalars = (2 * digits.float() - (self.steps - 1)) / (self.steps - 1)
        return scalars.masked_fill((indices == ABSENT)[..., None], 0).flatten(-2)

    def nearest(self, latent: torch.Tensor) -> torch.Tensor:
        """Scalars [.., C] -> indices [.., Q]; what lies outside [−1, 1] goes to the outer steps."""
        return self._number(self._round(latent.unflatten(-1, (self.groups, -1)).clamp(-1, 1)))

    def expected(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [.., Q, K] -> expected scalars [.., C]."""
        every = torch.arange(self.sizes[0], device=logits.device)[:, None]
        scalars = (2 * (every // self.places % self.steps).float() - (self.steps - 1)) / (self.steps - 1)  # [K, l]
        return (logits.softmax(-1) @ scalars).flatten(-2)

    def project(self, latent: torch.Tensor) -> torch.Tensor:
        """Latent [.., C] -> vector [.., D]."""
        return self.project_out(latent)

    def _bound(self, x: torch.Tensor) -> torch.Tensor:
        """Any numbers to (−1, 1), a little wider than the outer steps, which would else be half as wide."""
        wider = 1 + (1 - SLACK) / (self.steps - 1)
        return torch.tanh(x) * wider

    def _round(self, x: torch.Tensor) -> torch.Tensor:
        """Scalars to the nearest of their steps, all in [−1, 1]."""
        top = self.steps - 1
        return 2 * ((x + 1) / 2 * top).round().clamp(torch.zeros_like(top), top) / top - 1

    def _number(self, rounded: torch.Tensor) -> torch.Tensor:
        """Scalars on their steps [.., Q, l] -> indices [.., Q]."""
        digits = ((rounded + 1) / 2 * (self.steps - 1)).round().long()
        return (digits * self.places).sum(-1)

    def _cutoff(self) -> int:
        last = self.groups - 1
        return int(torch.randint(last + 1, ())) if self.training and self.dropout else last
