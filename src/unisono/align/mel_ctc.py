"""A small CTC network on log-mel frames: the aligner of small models.

Axes: B batch, N samples, L frames at 50 Hz, C channels, V vocabulary (blank is id 0).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from unisono.audio.mel import StackedMel


class ConvBlock(nn.Module):
    """Pre-norm depthwise convolution and pointwise MLP with residual; [B, L, C] -> [B, L, C]."""

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(
            channels, channels, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=channels
        )
        self.norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, L, C] -> [B, L, C]."""
        mixed = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return x + self.mlp(self.norm(mixed))


class MelCTC(nn.Module):
    """Convolutional CTC over the tokenizer's vocabulary.

    Its receptive field is bounded (about ±0.5 s with the defaults), which keeps the posteriors near the sound they
    name: unbounded attention lets CTC place its spikes anywhere.
    """

    def __init__(
        self, vocab_size: int, channels: int = 192, blocks: int = 8, kernel: int = 5, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.front = StackedMel()
        self.input = nn.Conv1d(self.front.channels, channels, 3, padding=1)
        dilations = [1 + index % 2 for index in range(blocks)]
        self.blocks = nn.ModuleList(ConvBlock(channels, kernel, dilation, dropout) for dilation in dilations)
        self.norm = nn.LayerNorm(channels)
        self.lm_head = nn.Linear(channels, vocab_size)

    def features(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [B, N] at 24 kHz, without padding -> standardised features [B, 2F, L]."""
        return remove_mean(self.front(wave))

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        """[B, 2F, L] -> logits [B, L, V]."""
        return self.lm_head(self.hidden(features)[-1])

    def hidden(self, features: torch.Tensor) -> list[torch.Tensor]:
        """[B, 2F, L] -> hidden frames [B, L, C]: of the input, after each block, and last the normed ones."""
        x = functional.gelu(self.input(features)).transpose(1, 2)
        states = [x]
        for block in self.blocks:
            states.append(block(states[-1]))
        return [*states, self.norm(states[-1])]

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [B, N] at 24 kHz -> logits [B, L, V] with L = ceil(N / 480)."""
        return self.classify(self.features(wave))


def remove_mean(mel: torch.Tensor, frames: torch.Tensor | None = None) -> torch.Tensor:
    """Take each band's mean over time away (the colour of channel and speaker).

    Args:
        mel: [B, 2F, L]. frames: valid frames of each row [B]; frames beyond become 0.
    """
    if frames is None:
        return mel - mel.mean(-1, keepdim=True)
    inside = (torch.arange(mel.shape[-1], device=mel.device) < frames[:, None]).to(mel)[:, None]
    mean = (mel * inside).sum(-1, keepdim=True) / inside.sum(-1, keepdim=True).clamp_min(1)
    return (mel - mean) * inside
