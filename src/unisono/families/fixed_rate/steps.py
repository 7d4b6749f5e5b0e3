"""Steps of a search (`speak.search`): what is drawn next differs, what was drawn stays.

In both spaces the path of draws 0 is what the model says without a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from unisono.families.fixed_rate.options import CodeOptions
from unisono.families.fixed_rate.pieces import Piece, in_the_voice_of
from unisono.interface import Speech
from unisono.lm.seeded import Key

if TYPE_CHECKING:
    from unisono.families.fixed_rate.speech import FixedRateSpeech

Path = tuple[int, ...]


class Steps:
    """What the steps of all fixed-rate models have in common.

    Attributes:
        calls: how often the model was asked to speak on.
    """

    def __init__(
        self, model: FixedRateSpeech, text: str, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions
    ) -> None:
        self.model, self.text, self.pieces, self.keys, self.options = model, text, pieces, keys, options
        self.calls = 0

    def plain(self) -> None:
        """The speech without a search is the path of draws 0."""

    def key(self, number: int, draw: int) -> Key:
        """Of the noise of a piece of the text."""
        return (*self.keys[number][:-1], draw)

    def piece(self, number: int, first: torch.Tensor) -> Piece:
        """A piece as it is spoken behind the first one, whose codes [T, Q] are drawn."""
        pieces = self.pieces
        return in_the_voice_of(pieces[0], first, pieces[number], self.model.engine) if number else pieces[0]

    def spoken(self, codes: Sequence[torch.Tensor]) -> Speech:
        """The speech of the first pieces, whose codes [T, Q] are these."""
        begun = [(self.piece(number, codes[0]), drawn) for number, drawn in enumerate(codes) if len(drawn)]
        if not begun:
            return Speech(np.zeros(0, np.float32), self.model.sample_rate, self.text, [], [])
        return self.model.speak_codes(self.text, *zip(*begun, strict=True))


class WindowSteps(Steps):
    """Every step draws at most a window of codes of the piece at hand, with the noise of its draw's number."""

    def __init__(
        self, model: FixedRateSpeech, text: str, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions
    ) -> None:
        super().__init__(model, text, pieces, keys, options)
        self.made: dict[Path, list[list[int]]] = {(): [[]]}  # ids of each piece that is begun
        self.whole: set[Path] = set()

    def extend(self, path: Path) -> None:
        """Draw the last step of a path."""
        ids = [list(piece) for piece in self.made[path[:-1]]]
        number = len(ids) - 1
        engine, key = self.model.engine, self.key(number, path[-1])
        piece = self.piece(number, engine.as_codes(ids[0]))
        new, ended = engine.extend(piece, ids[-1], self.model.window.size, key, self.options)
        self.calls += 1
        ids[-1] += new
        if ended and number + 1 < len(self.pieces):
            ids.append([])
        elif ended:
            self.whole.add(path)
        self.made[path] = ids

    def finished(self, path: Path) -> bool:
        """Whether all pieces are at their ends."""
        return path in self.whole

    def speech(self, path: Path) -> Speech:
        """The sound of what is drawn."""
        return self.spoken([self.model.engine.as_codes(ids) for ids in self.made[path]])


class PieceSteps(Steps):
    """Every step draws all codes of the next piece, which depend on those of the first one alone."""

    def __init__(
        self, model: FixedRateSpeech, text: str, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions
    ) -> None:
        super().__init__(model, text, pieces, keys, options)
        self.made: dict[tuple[int, int, int], torch.Tensor] = {}  # by piece, draw of the first one, and draw

    def extend(self, path: Path) -> None:
        """Draw the last step of a path."""
        number = len(path) - 1
        if (which := (number, path[0], path[-1])) not in self.made:
            self.calls += 1
            piece = self.piece(number, self.made[0, path[0], path[0]]) if number else self.pieces[0]
            blocks = self.model.engine.codes(piece, self.key(number, path[-1]), self.options)
            self.made[which] = torch.cat(list(blocks))

    def finished(self, path: Path) -> bool:
        """Whether all pieces are drawn."""
        return len(path) == len(self.pieces)

    def speech(self, path: Path) -> Speech:
        """The sound of what is drawn."""
        return self.spoken([self.made[number, path[0], draw] for number, draw in enumerate(path)])
