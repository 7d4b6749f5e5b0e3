"""One block of a convolutional trunk (after ConvNeXt, as Vocos uses it). Axes: B batch, C channels, M frames."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

REACH = 3  # frames to each side that one block looks at


class ConvNeXtBlock(nn.Module):
    """Depthwise conv k7, layer norm, MLP, layer scale, residual; [B, C, M] -> [B, C, M]."""

    def __init__(self, channels: int, inner: int, scale: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, 2 * REACH + 1, padding=REACH, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.up = nn.Linear(channels, inner)
        self.down = nn.Linear(inner, channels)
        self.gamma = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, M] -> [B, C, M]."""
        y = self.norm(self.depthwise(x).transpose(1, 2))
        return x + (self.gamma * self.down(functional.gelu(self.up(y)))).transpose(1, 2)
