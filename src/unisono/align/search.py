"""The monotonic search: one row for every token, strictly increasing, with the greatest sum of scores.

Axes: L logit rows (frames of 1/50 s), T tokens, V vocabulary, C distinct tokens, W = L - T + 1 rows a token can reach.
Source: spec/tada.md section 5.2; the tie rules there decide the result and are kept to the letter.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from unisono.errors import AlignmentError

MOST_BYTES = 32 << 20  # of back-pointers in a search of one pass
CELLS = 1 << 20  # of back-pointers that are unpacked at a time: 1 MB


def search(scores: ArrayLike) -> np.ndarray:
    """Choose strictly increasing rows p_0 < ... < p_{T-1} that maximise the sum of scores[p_j, j].

    Among equal sums the later row wins, last token first. Arithmetic is float32; time O(W*T) in T vectorised
    steps; memory beside the scores is one bit for each of the W*T cells up to 32 MB, beyond it grows with W*sqrt(T).

    Args:
        scores: [L, T], column j holds token j's score in every row; -inf is allowed, NaN and +inf are not.

    Returns:
        int64 [T], 0-based rows.

    Raises:
        AlignmentError: no token, more tokens than rows, or scores that are not numbers.
    """
    table = np.asarray(scores)
    if table.ndim != 2:
        raise AlignmentError(f"the search got scores of shape {table.shape}, it wants [frames, tokens]")
    return _solve(table, np.arange(table.shape[1]))


def search_tokens(logits: ArrayLike, token_ids: ArrayLike) -> np.ndarray:
    """Search over the columns of `token_ids` [T] in `logits` [L, V]; returns 0-based rows int64 [T].

    Only the C distinct columns are copied, so that an hour of characters fits in memory.
    Raises AlignmentError as `search` does, and for an id outside the vocabulary.
    """
    table, ids = np.asarray(logits), np.asarray(token_ids, dtype=np.int64).reshape(-1)
    if table.ndim != 2:
        raise AlignmentError(f"the search got logits of shape {table.shape}, it wants [frames, vocabulary]")
    outside = ids[(ids < 0) | (ids >= table.shape[1])]
    if outside.size:
        raise AlignmentError(
            f"token id {outside[0]} is outside the aligner's vocabulary of {table.shape[1]}: "
            "text and aligner belong to different tokenizers"
        )
    distinct, place = np.unique(ids, return_inverse=True)
    return _solve(table[:, distinct], place)


def _solve(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Scores table [L, C] and each token's column in it, place [T] -> rows int64 [T]."""
    rows, tokens = len(table), len(place)
    if tokens == 0:
        raise AlignmentError("there is no token to align: give a text with at least one token")
    if tokens > rows:
        raise AlignmentError(
            f"{tokens} tokens cannot be aligned to {rows} frames of 20 ms: the text is too long for the sound"
        )
    columns = np.ascontiguousarray(table.T, dtype=np.float32)  # [C, L]
    if not (columns < np.inf).all():  # false for NaN as well
        raise AlignmentError("the aligner's scores hold NaN or +inf: its weights or the sound are damaged")
    # The diagonal is summed in double and rounded once (section 5.2); everywhere else one float32 sum per cell.
    diagonal = columns[place, np.arange(tokens)].cumsum(dtype=np.float64).astype(np.float32)  # [T]
    return _trace(columns, place, diagonal, rows - tokens + 1)


def _trace(columns: np.ndarray, place: np.ndarray, diagonal: np.ndarray, width: int) -> np.ndarray:
    """The best path, rows int64 [T], with back-pointers of one block of tokens at a time.

    Long searches run twice: once to know the sums at the start of every block, then block by block from the end, for as
    many rows as the path still can use. Memory then grows with the square root of T.
    """
    tokens = len(place)
    block = tokens if tokens * width <= 8 * MOST_BYTES else math.isqrt(32 * tokens) + 1
    starts = range(0, tokens, block)
    sums = [np.zeros(width, dtype=np.float32)]  # F before the first token of each block
    for start in starts[:-1]:
        sums.append(_forward(columns, place, diagonal, start, start + block, sums[-1])[0])
    positions = np.empty(tokens, dtype=np.int64)
    last = width - 1
    for start, best in zip(reversed(starts), reversed(sums), strict=True):
        stop = min(start + block, tokens)
        used = np.empty((stop - start, -(-(last + 1) // 8)), dtype=np.uint8)
        _forward(columns, place, diagonal, start, stop, best[: last + 1], used)
        last = _backtrack(used, start, last, positions)
    return positions


def _forward(
    columns: np.ndarray,
    place: np.ndarray,
    diagonal: np.ndarray,
    start: int,
    stop: int,
    best: np.ndarray,
    used: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Run tokens [start, stop) on from the sums `best` [W] of the token before; returns their sums and `used`.

    With F[i, j] the best sum of tokens 0..j within rows 0..i, the recurrence
    F[i, j] = max(F[i-1, j], F[i-1, j-1] + score[i, j]) is, for one token, a running maximum over rows. In the
    slanted coordinate k = i - j every token sees the same W rows, for row i < j is too early for token j and row
    i > j + W - 1 leaves too few rows for the tokens that follow.

    Args:
        used: uint8 [tokens, ceil(W/8)], filled with the back-pointers; bit k of token j: row j+k is worth taking.
    """
    width, best = len(best), best.copy()
    take = np.empty_like(best)
    for j in range(start, stop):
        np.add(best, columns[place[j], j : j + width], out=take)
        take[0] = diagonal[j]
        np.maximum.accumulate(take, out=best)
        if used is not None:
            used[j - start] = np.packbits(take == best)  # taking wins ties against skipping
    return best, used


def _backtrack(used: np.ndarray, start: int, last: int, positions: np.ndarray) -> int:
    """Fill in the rows of a block of tokens, latest row first; `last` and the result are the k a path may have."""
    rows, width = max(CELLS // (8 * used.shape[1]), 1), 8 * used.shape[1]
    for high in range(len(used), 0, -rows):
        low = max(high - rows, 0)
        bits = np.unpackbits(used[low:high], axis=1).tobytes()
        for j in range(high - 1, low - 1, -1):
            begin = (j - low) * width
            last = bits.rfind(b"\x01", begin, begin + last + 1) - begin  # k = 0 is always taken
            positions[start + j] = start + j + last
    return last
