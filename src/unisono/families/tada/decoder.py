"""One vector per token -> sound: the codec decoder of TADA (spec section 7), and a small alternative.

Axes: B batch, L frames at 50 Hz, M mel frames (2L), D vector width, C hidden width, N samples at 24 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from unisono.codec.attention import LocalAttentionEncoder
from unisono.codec.dac import WavDecoder
from unisono.codec.marks import MarkContext
from unisono.codec.segments import segments
from unisono.families.tada.heads import SourceFilterHead
from unisono.files import Checkpoint


@dataclass
class DecoderConfig:
    """Published keys and defaults (spec section 2.1); the keys from `head` on make small models.

    `head` "dac" is the published convolution stack, "source_filter" predicts log-mel, pitch and voicing and shapes a
    harmonic source and noise in the STFT domain,
    after `frame_blocks` ConvNeXt blocks. `mark_context` gives each frame its neighbouring vectors directly.
    """

    embed_dim: int = 512
    hidden_dim: int = 1024
    num_attn_layers: int = 6
    num_attn_heads: int = 8
    attn_dim_feedforward: int = 4096
    attn_dropout: float = 0.1
    wav_decoder_channels: int = 1536
    strides: Sequence[int] = (4, 4, 5, 6)
    block_attention: str = "v2"
    use_flash_attn: bool = True
    head: str = "dac"
    mark_context: bool = False
    mel_bands: int = 100
    frame_blocks: int = 0
    vocoder_channels: int = 256
    vocoder_blocks: int = 6
    vocoder_inner: int = 640
    max_frames: int = 8192


class Decoder(Checkpoint, nn.Module):
    """Expanded vectors and marks to a waveform; `Decoder.from_pretrained(codec, subfolder="decoder")`."""

    config_class = DecoderConfig
    ignored_keys = ("_precomputed_mask",)
    optional_keys = ("rope_freqs",)

    def __init__(self, config: DecoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DecoderConfig()
        self.decoder_proj = nn.Linear(config.embed_dim, config.hidden_dim)
        self.mark_context = MarkContext(config.embed_dim, config.hidden_dim) if config.mark_context else None
        self.local_attention_decoder = LocalAttentionEncoder(
            config.hidden_dim,
            config.num_attn_layers,
            config.num_attn_heads,
            config.attn_dim_feedforward,
            config.attn_dropout,
            max_frames=config.max_frames,
        )
        if config.head == "dac":
            self.wav_decoder = WavDecoder(config.hidden_dim, config.wav_decoder_channels, config.strides)
        elif config.head == "source_filter":
            self.wav_decoder = SourceFilterHead(config)
        else:
            raise ValueError(f"decoder head {config.head!r}, expected dac or source_filter")

    def hidden(self, expanded: torch.Tensor, token_masks: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Expanded vectors [B, L, D], the first at position `first`, and marks [B, L] -> hidden frames [B, C, L]."""
        x = self.decoder_proj(expanded)
        if self.mark_context is not None:
            x = x + self.mark_context(expanded, token_masks)
        blocks = segments(token_masks, "decoder_v2")  # the published code ignores `block_attention` here
        return self.local_attention_decoder(x, blocks, first=first).transpose(1, 2)

    @property
    def reach(self) -> int:
        """Blocks (marks) before its own that take part in a hidden frame: one a layer. None after it do."""
        return len(self.local_attention_decoder.layers)

    def forward(self, encoded_expanded: torch.Tensor, token_masks: torch.Tensor) -> torch.Tensor:
        """Decode.

        Args:
            encoded_expanded: [B, L, D], vectors at marks (not mean/std-normalised), zeros between.
            token_masks: [B, L], non-zero at marks.

        Returns:
            waveform [B, 1, N]: N = 480·L − 6 for the DAC stack, 480·L for the source-filter head.
        """
        return self.wav_decoder(self.hidden(encoded_expanded, token_masks))
