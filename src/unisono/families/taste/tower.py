"""From a recording and its text to one code tuple per text token: encoder, aggregator, quantiser (spec section 1).

Axes: B batch, A text tokens of the recogniser, S source positions at 50 Hz, H width, F feature frames, Q codes.
Attribute names are the published ones, so that `state_dict()` is the published layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from unisono.align.mel_ctc import ConvBlock
from unisono.audio.mel import StackedMel
from unisono.codec.fsq import FiniteSQ
from unisono.codec.quantisers import Quantised, Quantiser, ResidualVQ
from unisono.errors import CheckpointError, InputError
from unisono.families.taste.config import AudioTower, Segmenter
from unisono.families.taste.config import Quantiser as QuantiserSizes
from unisono.families.taste.whisper import AggregatorDecoder, WhisperEncoder, sinusoids


class Aggregated(NamedTuple):
    """All that the aggregator computes: ids it read [B, P], `keys` and `values` [B, S, H], `hidden` [B, P, H] of all
    positions, `states` [B, A, H] of the text, averaged over words."""

    ids: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    hidden: torch.Tensor
    states: torch.Tensor


class Heard(NamedTuple):
    """What the tower makes of recordings: `embeds` [B, A, H], `codes` int64 [B, A, Q] or None, `losses` [Q] or None."""

    embeds: torch.Tensor
    codes: torch.Tensor | None
    losses: torch.Tensor | None


def average_words(states: torch.Tensor, word_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Every token's state becomes the mean over its word.

    A word is a run of equal word ids inside the length, so that padding, whatever its word id, joins no word (the
    published code merges it with word 0, spec section 7.5).

    Args:
        states: [B, A, H]. word_ids: int64 [B, A]. lengths: int64 [B].

    Returns:
        [B, A, H]; what lies beyond the lengths is left as it is.
    """
    places = torch.arange(states.shape[1], device=states.device)
    starts = functional.pad(word_ids.diff(dim=1) != 0, (1, 0), value=True)
    runs = torch.where(places < lengths[:, None], starts.long().cumsum(1), -places - 1)  # padding: each its own
    same = (runs[:, :, None] == runs[:, None, :]).to(states)  # [B, A, A]
    return same @ states / same.sum(-1, keepdim=True)


