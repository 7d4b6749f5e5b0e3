"""Where text and codes of an utterance stand in the language model's input and labels (spec section 2).

Axes: B batch, A tokens of the recogniser, T of the language model, W words, Q codes, P = T + delay + 1 positions.
Control flow over words is lists and small integer tensors; no model is needed to test it. Index −1 means "nothing".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

NOTHING = -1


class Streams(NamedTuple):
    """Which code row stands where for one utterance.

    heard: int64 [P − 1], row of `codes` [T, Q] whose vector is mixed into each position after the start; −1 = the pad
        vector. labels: int64 [P], row whose codes are to be predicted there; −1 = none.
    """

    heard: torch.Tensor
    labels: torch.Tensor


def first_of_words(word_ids: torch.Tensor) -> torch.Tensor:
    """bool [T]: the first token of each word; a word is a run of equal ids."""
    return functional.pad(word_ids.diff() != 0, (1, 0), value=True)


def lay_codes(word_ids: torch.Tensor, delay: int, level: str) -> Streams:
    """Code rows of one utterance in time.

    With level "word" a position shows the codes of the word `delay` words before its own, and the state at the last
    token of a word predicts them; the codes of the last words follow the text. With W ≤ delay the same rule leaves the
    first of those positions empty. With level "token" rows move by `delay` tokens. Without delay nothing follows.

    Args:
        word_ids: int64 [T]; codes are those at the first token of each word.
    """
    firsts = first_of_words(word_ids)
    starts = firsts.nonzero().flatten()  # [W], rows that hold codes
    count, tokens = len(starts), len(word_ids)
    if level == "token" and delay:
        filled = starts[firsts.long().cumsum(0) - 1]
        rows = torch.where(firsts, torch.arange(tokens), NOTHING)
        shift = torch.full((delay,), NOTHING)
        return Streams(torch.cat([shift, filled]), torch.cat([shift, rows, shift[:1]]))
    words = firsts.long().cumsum(0) - 1  # [T], number of the word each token belongs to
    if delay == 0:
        return Streams(starts[words][:-1], torch.where(firsts, torch.arange(tokens), NOTHING))
    shown = torch.cat([words - delay, torch.arange(count - delay, count)])  # [T + delay], word numbers
    heard = torch.where(shown >= 0, starts[shown.clamp_min(0)], NOTHING)
    new = torch.cat([firsts, torch.ones(delay, dtype=torch.bool)])
    labels = torch.where(new, heard, NOTHING)
    return Streams(heard, functional.pad(labels, (0, 1), value=NOTHING))


def fill_forward(codes: torch.Tensor) -> torch.Tensor:
    """Code rows [T, Q] with every −1 row replaced by the last row before it that is none."""
    there = (codes != NOTHING).all(-1)
    last = torch.where(there, torch.arange(len(codes)), NOTHING).cummax(0).values
    return torch.where(last[:, None] >= 0, codes[last.clamp_min(0)], NOTHING)


def word_matrix(heard_words: torch.Tensor, heard_length: int, word_ids: torch.Tensor, length: int) -> torch.Tensor:
    """float [T, A]: 1 where token t is the first of its word, and a the recogniser's first of the same word.

    Args:
        heard_words: int64 [A]. word_ids: int64 [T]. Beyond the lengths nothing counts, whatever ids stand there.
    """
    firsts = first_of_words(word_ids) & (torch.arange(len(word_ids)) < length)
    heard = first_of_words(heard_words) & (torch.arange(len(heard_words)) < heard_length)
    same = word_ids[:, None] == heard_words
    return (same & firsts[:, None] & heard).float()


def codes_to_words(
    codes: torch.Tensor,
    heard_words: torch.Tensor,
    heard_lengths: torch.Tensor,
    word_ids: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    """Codes at the recogniser's tokens -> codes at the first token of each word of the language model (`extract_vq`).

    Args:
        codes: int64 [B, A, Q]. heard_words: int64 [B, A]. word_ids: int64 [B, T]. Lengths: int64 [B].

    Returns:
        int64 [B, T, Q]; −1 at all other tokens, and at words that the recogniser has not got.
    """
    rows = []
    for row in range(len(codes)):
        matrix = word_matrix(heard_words[row], int(heard_lengths[row]), word_ids[row], int(lengths[row]))
        found = codes[row][matrix.argmax(-1)]
        rows.append(torch.where(matrix.any(-1)[:, None], found, NOTHING))
    return torch.stack(rows)


def codes_at_tokens(rows: torch.Tensor, heard_words: torch.Tensor) -> torch.Tensor:
    """Codes of words, in order and with rows of −1 between, at the recogniser's tokens of these words.

    Args:
        rows: int64 [n, Q]. heard_words: int64 [A], word numbers from 0.

    Returns:
        int64 [A, Q].

    Raises:
        ValueError: more words than codes.
    """
    words = rows[(rows != NOTHING).all(-1)]
    if len(heard_words) and int(heard_words.max()) >= len(words):
        raise ValueError(f"{int(heard_words.max()) + 1} words, but codes of {len(words)}")
    return words[heard_words]


def text_labels(ids: torch.Tensor, lengths: torch.Tensor, delay: int, published: bool = False) -> torch.Tensor:
    """Labels of the text, int64 [B, T + delay + 1]: token p at position p, −1 behind the text.

    Args:
        ids: int64 [B, T]. lengths: int64 [B].
        published: give shorter rows the padding's id on up to delay + 1 positions behind their text, as the published
            training did (spec section 7.1).
    """
    places = torch.arange(ids.shape[1] + delay + 1)
    wide = functional.pad(ids, (0, delay + 1), value=NOTHING)
    kept = places < (lengths[:, None] + (delay + 1 if published else 0))
    return wide.masked_fill(~kept, NOTHING)
