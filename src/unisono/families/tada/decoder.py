"""One vector per token -> sound: the codec decoder of TADA (spec section 7), and a small alternative.

Axes: B batch, L frames at 50 Hz, M mel frames (2L), D vector width, C hidden width, N samples at 24 kHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from unisono.audio.mel import unstack_pairs
from unisono.codec.attention import LocalAttentionEncoder
from unisono.codec.convnext import ConvNeXtBlock
from unisono.codec.dac import WavDecoder
from unisono.codec.marks import MarkContext
from unisono.codec.segments import segment_mask
from unisono.codec.vocoder import SourceFilterVocoder
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


class SourceFilterHead(nn.Module):
    """Hidden frames -> log-mel, log-pitch and voicing at 100 Hz -> waveform."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.bands = config.mel_bands
        width, blocks = config.hidden_dim, config.frame_blocks
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, 2 * width, 0.1) for _ in range(blocks))
        self.to_features = nn.Linear(config.hidden_dim, 2 * (config.mel_bands + 2))
        self.vocoder = SourceFilterVocoder(
            config.mel_bands, config.vocoder_channels, config.vocoder_blocks, config.vocoder_inner
        )

    def features(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hidden [B, C, L] -> log-mel [B, F, M], log f0 [B, M] (natural log of Hz), voicing logits [B, M]."""
        for block in self.blocks:
            hidden = block(hidden)
        frames = unstack_pairs(self.to_features(hidden.transpose(1, 2)).transpose(1, 2)).float()
        return frames[:, : self.bands], frames[:, self.bands] * 0.25 + 5.3, frames[:, self.bands + 1]

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[B, C, L] -> [B, 1, 480·L]."""
        mel, log_f0, voicing = self.features(hidden)
        return self.vocoder(mel, log_f0, voicing.sigmoid())[:, None]


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

    def hidden(self, expanded: torch.Tensor, token_masks: torch.Tensor) -> torch.Tensor:
        """Expanded vectors [B, L, D] and marks [B, L] -> hidden frames [B, C, L]."""
        x = self.decoder_proj(expanded)
        if self.mark_context is not None:
            x = x + self.mark_context(expanded, token_masks)
        blocked = segment_mask(token_masks, "decoder_v2")  # the published code ignores `block_attention` here
        return self.local_attention_decoder(x, blocked).transpose(1, 2)

    def forward(self, encoded_expanded: torch.Tensor, token_masks: torch.Tensor) -> torch.Tensor:
        """Decode.

        Args:
            encoded_expanded: [B, L, D], vectors at marks (not mean/std-normalised), zeros between.
            token_masks: [B, L], non-zero at marks.

        Returns:
            waveform [B, 1, N]: N = 480·L − 6 for the DAC stack, 480·L for the source-filter head.
        """
        return self.wav_decoder(self.hidden(encoded_expanded, token_masks))
