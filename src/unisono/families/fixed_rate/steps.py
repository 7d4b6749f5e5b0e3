"""Windows of codes as the steps of a search (`speak.search`): what is drawn next differs, what was drawn stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unisono.families.fixed_rate.options import CodeOptions
from unisono.interface import Speech
from unisono.lm.seeded import Key

if TYPE_CHECKING:
    from unisono.families.fixed_rate.speech import FixedRateSpeech, Piece

Path = tuple[int, ...]


class CodeSpace:
    """Every step draws at most a window of codes of the piece at hand, with the noise of its draw's number.

    The path of draws 0 is what the model says without a search.
    """

    def __init__(
        self, model: FixedRateSpeech, text: str, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions
    ) -> None:
        self.model, self.text, self.pieces, self.keys, self.options = model, text, pieces, keys, options
        self.made: dict[Path, list[list[int]]] = {(): [[]]}  # ids of each piece that is begun
        self.whole: set[Path] = set()

    def extend(self, path: Path) -> None:
        """Draw the last step of a path."""
        ids = [list(piece) for piece in self.made[path[:-1]]]
        number = len(ids) - 1
        key = (*self.keys[number][:-1], path[-1])
        new, ended = self.model.engine.extend(self.pieces[number], ids[-1], self.model.window.size, key, self.options)
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
        codes = [self.model.engine.as_codes(ids) for ids in self.made[path]]
        begun = self.pieces[: len(codes)]
        spoken = [(piece, drawn) for piece, drawn in zip(begun, codes, strict=True) if len(drawn)]
        if not spoken:
            return Speech(np.zeros(0, np.float32), self.model.sample_rate, self.text, [], [])
        return self.model.speak_codes(self.text, *zip(*spoken, strict=True))
