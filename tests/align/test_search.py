"""The monotonic search against plain enumeration, its tie rules, and what it refuses."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from runpy import run_path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unisono.align import search as module
from unisono.align.search import search, search_tokens
from unisono.errors import AlignmentError

# Section 5.2 of spec/tada.md word by word, cell by cell; it stands where its time is measured.
double_loop = run_path(str(Path(__file__).parents[2] / "benchmarks" / "search.py"))["over_arrays"]
SHAPES = st.integers(1, 8).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(1, rows)))


def every_path(scores: np.ndarray) -> tuple[int, ...]:
    """The best rows by enumeration: greatest sum, then later rows, last token first."""
    rows, tokens = scores.shape
    paths = combinations(range(rows), tokens)
    return max(paths, key=lambda path: (sum(scores[p, j] for j, p in enumerate(path)), path[::-1]))


@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=st.integers(-2, 2))))
def test_equals_enumeration_with_many_ties(scores: np.ndarray) -> None:
    assert tuple(search(scores)) == every_path(scores)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31), st.booleans())
def test_equals_the_double_loop(rows: int, tokens: int, seed: int, holes: bool) -> None:
    tokens = min(tokens, rows)
    draw = np.random.default_rng(seed)
    scores = draw.normal(size=(rows, tokens)).astype(np.float32)
    if holes:
        scores[draw.random(scores.shape) < 0.3] = -np.inf
    assert list(search(scores)) == double_loop(scores)


def test_equals_the_double_loop_at_length() -> None:
    scores = np.random.default_rng(3).normal(size=(1500, 120)).astype(np.float32)
    rows = search(scores)
    assert rows.dtype == np.int64
    assert (np.diff(rows) > 0).all()
    assert list(rows) == double_loop(scores)


@pytest.mark.parametrize("width", [1, 7, 8, 9, 16, 17])
def test_widths_around_whole_bytes(width: int) -> None:
    scores = np.zeros((width + 2, 3), np.float32)
    assert list(search(scores)) == [width - 1, width, width + 1]


def test_one_token_takes_the_last_of_the_best_rows() -> None:
    assert list(search(np.array([[1.0], [3.0], [3.0], [2.0]]))) == [2]


def test_tokens_pick_columns_and_may_repeat() -> None:
    logits = np.random.default_rng(0).normal(size=(30, 9)).astype(np.float32)
    ids = [4, 4, 0, 8, 4]
    np.testing.assert_array_equal(search_tokens(logits, ids), search(logits[:, ids]))


@pytest.mark.parametrize(
    ("scores", "word"),
    [
        (np.zeros((3, 0)), "no token"),
        (np.zeros((3, 4)), "4 tokens"),
        (np.zeros((0, 1)), "0 frames"),
        (np.full((3, 2), np.nan), "NaN"),
        (np.full((3, 2), np.inf), "inf"),
        (np.zeros(3), "shape"),
    ],
)
def test_refuses(scores: np.ndarray, word: str) -> None:
    with pytest.raises(AlignmentError, match=word):
        search(scores)


@pytest.mark.parametrize("ids", [[0, 9], [-1]])
def test_refuses_foreign_tokens(ids: list[int]) -> None:
    with pytest.raises(AlignmentError, match="vocabulary of 9"):
        search_tokens(np.zeros((5, 9)), ids)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**31))
def test_block_by_block_equals_in_one_pass(rows: int, tokens: int, seed: int) -> None:
    """Long searches keep the back-pointers of one block of tokens at a time; ties included, nothing changes."""
    tokens = min(tokens, rows)
    scores = np.random.default_rng(seed).integers(-2, 3, (rows, tokens)).astype(np.float32)
    whole = search(scores)
    with patch.object(module, "MOST_BYTES", 0), patch.object(module.math, "isqrt", lambda number: 2):
        assert search(scores).tolist() == whole.tolist()
