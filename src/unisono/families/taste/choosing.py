"""Drawing the next text token and codes (spec section 4.2). Axes: V vocabulary, Q codes, K entries, n ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from unisono.families.taste.conditions import SeededDraws, UnitDraws
from unisono.lm.sampling import penalise

REMOVED = -100000.0  # what published samplers put in place of a removed logit


@dataclass(frozen=True)
class Choosing:
    """How text and codes are drawn.

    Attributes:
        text_top_p, taste_top_p: probability mass to draw from; 0 takes the likeliest.
        repetition_penalty: on what top-p has left over; 1 leaves all as it is; nothing where the likeliest is taken.
        text_temperature: divides what is left after both.
    """

    text_top_p: float = 0.0
    taste_top_p: float = 0.0
    text_temperature: float = 1.0
    repetition_penalty: float = 1.0


class Draws(Protocol):
    """Where the randomness of a completion comes from."""

    def text(self, probabilities: torch.Tensor) -> int:
        """An id from probabilities [V]."""
        ...

    def codes(self, probabilities: torch.Tensor) -> torch.Tensor:
        """int64 [Q] from probabilities [Q, K]."""
        ...

    @property
    def units(self) -> UnitDraws:
        """For the unit decoder."""
        ...


class GeneratorDraws:
    """All draws of one completion from one seed."""

    def __init__(self, seed: int) -> None:
        self.units = SeededDraws([seed])
        self.generator = torch.Generator().manual_seed(seed)

    def text(self, probabilities: torch.Tensor) -> int:
        """As `Draws.text`."""
        return int(torch.multinomial(probabilities.float().cpu(), 1, generator=self.generator))

    def codes(self, probabilities: torch.Tensor) -> torch.Tensor:
        """As `Draws.codes`."""
        drawn = torch.multinomial(probabilities.float().cpu(), 1, generator=self.generator)
        return drawn[:, 0].to(probabilities.device)


def keep_mass(logits: torch.Tensor, mass: float) -> torch.Tensor:
    """Keep the likeliest entries whose masses sum to at most `mass`, at least one: [.., n] -> [.., n].

    Stricter than the usual top-p, which also keeps the entry that crosses the border.
    """
    ordered, order = logits.sort(-1, descending=True)
    beyond = ordered.softmax(-1).cumsum(-1) > mass
    beyond[..., 0] = False
    return logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), REMOVED)


def choose_text(
    logits: torch.Tensor, banned: torch.Tensor, said: Sequence[int], how: Choosing, draws: Draws
) -> tuple[int, torch.Tensor | None]:
    """The next text id, and the probabilities [V] it was drawn from (None where the likeliest was taken).

    Args:
        logits: [V]. banned: bool [V]. said: ids so far; each is penalised once.
    """
    scores = logits.float().masked_fill(banned, REMOVED)
    if how.text_top_p <= 0:
        return int(scores.argmax()), None
    scores = keep_mass(scores, how.text_top_p)
    if len(said):  # the published order: what top-p has removed stays removed, whatever the penalty says
        scores = penalise(scores[None], torch.tensor(list(said), device=scores.device)[None], how.repetition_penalty)[0]
    probabilities = (scores / how.text_temperature).softmax(-1)
    return draws.text(probabilities), probabilities


def choose_codes(logits: torch.Tensor, how: Choosing, draws: Draws) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Codes int64 [Q] from logits [Q, K] of TASLM-tok, and the probabilities [Q, K] they were drawn from."""
    if how.taste_top_p <= 0:
        return logits.argmax(-1), None
    probabilities = keep_mass(logits.float(), how.taste_top_p).softmax(-1)
    return draws.codes(probabilities), probabilities
