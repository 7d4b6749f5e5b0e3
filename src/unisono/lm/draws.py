"""Where randomness comes from: every row of a batch has its own generator, so a row is what it would be alone.

Axes: B rows, K candidates, A acoustic width, Y = 2b duration bits, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch


class Draws(Protocol):
    """A source of draws; tests give recorded ones."""

    def noise(self, acoustic: int, bits: int, candidates: int) -> torch.Tensor:
        """Standard normal float32 [K·B, A + Y] on the CPU, candidate-major."""
        ...

    def token(self, probabilities: torch.Tensor) -> torch.Tensor:
        """One id per row, int64 [B], from probabilities [B, V]."""
        ...


class GeneratorDraws:
    """Draws from one CPU generator per row; None stands for torch's default generator.

    The order is the published one (spec section 11): one candidate draws the acoustic part and then the bits, several
    draw everything at once.
    """

    def __init__(self, generators: Sequence[torch.Generator | None]) -> None:
        self.generators = tuple(generators)

    @classmethod
    def seeded(cls, seeds: Sequence[int]) -> GeneratorDraws:
        """One fresh generator per seed."""
        return cls([torch.Generator().manual_seed(seed) for seed in seeds])

    def copy(self) -> GeneratorDraws:
        """Draws that go on as these would."""
        copied = [None if own is None else torch.Generator().set_state(own.get_state()) for own in self.generators]
        return GeneratorDraws(copied)

    def noise(self, acoustic: int, bits: int, candidates: int) -> torch.Tensor:
        """As `Draws.noise`."""
        if candidates > 1:
            rows = [torch.randn(candidates, acoustic + bits, generator=generator) for generator in self.generators]
            return torch.stack(rows, 1).flatten(0, 1)
        rows = []
        for generator in self.generators:
            parts = (torch.randn(1, acoustic, generator=generator), torch.randn(1, bits, generator=generator))
            rows.append(torch.cat(parts, -1))
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def token(self, probabilities: torch.Tensor) -> torch.Tensor:
        """As `Draws.token`."""
        rows = probabilities.float().cpu()
        drawn = [
            torch.multinomial(row, 1, generator=generator) for row, generator in zip(rows, self.generators, strict=True)
        ]
        return torch.cat(drawn).to(probabilities.device)
