"""Text-aligned editing: the speech of single words from another reading of the same text (spec section 4.3).

Axes: A tokens, Q codes. Only the exchanged words change how they are said and how long they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from unisono.errors import InputError
from unisono.interface import AlignedTokens


def swap_words(
    ours: AlignedTokens, theirs: AlignedTokens, words: Sequence[int], word_ids: torch.Tensor
) -> AlignedTokens:
    """Our reading, with the codes of some words taken from theirs.

    Args:
        words: numbers of words from 0. word_ids: int64 [A], the word of each token.

    Raises:
        InputError: readings of different texts or models, without codes, or a word that is not there.
    """
    if ours.codes is None or theirs.codes is None:
        raise InputError("words can be exchanged between token files with codes only, such as TASTE's")
    if ours.model != theirs.model or ours.codes.shape[1] != theirs.codes.shape[1]:
        raise InputError(f"the readings come from {ours.model} and {theirs.model}: encode both with the same model")
    if not torch.equal(ours.text_ids, theirs.text_ids):
        raise InputError("the readings have different texts: words can be exchanged between readings of one text only")
    count = int(word_ids.max()) + 1
    if wrong := [word for word in words if not 0 <= word < count]:
        raise InputError(f"there is no word {wrong[0]}: the text has {count} words, numbered from 0")
    chosen = torch.isin(word_ids.cpu(), torch.tensor(list(words), dtype=torch.int64))
    codes = torch.where(chosen[:, None], theirs.codes, ours.codes)
    gained = _length(theirs, chosen) - _length(ours, chosen)
    frames = max(ours.frames + gained, len(ours.text_ids))
    samples = round(frames * ours.samples / ours.frames)
    return replace(ours, codes=codes, frames=frames, samples=samples, positions=_shifted(ours, theirs, chosen))


def _gaps(tokens: AlignedTokens) -> torch.Tensor:
    """Frames from the mark before to each mark, int64 [A]."""
    return tokens.positions.diff(prepend=tokens.positions.new_zeros(1))


def _length(tokens: AlignedTokens, chosen: torch.Tensor) -> int:
    """Frames that lead to the chosen tokens."""
    return int(_gaps(tokens)[chosen].sum())


def _shifted(ours: AlignedTokens, theirs: AlignedTokens, chosen: torch.Tensor) -> torch.Tensor:
    """Our marks, with the gaps of the chosen tokens from theirs."""
    return torch.where(chosen, _gaps(theirs), _gaps(ours)).cumsum(0)
