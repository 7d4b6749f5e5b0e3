"""Drafted tokens, accepted or replaced so that the distribution is kept: of single tokens, or of groups of them.

A drafter proposes several tokens, the model looks at all of them in one pass, and each is kept with the chance
min(1, P / Q). With single tokens this is exact (speculative sampling, arXiv 2211.17192). With groups of tokens that
sound alike, P and Q are those of the token's group (principled coarse-graining): the distribution of groups is kept,
but within a group the drafter's token stands. That is an approximation, and whoever asks for it is told so.

Axes: V vocabulary, k drafted tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch


class Draft(NamedTuple):
    """Proposed tokens and the distributions [k, V] they were drawn from; None = they were certain to be proposed."""

    tokens: list[int]
    chances: torch.Tensor | None = None


@dataclass
class Tally:
    """How a generation went: passes of the model, tokens drafted, tokens of those that were kept."""

    passes: int = 0
    drafted: int = 0
    kept: int = 0


Drafter = Callable[[Sequence[int]], Draft]
Model = Callable[[Sequence[int], int], torch.Tensor]


def sum_groups(chances: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Chance of each group [G] from chances [V] and the group of each token [V]."""
    return torch.zeros(int(groups.max()) + 1, dtype=chances.dtype).index_add_(0, groups, chances)


def accept(
    token: int,
    wanted: torch.Tensor,
    proposed: torch.Tensor | None,
    groups: torch.Tensor,
    generator: torch.Generator,
) -> tuple[bool, int]:
    """Keep a drafted token, or draw another in its place.

    Args:
        token: drafted. wanted: the model's chances [V]. proposed: the drafter's [V]; None = one for this token.
        groups: group of each token [V]; `arange(V)` makes the result exact.

    Returns:
        whether the drafted token was kept, and the token that stands.
    """
    if proposed is None:
        proposed = torch.zeros_like(wanted)
        proposed[token] = 1.0
    model, drafter = sum_groups(wanted, groups), sum_groups(proposed, groups)
    group = groups[token]
    if torch.rand((), generator=generator, dtype=wanted.dtype) * drafter[group] < model[group]:
        return True, token
    left = (model - drafter).clamp_min(0)  # of each group; its tokens share it as the model would
    rest = wanted * (left / model.clamp_min(torch.finfo(model.dtype).tiny))[groups]
    return False, int(torch.multinomial(rest, 1, generator=generator))


def speculate(
    model: Model,
    drafter: Drafter,
    prompt: Sequence[int],
    *,
    length: int,
    end: int,
    groups: torch.Tensor,
    generator: torch.Generator,
) -> tuple[list[int], Tally]:
    """Generate with drafted tokens.

    Args:
        model: (ids, n) -> chances [n + 1, V] of what follows each of the last n + 1 beginnings of `ids`, whose last n
            tokens are drafted.
        drafter: ids -> the tokens it expects next, maybe none.
        length: at most so many new tokens. end: token after which nothing follows.
        groups: as in `accept`.

    Returns:
        the new tokens, with `end` if it came, and how it went.
    """
    ids, made, tally = list(prompt), [], Tally()
    while len(made) < length and end not in made[-1:]:
        draft = drafter(ids)
        tokens = draft.tokens[: length - len(made) - 1]
        chances = model([*ids, *tokens], len(tokens))
        tally.passes += 1
        tally.drafted += len(tokens)
        new = _verified(tokens, draft.chances, chances, end, groups, generator, tally)
        ids += new
        made += new
    return made, tally


def _verified(
    tokens: Sequence[int],
    proposed: torch.Tensor | None,
    wanted: torch.Tensor,
    end: int,
    groups: torch.Tensor,
    generator: torch.Generator,
    tally: Tally,
) -> list[int]:
    """Drafted tokens up to the first that is replaced; one more of the model's own where all were kept."""
    new: list[int] = []
    for place, token in enumerate(tokens):
        kept, stands = accept(token, wanted[place], None if proposed is None else proposed[place], groups, generator)
        new.append(stands)
        tally.kept += kept
        if not kept or stands == end:
            return new
    return [*new, int(torch.multinomial(wanted[len(tokens)], 1, generator=generator))]


def look_up(ids: Sequence[int], count: int, longest: int = 3) -> Draft:
    """What followed the last time the latest tokens stood in `ids` (prompt lookup), at most `count` tokens."""
    for size in range(min(longest, len(ids) - 1), 0, -1):
        tail = list(ids[-size:])
        for start in range(len(ids) - size - 1, -1, -1):
            if list(ids[start : start + size]) == tail:
                return Draft(list(ids[start + size : start + size + count]))
    return Draft([])
