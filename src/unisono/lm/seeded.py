"""Sampling of token ids that belongs to a row: the noise of a step follows from the row's key and the step alone.

A draw from a distribution is the argmax of its logits plus Gumbel noise. Because the noise does not depend on what was
drawn before, nor on who shares the batch, a row comes out the same alone or in a batch, with a cache or without, in one
call or in several, and with drafted tokens that are only verified (`generate(prompt_lookup_num_tokens=...)` compares
argmaxes, so that drafting keeps the very tokens, and with them the distribution).

The classes are logits processors of transformers, to be used with `do_sample=False`.

Axes: R rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import torch

Key = tuple[int, ...]  # such as (seed, piece of the text, draw)


def seed_of(*key: int) -> int:
    """A seed for torch from numbers; neighbouring numbers give seeds that have nothing to do with each other."""
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1


def noise(key: Key, step: int, size: int) -> torch.Tensor:
    """Gumbel noise float32 [size] of one step of one row."""
    generator = torch.Generator().manual_seed(seed_of(*key, step))
    return -torch.empty(size).exponential_(generator=generator).log()


class OnlyThese:
    """Forbids all ids but some."""

    def __init__(self, allowed: torch.Tensor) -> None:
        """`allowed` is bool [V]; ids beyond it are forbidden too."""
        self.allowed = allowed

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [R, V] with -inf at forbidden ids."""
        allowed = torch.zeros(scores.shape[-1], dtype=torch.bool, device=scores.device)
        allowed[: len(self.allowed)] = self.allowed.to(scores.device)
        return scores.masked_fill(~allowed, -torch.inf)


class NotBefore:
    """Forbids an id, in every `each`-th row, until so many steps are done."""

    def __init__(self, index: int, start: int, steps: Sequence[int], each: int = 1) -> None:
        """`steps` [R / each] are those of each row; `start` is how many ids a row has at step 0, padding counted."""
        self.index, self.start, self.steps, self.each = index, start, list(steps), each

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [R, V], with -inf at the id of rows for which it is too early."""
        step = input_ids.shape[-1] - self.start
        early = [row * self.each for row, least in enumerate(self.steps) if step < least]
        if early:
            scores = scores.clone()
            scores[early, self.index] = -torch.inf
        return scores


class SeededChoice:
    """Adds the noise of the step to the scores of each row, so that their argmax is a draw."""

    def __init__(self, keys: Sequence[Key], start: int) -> None:
        """`keys` are those of the R rows; `start` is how many ids a row has at step 0, padding counted."""
        self.keys, self.start = keys, start

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores [R, V] plus noise."""
        step = input_ids.shape[-1] - self.start
        drawn = torch.stack([noise(key, step, scores.shape[-1]) for key in self.keys])
        return scores + drawn.to(scores)
