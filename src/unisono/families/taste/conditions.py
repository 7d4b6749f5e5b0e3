"""What a unit decoder is told: text, speech vectors and speaker, read by two small stacks and mixed (spec 1.4).

Axes: B batch, A text tokens, S units, H width, E speaker width, V units of the vocabulary.
`UnitDecoder` is the slot; `units.AutoregressiveUnits` (published) and `diffusion.MaskedDiffusionUnits` fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional

from unisono.families.taste.config import StackSizes, UnitDecoderSizes
from unisono.families.taste.relative import RelativeStack

IGNORED = -1  # label of a position that counts for nothing
UNITS_PER_SECOND = 50


class UnitLoss(NamedTuple):
    """`loss` to train with (scalar), `logits` [B, P, V + 1] and `labels` int64 [B, P] they are held against."""

    loss: torch.Tensor
    logits: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class UnitSampling:
    """How units are drawn; each kind of decoder reads its own part.

    Attributes:
        top_k: candidates; of the diffusion decoder 0 keeps all. temperature: above 0.
        least, most: units per position of the condition (text tokens + 3) before the end may come, and at most.
        steps: passes of the diffusion decoder, 1 or more. order: "confidence" or "ancestral". top_p: nucleus.
        length: units wanted; None = as many as the model finds right (then the diffusion decoder predicts it).
    """

    top_k: int = 25
    temperature: float = 1.0
    least: float = 2.0
    most: float = 20.0
    steps: int = 10
    order: str = "confidence"
    top_p: float = 1.0
    length: int | None = None


class UnitDraws(Protocol):
    """Where the randomness of units comes from: every row has its own generator."""

    generators: Sequence[torch.Generator]

    def unit(self, row: int, probabilities: torch.Tensor) -> int:
        """One index from weights [V + 1], which need not sum to 1."""
        ...


class SeededDraws:
    """One generator per row."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def unit(self, row: int, probabilities: torch.Tensor) -> int:
        """As `UnitDraws.unit`."""
        return int(torch.multinomial(probabilities.float().cpu(), 1, generator=self.generators[row]))


class UnitDecoder(Protocol):
    """The slot: conditions -> units at 50 Hz."""

    def __call__(
        self,
        text_ids: torch.Tensor,
        text_lengths: torch.Tensor,
        speaker: torch.Tensor,
        embeds: torch.Tensor | None,
        units: torch.Tensor,
        unit_lengths: torch.Tensor,
    ) -> UnitLoss:
        """Training: text_ids int64 [B, A], speaker [B, E], embeds [B, A, D] or None (text only), units int64 [B, S]."""
        ...

    def decode(
        self,
        text_ids: torch.Tensor,
        text_lengths: torch.Tensor,
        speaker: torch.Tensor,
        embeds: torch.Tensor | None,
        draws: UnitDraws,
        sampling: UnitSampling = UnitSampling(),
    ) -> list[torch.Tensor]:
        """Units int64 [S_b] of each row, without an end."""
        ...


class WeightedSum(nn.Module):
    """softmax(weights)[0] · audio + softmax(weights)[1] · text."""

    def __init__(self, weights: Sequence[float] = (1.0, 1.0)) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights))

    def forward(self, audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Two tensors of one shape -> one."""
        audio_weight, text_weight = self.weights.softmax(0)
        return audio_weight * audio + text_weight * text


def make_stack(sizes: StackSizes, width_in: int, width: int, lm: bool = False, causal: bool = True) -> RelativeStack:
    """A stack from its record."""
    return RelativeStack(
        width_in,
        width,
        sizes.attention_heads,
        sizes.linear_units,
        sizes.num_blocks,
        sizes.dropout_rate,
        sizes.positional_dropout_rate,
        sizes.attention_dropout_rate,
        lm=lm,
        causal=causal,
    )


class UnitConditions(nn.Module):
    """The parts that both decoders share, under the published names.

    Args:
        sizes: the record. causal: whether a token knows only what stands before it.
    """

    def __init__(self, sizes: UnitDecoderSizes, causal: bool) -> None:
        super().__init__()
        self.sizes = sizes
        inner, width, out = sizes.encoder_input_size, sizes.llm_input_size, sizes.llm_output_size
        self.text_embedding = nn.Embedding(sizes.text_token_size, inner)
        self.text_encoder = make_stack(sizes.text_encoder, inner, width, causal=causal)
        self.text_encoder_affine_layer = nn.Linear(width, width)
        self.audio_embed_affine_layer = nn.Linear(sizes.audio_encoder_input_size, inner)
        self.audio_token_encoder = make_stack(sizes.audio_encoder, inner, width, causal=causal)
        self.audio_token_encoder_affine_layer = nn.Linear(width, width)
        self.fuse_encoded_audio_text_module = WeightedSum()
        self.spk_embed_affine_layer = nn.Linear(sizes.spk_embed_dim, width)
        self.llm_embedding = nn.Embedding(2, width)
        self.llm = make_stack(sizes.llm, width, out, lm=True, causal=causal)

    @property
    def end(self) -> int:
        """V, what stands behind the last unit."""
        return self.sizes.speech_token_size

    def encode_text(self, text_ids: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """int64 [B, A] -> [B, A, H]. Ids beyond the lengths are read too; they change nothing before them."""
        return self.text_encoder_affine_layer(self.text_encoder(self.text_embedding(text_ids), lengths))

    def encode_audio(self, embeds: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Speech vectors [B, A, D] -> [B, A, H]."""
        encoded = self.audio_token_encoder(self.audio_embed_affine_layer(embeds), lengths)
        return self.audio_token_encoder_affine_layer(encoded)

    def project_speaker(self, speaker: torch.Tensor) -> torch.Tensor:
        """Speaker vectors [B, E] of any length -> [B, 1, H]."""
        return self.spk_embed_affine_layer(functional.normalize(speaker, dim=1))[:, None]

    def condition(
        self, text_ids: torch.Tensor, embeds: torch.Tensor | None, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Text, mixed with speech vectors unless they are None -> [B, A, H]."""
        text = self.encode_text(text_ids, lengths)
        return text if embeds is None else self.fuse_encoded_audio_text_module(self.encode_audio(embeds, lengths), text)

    def head_of(self, condition: torch.Tensor, speaker: torch.Tensor) -> torch.Tensor:
        """What stands before the units of one row: condition [A, H], projected speaker [1, H] -> [A + 3, H]."""
        start, task = self.llm_embedding.weight[:1], self.llm_embedding.weight[1:]
        return torch.cat([start, speaker, condition, task])


def unit_result(units: Sequence[torch.Tensor]) -> dict[str, Any]:
    """The published pair: "speech_token_ids" int64 [1, S] for one row, a list for several, and their lengths."""
    lengths = torch.tensor([len(row) for row in units])
    ids = units[0][None] if len(units) == 1 else list(units)
    return {"speech_token_ids": ids, "speech_token_lengths": lengths}
