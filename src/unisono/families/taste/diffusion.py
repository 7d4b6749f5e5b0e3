"""The masked-diffusion unit decoder: all units at once, in a few passes (arXiv 2509.20060, as far as it is public).

Axes: B batch, A text tokens, S units, C canvas positions, P = A + 3 + C, H width, V units of the vocabulary; V itself
fills the canvas behind the speech, so that a canvas that is too long does no harm.
What the paper leaves open is chosen here: the canvas follows the conditions in one sequence with relative positions and
full attention; how many units a text gets is the sum of one positive number per token, which also says which token each
canvas position most likely belongs to (that token's condition is added to it).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from unisono.families.taste.canvas import CanvasTrunk, UnitDigits, within_tokens
from unisono.families.taste.conditions import IGNORED, UnitConditions, UnitDraws, UnitLoss, UnitSampling
from unisono.families.taste.config import UnitDecoderSizes
from unisono.lm.absorbing import HIDDEN, Finding, bound, find, hide

LENGTH_WEIGHT = 0.1  # of the loss on the number of units
MARGIN = 1.1  # a predicted canvas is this much longer than predicted, at most what training has seen


class Conditioned(NamedTuple):
    """What the passes share: heads [A_b + 3, H] and conditions [A_b, H] of each row, units of each token [A_b]."""

    heads: list[torch.Tensor]
    conditions: list[torch.Tensor]
    durations: list[torch.Tensor]


class MaskedDiffusionUnits(UnitConditions):
    """`conditions.UnitDecoder` that finds hidden units; the parts it shares with the published one have its names."""

    def __init__(self, sizes: UnitDecoderSizes) -> None:
        super().__init__(sizes, causal=False)
        width = sizes.llm_input_size
        self.speech_embedding = nn.Embedding(sizes.speech_token_size + 2, width)  # units, end, hidden
        self.place_affine_layer = nn.Linear(width, width)
        self.length_layer = nn.Linear(width, 1)
        self.llm_decoder = nn.Linear(sizes.llm_output_size, sizes.speech_token_size + 1)
        nn.init.constant_(self.length_layer.bias, 3.0)
        blocks, digits = sizes.diffusion_blocks, sizes.diffusion_digits
        self.trunk = CanvasTrunk(width, sizes.diffusion_inner, blocks) if blocks else None
        self.digits = UnitDigits(digits, self.end, width, sizes.llm_output_size) if digits else None

    def forward(
        self,
        text_ids: torch.Tensor,
        text_lengths: torch.Tensor,
        speaker: torch.Tensor,
        embeds: torch.Tensor | None,
        units: torch.Tensor,
        unit_lengths: torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> UnitLoss:
        """As `UnitDecoder.__call__`: the bound per unit, and the error of the length's logarithm."""
        given = self._conditioned(text_ids, text_lengths, speaker, embeds)
        canvas, sizes = self._canvas(units, unit_lengths, generator)
        shown, times = hide(canvas, sizes, generator)
        logits = self._logits(given, shown, sizes, unit_lengths.tolist())
        nats = bound(logits, canvas, shown, times)
        predicted = torch.stack([tokens.sum() for tokens in given.durations])
        length_loss = (predicted.log() - unit_lengths.to(predicted).clamp_min(1).log()).abs().mean()
        labels = canvas.masked_fill(shown != HIDDEN, IGNORED)
        return UnitLoss(nats.sum() / sizes.sum() + LENGTH_WEIGHT * length_loss, logits, labels)

    @torch.no_grad()
    def decode(
        self,
        text_ids: torch.Tensor,
        text_lengths: torch.Tensor,
        speaker: torch.Tensor,
        embeds: torch.Tensor | None,
        draws: UnitDraws,
        sampling: UnitSampling | None = None,
    ) -> list[torch.Tensor]:
        """As `UnitDecoder.decode`; with `sampling.length` the canvas has that length, else a little over the
        predicted one."""
        sampling = sampling or UnitSampling()
        given = self._conditioned(text_ids, text_lengths, speaker, embeds)
        wanted = [max(1, round(float(tokens.sum()))) for tokens in given.durations]
        if sampling.length is None:
            margin = min(MARGIN, 1 + self.sizes.diffusion_overshoot)
            canvas = [-int(-count * margin // 1) for count in wanted]
        else:
            canvas = wanted = [sampling.length] * len(wanted)
        finding = Finding(
            sampling.steps, sampling.order, "linear", sampling.temperature, sampling.top_k, sampling.top_p
        )
        sizes = torch.tensor(canvas)
        found = find(lambda shown: self._logits(given, shown, sizes, wanted), canvas, draws.generators, finding)
        return [_speech(row[:count], self.end) for row, count in zip(found, canvas, strict=True)]

    def predict_lengths(
        self, text_ids: torch.Tensor, text_lengths: torch.Tensor, embeds: torch.Tensor | None
    ) -> list[torch.Tensor]:
        """Units that each token of each row is expected to take: B tensors [A_b]."""
        condition = self.condition(text_ids, embeds, text_lengths)
        every = functional.softplus(self.length_layer(condition))[..., 0]
        return [row[:length] for row, length in zip(every, text_lengths.tolist(), strict=True)]

    def _conditioned(
        self, text_ids: torch.Tensor, text_lengths: torch.Tensor, speaker: torch.Tensor, embeds: torch.Tensor | None
    ) -> Conditioned:
        """Everything about the rows that does not depend on their units."""
        condition = self.condition(text_ids, embeds, text_lengths)
        projected = self.project_speaker(speaker)
        every = functional.softplus(self.length_layer(condition))[..., 0]
        counts = text_lengths.tolist()
        rows = [condition[row, :count] for row, count in enumerate(counts)]
        heads = [self.head_of(row, projected[index]) for index, row in enumerate(rows)]
        return Conditioned(heads, rows, [every[row, :count] for row, count in enumerate(counts)])

    def _canvas(
        self, units: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Units [B, C] with ends behind them, at random up to the share that `diffusion_overshoot` says, and C_b."""
        extra = torch.rand(len(units), generator=generator) * self.sizes.diffusion_overshoot
        sizes = lengths + (extra.to(lengths.device) * lengths).long()
        canvas = functional.pad(units, (0, max(0, int(sizes.max()) - units.shape[1])), value=self.end)
        canvas = canvas[:, : int(sizes.max())]
        behind = torch.arange(canvas.shape[1], device=units.device) >= lengths[:, None]
        return canvas.masked_fill(behind, self.end), sizes

    def _logits(self, given: Conditioned, shown: torch.Tensor, sizes: torch.Tensor, wanted: list[int]) -> torch.Tensor:
        """One pass: canvas int64 [B, C] with HIDDEN -> logits [B, C, V + 1].

        Args:
            sizes: canvas positions of each row [B]. wanted: units of each row, over which its tokens are spread.
        """
        ids = shown.masked_fill(shown == HIDDEN, self.end + 1).to(self.llm_embedding.weight.device)
        vectors, canvases, places = self._vectors(), [], []
        for row, size in enumerate(sizes.tolist()):
            token, place = within_tokens(given.durations[row], wanted[row], size)
            told = self.place_affine_layer(given.conditions[row])[token]
            canvases.append(functional.embedding(ids[row, :size], vectors) + told)
            places.append(place)
        if self.trunk is not None:
            canvases = self.trunk(canvases, places)
        rows = [torch.cat([head, canvas]) for head, canvas in zip(given.heads, canvases, strict=True)]
        lengths = torch.tensor([len(row) for row in rows], device=ids.device)
        hidden = self.llm(pad_sequence(rows, batch_first=True), lengths)
        picked = [
            hidden[row, len(head) : len(head) + size]
            for row, (head, size) in enumerate(zip(given.heads, sizes.tolist(), strict=True))
        ]
        made = self._decoded(pad_sequence(picked, batch_first=True))
        return functional.pad(made, (0, 0, 0, shown.shape[1] - made.shape[1]))

    def _vectors(self) -> torch.Tensor:
        """What units, end and hidden enter as: [V + 2, H]."""
        vectors = self.speech_embedding.weight
        return vectors if self.digits is None else vectors + functional.pad(self.digits.vectors(), (0, 0, 0, 2))

    def _decoded(self, hidden: torch.Tensor) -> torch.Tensor:
        """[B, C, H] -> logits [B, C, V + 1]."""
        logits = self.llm_decoder(hidden)
        return logits if self.digits is None else logits + functional.pad(self.digits.logits(hidden), (0, 1))


def _speech(canvas: torch.Tensor, end: int) -> torch.Tensor:
    """The units before the first end."""
    ends = (canvas == end).nonzero()
    return canvas[: int(ends[0])] if len(ends) else canvas
