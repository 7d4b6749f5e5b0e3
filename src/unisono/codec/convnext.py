"""One block of a convolutional trunk (after ConvNeXt, as Vocos uses it). Axes: B batch, C channels, M frames."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

REACH = 3  # frames to each side that one block looks at


class ConvNeXtBlock(nn.Module):
    """Depthwise conv k7, layer norm, MLP, layer scale, residual; [B, C, M] -> [B, C, M].

    The result lies in memory frame by frame, and so do frames between blocks: nothing is turned around on the way.
    """

    def __init__(self, channels: int, inner: int, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, 2 * REACH + 1, padding=REACH, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.up = nn.Linear(channels, inner)
        self.down = nn.Linear(inner, channels)
        self.gamma = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, M] -> [B, C, M]."""
        near, frames = self.depthwise, x.transpose(1, 2)
        # As pictures of one line, which convolutions take however their channels lie.
        mixed = functional.conv2d(
            x[:, :, None], near.weight[:, :, None], near.bias, padding=(0, REACH), groups=near.groups
        )
        inner = functional.gelu(self.up(self.norm(mixed[:, :, 0].transpose(1, 2))))
        moved = functional.linear(inner, self.gamma[:, None] * self.down.weight, self.gamma * self.down.bias)
        return (frames + moved).transpose(1, 2)