class MelEncoder(nn.Module):
    """The convolutions of our small aligners as an encoder: log-mel at 24 kHz -> keys and values at 50 Hz.

    Names are those of `align.mel_ctc.MelCTC`, whose weights it starts from. A convolution does not know where it is,
    so that fixed positions are added to the keys.
    """

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        width = sizes["d_model"]
        self.input = nn.Conv1d(sizes["num_mel_bins"], width, 3, padding=1)
        self.blocks = nn.ModuleList(
            ConvBlock(width, sizes.get("encoder_kernel", 5), 1 + index % 2, sizes.get("dropout", 0.0))
            for index in range(sizes["encoder_layers"])
        )
        self.norm = nn.LayerNorm(width)
        self.register_buffer("positions", sinusoids(sizes["max_source_positions"], width), persistent=False)

    def forward(self, features: torch.Tensor, value_layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [B, S, 2F] (`audio.mel.StackedMel`, mean removed) -> keys and values [B, S, H].

        Raises:
            InputError: a recording longer than the fixed positions.
        """
        if features.shape[1] > len(self.positions):
            raise InputError(
                f"the recording has {features.shape[1] / 50:.0f} s, this model hears {len(self.positions) / 50:.0f} s"
            )
        x = functional.gelu(self.input(features.transpose(1, 2))).transpose(1, 2)
        values = x
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index + 1 == value_layer:
                values = x
        return self.norm(x) + self.positions[: x.shape[1]], values


class _Named(nn.Module):
    """A module of a published name around another one."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


class JointEncoderSegmenter(nn.Module):
    """Encoder and aggregator: recordings and their text -> one state per text token."""

    def __init__(self, tower: AudioTower, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        own: Segmenter = tower.segmenter
        if sizes["d_model"] != tower.audio_embed_dim:
            raise CheckpointError(f"d_model is {sizes['d_model']}, audio_embed_dim {tower.audio_embed_dim}: not equal")
        self.own = own
        encoder = WhisperEncoder(sizes) if own.encoder == "whisper" else MelEncoder(sizes)
        decoder = AggregatorDecoder(sizes, tower.text_token_size, own.aggregator_layers)
        if own.make_v_proj_identity:
            decoder.reset_values()
        self.audio_encoder = _Named(encoder=encoder)
        self.audio_segmenter = _Named(decoder=decoder)

    def forward(
        self,
        features: torch.Tensor,
        ids: torch.Tensor,
        lengths: torch.Tensor,
        word_ids: torch.Tensor,
        allowed: torch.Tensor | None = None,
        end: bool = False,
    ) -> Aggregated:
        """Features and text -> states.

        Args:
            features: [B, F, M] for the encoder. ids, word_ids: int64 [B, A]. lengths: int64 [B].
            allowed: bool [B, A, S], source positions that each token may attend; None = all, as published.
            end: also read the end token, which changes nothing before it.

        Raises:
            InputError: a text of more tokens than the aggregator has positions.
        """
        decoder = self.audio_segmenter.decoder
        prefix = ids.new_tensor(self.own.prefix_ids).expand(len(ids), -1)
        parts = [prefix, ids, ids.new_full((len(ids), 1), self.own.end_id)] if end else [prefix, ids]
        read = torch.cat(parts, 1)
        if read.shape[1] > (most := decoder.embed_positions.num_embeddings):
            room = most - len(self.own.prefix_ids)
            raise InputError(f"the text has {ids.shape[1]} tokens, the aggregator takes {room}")
        keys, values = self.audio_encoder.encoder(features, self.own.target_hidden_layer)
        if allowed is not None:
            first, last = len(self.own.prefix_ids), len(parts) - 2
            allowed = functional.pad(allowed, (0, 0, first, last), value=True)
        hidden = decoder(read, keys, values, allowed)
        states = hidden[:, prefix.shape[1] : prefix.shape[1] + ids.shape[1]]
        if self.own.is_word_level:
            states = average_words(states, word_ids, lengths)
        return Aggregated(read, keys, values, hidden, states)


class Tower(nn.Module):
    """`audio_tower`: recordings and text -> vectors and code tuples."""

    def __init__(self, tower: AudioTower, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        self.audio_joint_encoder_segmenter = JointEncoderSegmenter(tower, sizes)
        quantiser = make_quantiser(tower.quantiser) if tower.quantization_on else None
        if quantiser is not None:
            self.vq = _Named(**{tower.quantiser.quantizer_class: quantiser})
        self.kind = tower.quantiser.quantizer_class if quantiser is not None else None

    @property
    def quantiser(self) -> Quantiser:
        """The quantiser. Raises CheckpointError for a model without one."""
        if self.kind is None:
            raise CheckpointError("this model has no quantiser (quantization_on false): it knows no codes")
        return getattr(self.vq, self.kind)

    def forward(
        self,
        features: torch.Tensor,
        ids: torch.Tensor,
        lengths: torch.Tensor,
        word_ids: torch.Tensor,
        *,
        quantise: bool = True,
        cutoff: int | None = None,
        allowed: torch.Tensor | None = None,
    ) -> Heard:
        """Arguments as of `JointEncoderSegmenter.forward`; quantise False skips the quantiser (stage 1-2)."""
        states = self.audio_joint_encoder_segmenter(features, ids, lengths, word_ids, allowed).states
        if not quantise or self.kind is None:
            return Heard(states, None, None)
        made: Quantised = self.quantiser(states, length_mask(lengths, ids.shape[1]), cutoff)
        return Heard(made.output, made.indices, made.losses)

    def embeds(self, codes: torch.Tensor) -> torch.Tensor:
        """Code tuples int64 [.., Q] -> vectors [.., H]."""
        return self.quantiser.project(self.quantiser.latent(codes))


def length_mask(lengths: torch.Tensor, longest: int) -> torch.Tensor:
    """bool [B, longest], True inside the lengths [B]."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def make_quantiser(sizes: QuantiserSizes) -> nn.Module | None:
    """The quantiser that a configuration names; None for "none"."""
    if sizes.quantizer_class == "none":
        return None
    if sizes.quantizer_class == "fsq":
        return FiniteSQ(sizes.dim, sizes.levels, sizes.num_quantizers, sizes.quantize_dropout)
    return ResidualVQ(
        sizes.dim,
        sizes.codebook_dim,
        sizes.codebook_size,
        sizes.num_quantizers,
        sizes.decay,
        sizes.kmeans_iters,
        sizes.quantize_dropout,
    )


def mel_features(wave: torch.Tensor, front: StackedMel) -> torch.Tensor:
    """24 kHz wave [B, N] -> what `MelEncoder` reads [B, S, 2F]."""
    stacked = front(wave)
    return (stacked - stacked.mean(-1, keepdim=True)).transpose(1, 2)
