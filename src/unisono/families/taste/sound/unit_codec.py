"""Our own 50 Hz units, and what makes them sound again: the embedded path from units to sound (issue 6).

A frame of log-mel becomes one of `vocabulary` units by finite scalar quantisation; units and a voice print become the
hidden frames of TADA's built-in decoder, whose source-filter head and vocoder then make the sound. The head is shared,
handed in by the caller, and no part of these weights.

Why not the S3 units of the paper: nobody can download them here, and the built-in vocoder is the one that is trained.

Axes: B batch, N samples at 24 kHz, L frames at 50 Hz, D digits of a unit, C hidden width, S width of a voice print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from unisono.codec.convnext import ConvNeXtBlock
from unisono.errors import CheckpointError, InputError
from unisono.families.tada.encoder import MelFront
from unisono.families.tada.heads import SourceFilterHead
from unisono.files import Checkpoint

SAMPLE_RATE = 24000
HOP = 480  # samples of one unit


@dataclass
class UnitCodecConfig:
    """Sizes of the units and of the networks around them.

    Attributes:
        levels: values of each digit D; their product is the number of units.
        mel_bands, channels, front_blocks: of the network that hears. width: C, as the shared decoder's hidden frames.
        blocks, inner: ConvNeXt trunk of the network that speaks. speaker_dim: S, width of a voice print.
    """

    levels: Sequence[int] = (4, 4, 4, 4, 4)
    mel_bands: int = 100
    channels: int = 160
    front_blocks: int = 3
    width: int = 256
    blocks: int = 4
    inner: int = 512
    speaker_dim: int = 60

    def __post_init__(self) -> None:
        if not self.levels or min(self.levels) < 2:
            raise CheckpointError(f"unit levels {list(self.levels)}: every digit needs two values or more")


class UnitCodec(Checkpoint, nn.Module):
    """Sound -> units, and units with a voice print -> hidden frames of the shared decoder; folder `units/`."""

    config_class = UnitCodecConfig

    def __init__(self, config: UnitCodecConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UnitCodecConfig()
        self.front = MelFront(config.channels, config.mel_bands, config.front_blocks)
        self.to_digits = nn.Linear(config.channels, len(config.levels))
        self.from_digits = nn.Linear(len(config.levels), config.width)
        self.from_speaker = nn.Linear(config.speaker_dim, config.width)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(config.width, config.inner, 1 / config.blocks) for _ in range(config.blocks)
        )
        levels = torch.tensor(config.levels)
        places = torch.cat([torch.ones(1, dtype=torch.long), levels.cumprod(0)[:-1]])
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("places", places, persistent=False)

    @property
    def vocabulary(self) -> int:
        """Number of units."""
        return math.prod(self.config.levels)

    @property
    def bits(self) -> float:
        """Bits of one unit."""
        return math.log2(self.vocabulary)

    def digits(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [B, N] -> digits before rounding [B, L, D], each within its levels; L = ceil(N / 480)."""
        raw = self.to_digits(self.front(wave[:, None]).transpose(1, 2)).float()
        return raw.sigmoid() * (self.levels - 1)

    def round(self, digits: torch.Tensor) -> torch.Tensor:
        """Nearest values [B, L, D]; the gradient passes straight through (finite scalar quantisation)."""
        return digits + (digits.round() - digits).detach()

    @torch.no_grad()
    def encode(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [B, N] at 24 kHz -> units int64 [B, L]."""
        return (self.digits(wave).round().long() * self.places).sum(-1)

    def digits_of(self, units: torch.Tensor) -> torch.Tensor:
        """Units int64 [B, L] -> digits float32 [B, L, D]. Raises InputError for a unit that is none."""
        if units.numel() and not 0 <= int(units.min()) <= int(units.max()) < self.vocabulary:
            raise InputError(f"unit {int(units.max())} is none of the {self.vocabulary} units of this model")
        return (units[..., None] // self.places % self.levels).float()

    def hidden(self, digits: torch.Tensor, speaker: torch.Tensor) -> torch.Tensor:
        """Rounded digits [B, L, D] and voice prints [B, S] -> hidden frames of the shared decoder [B, C, L]."""
        centred = 2 * digits / (self.levels - 1) - 1
        x = self.from_digits(centred) + self.from_speaker(speaker)[:, None]
        x = x.transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return x

    @torch.no_grad()
    def decode(self, units: torch.Tensor, speaker: torch.Tensor, head: SourceFilterHead) -> torch.Tensor:
        """Speak.

        Args:
            units: int64 [B, L]. speaker: voice prints [B, S] (`audio.speaker.voice_print`).
            head: `Decoder.wav_decoder` of the model whose vocoder is shared.

        Returns:
            waveform [B, 480·L].

        Raises:
            InputError: unknown units, or a head of another width.
        """
        wide = head.to_features.in_features
        if wide != self.config.width:
            raise InputError(
                f"these units were trained for hidden frames of {self.config.width}, the decoder has {wide}"
            )
        return head(self.hidden(self.digits_of(units), speaker))[:, 0]
