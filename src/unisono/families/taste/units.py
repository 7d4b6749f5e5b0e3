"""The published unit decoder: units one after the other, conditioned on text, speech vectors and speaker (spec 1.4).

Axes: B batch, A text tokens, S units, P = A + 3 + S positions, H width, V units of the vocabulary (V is the end).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from unisono.families.taste.conditions import IGNORED, UnitConditions, UnitDraws, UnitLoss, UnitSampling
from unisono.families.taste.config import UnitDecoderSizes
from unisono.families.taste.relative import StackState


class UnitStep(NamedTuple):
    """What an observer sees of a step: log-probabilities [V + 1], the candidates and theirs [k], which was chosen."""

    logp: torch.Tensor
    candidates: torch.Tensor
    probabilities: torch.Tensor
    chosen: int


class AutoregressiveUnits(UnitConditions):
    """`conditions.UnitDecoder` as published: a causal language model over units."""

    def __init__(self, sizes: UnitDecoderSizes) -> None:
        super().__init__(sizes, causal=True)
        self.speech_embedding = nn.Embedding(sizes.speech_token_size, sizes.llm_input_size)
        self.llm_decoder = nn.Linear(sizes.llm_output_size, sizes.speech_token_size + 1)

    def lay_out(
        self,
        condition: torch.Tensor,
        text_lengths: torch.Tensor,
        speaker: torch.Tensor,
        units: torch.Tensor,
        unit_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs [B, P, H], padded with −1 as published, and labels int64 [B, P].

        Args:
            condition: [B, A, H]. speaker: projected [B, 1, H]. units: int64 [B, S]. Lengths: int64 [B].
        """
        rows, labels = [], []
        for row, (text, count) in enumerate(zip(text_lengths.tolist(), unit_lengths.tolist(), strict=True)):
            said = units[row, :count]
            rows.append(torch.cat([self.head_of(condition[row, :text], speaker[row]), self.speech_embedding(said)]))
            labels.append(functional.pad(said, (0, 1), value=self.end))
            labels[-1] = functional.pad(labels[-1], (text + 2, 0), value=IGNORED)
        inputs = pad_sequence(rows, batch_first=True, padding_value=float(IGNORED))
        return inputs, pad_sequence(labels, batch_first=True, padding_value=IGNORED)

    def forward(
        self,
        text_ids: torch.Tensor,
        text_lengths: torch.Tensor,
        speaker: torch.Tensor,
        embeds: torch.Tensor | None,
        units: torch.Tensor,
        unit_lengths: torch.Tensor,
    ) -> UnitLoss:
        """As `UnitDecoder.__call__`: mean cross-entropy of all units and ends."""
        condition = self.condition(text_ids, embeds, text_lengths)
        inputs, labels = self.lay_out(condition, text_lengths, self.project_speaker(speaker), units, unit_lengths)
        logits = self.llm_decoder(self.llm(inputs))
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        return UnitLoss(loss, logits, labels)

    @torch.no_grad()
    def decode(
        self,
        text_ids: torch.Tensor,
        text_lengths: torch.Tensor,
        speaker: torch.Tensor,
        embeds: torch.Tensor | None,
        draws: UnitDraws,
        sampling: UnitSampling | None = None,
        observer: Callable[[UnitStep], None] | None = None,
    ) -> list[torch.Tensor]:
        """As `UnitDecoder.decode`; row after row, so that a row is what it would be alone."""
        sampling = sampling or UnitSampling()
        made = []
        for row, text in enumerate(text_lengths.tolist()):
            vectors = None if embeds is None else embeds[row : row + 1, :text]
            condition = self.condition(text_ids[row : row + 1, :text], vectors)
            head = self.head_of(condition[0], self.project_speaker(speaker[row : row + 1])[0])
            steps = self._steps(head[None], sampling, lambda weights, row=row: draws.unit(row, weights))
            units = []
            for step in steps:
                if observer is not None:
                    observer(step)
                units.append(step.chosen)
            made.append(torch.tensor([unit for unit in units if unit != self.end], dtype=torch.int64))
        return made

    def _steps(
        self, head: torch.Tensor, sampling: UnitSampling, draw: Callable[[torch.Tensor], int]
    ) -> Iterator[UnitStep]:
        """Units until the end.

        Before the least number of units the end is not among what is drawn from, which is in law the same as drawing
        until it is not the end, and cannot go on for ever (spec section 7.12).
        """
        positions = head.shape[1]
        least, most = int(positions * sampling.least), int(positions * sampling.most)
        if sampling.length is not None:
            least = most = sampling.length
        state, inputs = StackState(), head
        for index in range(most):
            hidden = self.llm(inputs, state=state)[:, -1]
            logp = (self.llm_decoder(hidden)[0] / sampling.temperature).log_softmax(-1)
            probabilities, candidates = logp.exp().topk(min(sampling.top_k or len(logp), len(logp)))
            weights = torch.zeros_like(logp).scatter(0, candidates, probabilities)
            if index < least:
                weights[self.end] = 0
            chosen = draw(weights)
            yield UnitStep(logp, candidates, probabilities, chosen)
            if chosen == self.end:
                return
            inputs = self.speech_embedding.weight[chosen][None, None]
