"""RMS norm, as language model and flow head use it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def rms_norm(x: torch.Tensor, weight: torch.Tensor | None, eps: float) -> torch.Tensor:
    """RMS norm over the last axis with float32 statistics, cast back before the weight: [.., C] -> [.., C]."""
    if x.dtype == torch.float32:
        return functional.rms_norm(x, x.shape[-1:], weight, eps)
    normed = functional.rms_norm(x.float(), x.shape[-1:], None, eps).to(x.dtype)
    return normed if weight is None else normed * weight


class RMSNorm(nn.Module):
    """The weight of an RMS norm; the arithmetic is `rms_norm`."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., C] -> [.., C]."""
        return rms_norm(x, self.weight, self.eps)
