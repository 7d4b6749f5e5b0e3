"""Speaker embeddings from acoustic vectors, for ranking candidates (TADA, spec section 16).

Axes: `...` any leading axes, A acoustic width, E embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from unisono.files import Checkpoint

NORM_FLOOR = 1e-12


@dataclass
class AcousticSpkrVerfConfig:
    """Published keys and defaults (spec section 2.1)."""

    input_dim: int = 512
    hidden_dim: int = 768
    embed_dim: int = 192
    num_layers: int = 3
    dropout: float = 0.1
    model_type: str = "acoustic_spkr_verf"


class AcousticSpkrVerf(Checkpoint, nn.Module):
    """A small perceptron; `AcousticSpkrVerf.from_pretrained(codec, subfolder="spkr-verf")`."""

    config_class = AcousticSpkrVerfConfig

    def __init__(self, config: AcousticSpkrVerfConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AcousticSpkrVerfConfig()
        blocks: list[nn.Module] = []
        width = config.input_dim
        for _ in range(config.num_layers - 1):
            blocks += [
                nn.Linear(width, config.hidden_dim),
                nn.LayerNorm(config.hidden_dim),
                nn.GELU(),
                nn.Dropout(config.dropout),
            ]
            width = config.hidden_dim
        self.net = nn.Sequential(*blocks, nn.Linear(width, config.embed_dim))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[..., A], normalised as the language model sees them -> unit vectors [..., E]; zeros stay zeros."""
        return functional.normalize(self.net(vectors), dim=-1, eps=NORM_FLOOR)

    @staticmethod
    def similarity(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Dot product of two embeddings [..., E] -> [...], from -1 to 1."""
        return (first * second).sum(-1)
