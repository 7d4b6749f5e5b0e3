"""What the marks teach a unit decoder beside its own loss: where to look, and how long each token lasts.

A published unit decoder learns both from thousands of hours. With one hour, a second loss on known marks takes their
place; it shapes the same weights, and nothing of it is needed afterwards.

Axes: B batch, A text tokens, S units, P positions, d width of a head.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from unisono.families.taste.diffusion import MaskedDiffusionUnits
from unisono.families.taste.units import AutoregressiveUnits

HEAD = 0  # the head that is told where to look
LEAST = 0.05  # units of a token whose mark falls together with the next one's
LEAD = 2  # start and speaker stand before the text


class AttentionGuide:
    """One head of one block of an autoregressive decoder shall look at the token that is being spoken."""

    def __init__(self, decoder: AutoregressiveUnits, block: int = 1) -> None:
        self.attention = decoder.llm.encoders[block].self_attn
        self.seen: tuple[Any, ...] = ()
        self.attention.register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        self.seen = arguments

    def tell(self, positions: torch.Tensor, text_lengths: torch.Tensor, unit_lengths: torch.Tensor) -> None:
        """Nothing: an autoregressive decoder finds its place itself."""

    def loss(self, positions: torch.Tensor, text_lengths: torch.Tensor, unit_lengths: torch.Tensor) -> torch.Tensor:
        """-log of the attention on the token spoken at each unit and the one after it, in the last forward pass.

        Args:
            positions: marks int64 [B, A], 1-based frames. text_lengths, unit_lengths: int64 [B].
        """
        logp = self._log_attention(*self.seen[:3])
        total, count = logp.new_zeros(()), 0
        for row, (text, units) in enumerate(zip(text_lengths.tolist(), unit_lengths.tolist(), strict=True)):
            frame = torch.arange(1, units + 1, device=logp.device)
            token = (torch.searchsorted(positions[row, :text].contiguous(), frame, right=True) - 1).clamp_min(0)
            asked = LEAD + text + torch.arange(units, device=logp.device)  # the position that predicts each unit
            both = torch.stack([token, (token + 1).clamp_max(text - 1)]) + LEAD
            found = torch.logaddexp(logp[row, asked, both[0]], logp[row, asked, both[1]])
            found = torch.where(both[0] == both[1], found - math.log(2), found)  # the same token was counted twice
            total, count = total - found.sum(), count + units
        return total / count

    def _log_attention(self, x: torch.Tensor, offsets: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
        """log-probabilities [B, P, P] of the guided head."""
        attention, size = self.attention, self.attention.head_dim
        part = slice(HEAD * size, (HEAD + 1) * size)
        layers = attention.linear_q, attention.linear_k
        query, key = (functional.linear(x, layer.weight[part], layer.bias[part]) for layer in layers)
        distance = functional.linear(offsets, attention.linear_pos.weight[part])  # [2P − 1, d]
        by_offset = (query + attention.pos_bias_v[HEAD]) @ distance.T  # [B, P, 2P − 1]
        length = x.shape[1]
        place = torch.arange(length, device=x.device)
        index = (length - 1 - place[:, None] + place).expand(len(x), -1, -1)
        scores = (query + attention.pos_bias_u[HEAD]) @ key.transpose(1, 2) + by_offset.gather(-1, index)
        scores = scores.float() / math.sqrt(size)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -math.inf)
        return scores.log_softmax(-1)


class DurationGuide:
    """The numbers that say how many units each token takes shall be those of the marks.

    While the decoder is trained it is also told the marks' durations in place of its own: its tokens then lie where
    they are spoken. With its own, which drift by a token or two within a sentence, it never learns what a token sounds
    like (measured: 98 % word errors after 1,600 steps).
    """

    def __init__(self, decoder: MaskedDiffusionUnits) -> None:
        self.seen: torch.Tensor | None = None
        self.told: torch.Tensor | None = None
        decoder.length_layer.register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor | None:
        self.seen = output
        # float32 whatever the output is: sums of durations in bfloat16 are a frame off at 256.
        return None if self.told is None else self.told[..., None]

    def tell(self, positions: torch.Tensor, text_lengths: torch.Tensor, unit_lengths: torch.Tensor) -> None:
        """Durations for the next forward pass; arguments as of `AttentionGuide.loss`."""
        durations = mark_durations(positions, text_lengths, unit_lengths).float().clamp_min(LEAST)
        self.told = durations.expm1().log()  # the decoder takes the softplus of this

    def loss(self, positions: torch.Tensor, text_lengths: torch.Tensor, unit_lengths: torch.Tensor) -> torch.Tensor:
        """Mean |log(1 + duration) - log(1 + that of the marks)| over tokens; arguments as of `AttentionGuide.loss`."""
        made = functional.softplus(self.seen[..., 0].float())
        inside = torch.arange(made.shape[1], device=made.device) < text_lengths[:, None]
        wanted = mark_durations(positions, text_lengths, unit_lengths)
        error = (torch.log1p(made) - torch.log1p(wanted.float())).abs()
        self.told = None
        return (error * inside).sum() / inside.sum()


def mark_durations(positions: torch.Tensor, text_lengths: torch.Tensor, unit_lengths: torch.Tensor) -> torch.Tensor:
    """Units from each token's mark to the next one's; the first begins with the sound, the last ends with it.

    Args:
        positions: int64 [B, A], 1-based frames. text_lengths, unit_lengths: int64 [B].

    Returns:
        int64 [B, A], 0 for padding; rows sum up to the unit lengths.
    """
    inside = torch.arange(positions.shape[1], device=positions.device) < text_lengths[:, None]
    marks = torch.where(inside, positions - 1, unit_lengths[:, None]).minimum(unit_lengths[:, None])
    ends = torch.cat([marks[:, 1:], unit_lengths[:, None]], 1)
    begins = torch.cat([torch.zeros_like(marks[:, :1]), marks[:, 1:]], 1)
    return ends - begins


Guide = AttentionGuide | DurationGuide


def make_guide(decoder: nn.Module) -> Guide:
    """The guide that fits a unit decoder."""
    return DurationGuide(decoder) if isinstance(decoder, MaskedDiffusionUnits) else AttentionGuide(decoder)
