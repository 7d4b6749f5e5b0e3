"""The monotonic search against the plain double loop, and on an hour of sound.

    python benchmarks/search.py [--hour] [--json FILE]

All in one process and in turns; ratios are taken per round. The loop is section 5.2 of the specification word by word,
cell by cell: over arrays, as one writes it, and over Python lists, the fastest that it gets without a compiler.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from unisono.align.search import search, search_tokens
from unisono.bench.machine import machine

FRAMES, TOKENS, ROUNDS = 1500, 120, 3
HOUR_FRAMES, HOUR_TOKENS, LETTERS = 180_000, 54_000, 60  # 15 characters a second


def over_lists(scores: list[list[float]]) -> list[int]:
    """Rows of the best path through scores [L][T]."""
    rows, tokens = len(scores), len(scores[0])
    best = [[-np.inf] * tokens for _ in range(rows)]
    used = [[False] * tokens for _ in range(rows)]
    diagonal = 0.0
    for i in range(rows):
        for j in range(min(i + 1, tokens)):
            if j == i:
                diagonal += scores[i][i]
                best[i][j], used[i][j] = diagonal, True
                continue
            take = scores[i][0] if j == 0 else best[i - 1][j - 1] + scores[i][j]
            used[i][j] = take >= best[i - 1][j]
            best[i][j] = take if used[i][j] else best[i - 1][j]
    return backtrack(used, rows, tokens)


def over_arrays(scores: np.ndarray) -> list[int]:
    """Rows of the best path through scores [L, T]."""
    rows, tokens = scores.shape
    best = np.full((rows, tokens), -np.inf, np.float32)
    used = np.zeros((rows, tokens), bool)
    for i in range(rows):
        for j in range(min(i + 1, tokens)):
            if j == i:
                best[i, j], used[i, j] = np.diagonal(scores)[: j + 1].sum(dtype=np.float64), True
                continue
            take = scores[i, 0] if j == 0 else best[i - 1, j - 1] + scores[i, j]
            used[i, j] = take >= best[i - 1, j]
            best[i, j] = take if used[i, j] else best[i - 1, j]
    return backtrack(used, rows, tokens)


def backtrack(used: Sequence[Sequence[bool]], rows: int, tokens: int) -> list[int]:
    """The path that back-pointers tell."""
    path, i, j = [0] * tokens, rows - 1, tokens - 1
    while j >= 0:
        if used[i][j]:
            path[j] = i
            j -= 1
        i -= 1
    return path


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def ratio(ratios: list[float]) -> dict[str, float]:
    """Median and spread."""
    return {"median": round(statistics.median(ratios), 1), "min": round(min(ratios), 1), "max": round(max(ratios), 1)}


def hour(draw: np.random.Generator) -> dict[str, float]:
    """Seconds and memory of aligning an hour of characters."""
    logits = draw.normal(size=(HOUR_FRAMES, LETTERS)).astype(np.float32)
    ids = draw.integers(0, LETTERS, HOUR_TOKENS)
    tracemalloc.start()
    spent = seconds(lambda: search_tokens(logits, ids))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "seconds": round(spent, 1),
        "peak_mb": round(peak / 1e6, 1),
        "logits_mb": round(logits.nbytes / 1e6, 1),
    }


def main(arguments: list[str]) -> int:
    """Measure and print."""
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(FRAMES, TOKENS)).astype(np.float32)
    plain = scores.tolist()
    assert list(search(scores)) == over_lists(plain) == over_arrays(scores)
    rounds = [
        (
            statistics.median(seconds(lambda: search(scores)) for _ in range(9)),
            seconds(lambda: over_arrays(scores)),
            seconds(lambda: over_lists(plain)),
        )
        for _ in range(ROUNDS)
    ]
    report = {
        "machine": machine("cpu"),
        "frames": FRAMES,
        "tokens": TOKENS,
        "search_ms": round(1e3 * statistics.median(ours for ours, _, _ in rounds), 3),
        "loop_over_arrays": ratio([loop / ours for ours, loop, _ in rounds]),
        "loop_over_lists": ratio([loop / ours for ours, _, loop in rounds]),
    }
    if "--hour" in arguments:
        report["hour"] = hour(draw)
    print(json.dumps(report, indent=2))
    if "--json" in arguments:
        Path(arguments[arguments.index("--json") + 1]).write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
