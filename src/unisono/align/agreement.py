"""How well a transcript and a recording agree: what the right order of the tokens explains, beyond any order.

The score of an alignment alone says little: it depends on the aligner, the microphone and the language. So the same
tokens are aligned in shuffled order too. A right transcript scores far better than its shuffled self; another text, or
one in another language, about the same. The agreement is the part of the shuffled order's deficit that the right
order makes good: 1 - score / score when shuffled, scores being mean log probabilities per token, 0 at best.

Measured with the built-in aligner on clips of `shared/speech`, trimmed as for a voice (some were in its training data):

    transcript             n     least   median   most    below LEAST
    right                 147     .54      .80     .97        0 %
    another text          147    -.08      .15     .41      100 %
    another language       72     .15      .36     .49      100 %

Texts of which only a part is wrong come out between: with the second half of another text about half are below LEAST.

Axes: L rows of 1/50 s, C columns (distinct tokens and the blank), T tokens.
"""

from __future__ import annotations

import numpy as np

from unisono.align.search import search

LEAST = 0.5  # agreement under which a transcript is doubted
SHUFFLES = 8
FEWEST_TOKENS = 6  # fewer have too few orders to compare with


def agreement(logits: np.ndarray, place: np.ndarray) -> float:
    """Agreement of tokens with a recording, about 0 for any other text, towards 1 for the right one.

    Args:
        logits: float [L, C] of the blank and of every token that occurs; probabilities are relative to these columns.
        place: int64 [T], the column of each token.

    Returns:
        1 - score / score of the same tokens in shuffled order; 1.0 for fewer than `FEWEST_TOKENS` distinct tokens.

    Raises:
        AlignmentError: no token, or more tokens than rows.
    """
    if len(np.unique(place)) < FEWEST_TOKENS:
        return 1.0
    table = _log_softmax(logits)
    draw = np.random.default_rng(0)  # the same shuffles for everyone: an agreement is a property of its arguments
    orders = [place, *(draw.permutation(place) for _ in range(SHUFFLES))]
    own, *others = (_score(table, order) for order in orders)
    shuffled = float(np.mean(others))
    return 1 - own / shuffled if shuffled < 0 else 1.0


def _score(table: np.ndarray, order: np.ndarray) -> float:
    """Mean log probability per token along the best path."""
    scores = table[:, order]  # [L, T]
    return float(scores[search(scores), np.arange(len(order))].mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities [L, C] over the columns."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
