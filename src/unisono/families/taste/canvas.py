"""What small training sets want beside the published parts of a unit decoder: locality on the canvas, units as digits.

Attention learns slowly what a convolution has built in, and units that are really tuples of a few digits
(`sound.unit_codec`) are learnt faster digit by digit. Both are additions that a config leaves out by default.

Axes: B batch, C canvas positions, A text tokens, H width, V units, D digits of a unit, F one-hot digits together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from unisono.codec.convnext import ConvNeXtBlock
from unisono.errors import CheckpointError

PLACE = 3  # numbers that say where a canvas position lies within its token


class CanvasTrunk(nn.Module):
    """Where each position lies within its token, and ConvNeXt blocks over the canvas.

    Args:
        width: H. inner: of the blocks. blocks: how many.
    """

    def __init__(self, width: int, inner: int, blocks: int) -> None:
        super().__init__()
        self.place = nn.Linear(PLACE, width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, inner, 1 / blocks) for _ in range(blocks))

    def forward(self, rows: Sequence[torch.Tensor], places: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Canvases [C_b, H] and what `within_tokens` says of them [C_b, 3] -> canvases; a row is as it is alone."""
        sizes = torch.tensor([len(row) for row in rows], device=rows[0].device)
        x = nn.utils.rnn.pad_sequence(
            [row + self.place(place.to(row)) for row, place in zip(rows, places, strict=True)], batch_first=True
        )
        inside = (torch.arange(x.shape[1], device=x.device) < sizes[:, None])[:, None]  # [B, 1, C]
        x = x.transpose(1, 2)
        for block in self.blocks:
            x = block(x) * inside
        return [x[row, :, :size].T for row, size in enumerate(sizes.tolist())]


class UnitDigits(nn.Module):
    """The part of a unit's vector, and of its logit, that it shares with the units of the same digits.

    Args:
        levels: values of each digit, the first counts ones. width: H of what goes in. out: of what comes out.
    """

    def __init__(self, levels: Sequence[int], units: int, width: int, out: int) -> None:
        super().__init__()
        if math.prod(levels) != units:
            raise CheckpointError(f"diffusion_digits {list(levels)} make {math.prod(levels)} units, not {units}")
        self.embed = nn.Linear(sum(levels), width, bias=False)
        self.decode = nn.Linear(out, sum(levels), bias=False)
        index, digits = torch.arange(units), []
        for level in levels:
            digits.append(functional.one_hot(index % level, level))
            index = index // level
        self.register_buffer("digits", torch.cat(digits, 1).float(), persistent=False)  # [V, F]

    def vectors(self) -> torch.Tensor:
        """[V, H]."""
        return self.embed(self.digits)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[.., H] -> [.., V]."""
        return self.decode(hidden) @ self.digits.to(hidden.dtype).T


def within_tokens(durations: torch.Tensor, wanted: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which token each canvas position most likely belongs to, int64 [C], behind the speech the last one; and where it
    lies in it, float32 [C, 3]: the share that is over, log(1 + units) since it began and until it ends.

    Args:
        durations: [A] positive numbers, whose proportions count. wanted: units that the tokens are spread over.
        size: C.
    """
    ends = durations.detach().float().cumsum(0)
    scale = wanted / ends[-1]
    middles = torch.arange(size, device=ends.device) + 0.5
    ends = ends * scale
    token = torch.searchsorted(ends, middles).clamp_max(len(ends) - 1)
    begins = functional.pad(ends, (1, -1))
    since = (middles - begins[token]).clamp_min(0)
    until = (ends[token] - middles).clamp_min(0)
    place = torch.stack([since / (since + until).clamp_min(1e-3), since.log1p(), until.log1p()], -1)
    return token, place
