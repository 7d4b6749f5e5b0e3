"""Where the time of a call goes: timers around the parts of TADA's engine, put in for one pass and taken out again.

The engine knows nothing of them, so that a pass without them runs at its own speed. On an accelerator each timer waits
for the device, which is why only the shares of such a pass are used, never its length.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from unisono.bench.machine import synchronize
from unisono.families.tada import choices, render
from unisono.families.tada.live import Sounding
from unisono.families.tada.speech import TadaSpeech
from unisono.lm.rows import RowCache

PARTS = ("prefill", "lm", "head", "decoder")


@dataclass
class Laps:
    """Seconds by part, and `tokens`: rows of single steps, each of which makes one token's sound.

    A text of T tokens takes T and a few more of them, because sound comes after its text.
    """

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    tokens: int = 0


@contextmanager
def stopwatch(tts: TadaSpeech) -> Iterator[Laps]:
    """Time the parts of everything that is spoken inside."""
    model, laps = tts.model, Laps()
    device = str(model.device)
    runner = model.runner()
    kept_solve = choices.solve_flow

    def timed(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            synchronize(device)
            start = time.perf_counter()
            result = work(*args, **kwargs)
            synchronize(device)
            laps.seconds[part] += time.perf_counter() - start
            return result

        return run

    timed_solve = timed("head", kept_solve)

    def solve(head: Any, table: Any, noise: Any, *args: Any, **kwargs: Any) -> Any:
        laps.tokens += len(noise)
        return timed_solve(head, table, noise, *args, **kwargs)

    patched = [(runner, "start", "prefill"), (runner, "step", "lm")]
    # Sentences are decoded at once or by windows, both by `decode_grid`. Batches step through their cache, pieces of a
    # stream are rendered by themselves; these are made for every call.
    shared = [(render, "decode_grid", "decoder"), (RowCache, "step", "lm"), (Sounding, "_rendered", "decoder")]
    kept = [getattr(owner, name) for owner, name, _ in shared]
    try:
        for owner, name, part in [*patched, *shared]:
            setattr(owner, name, timed(part, getattr(owner, name)))
        choices.solve_flow = solve
        yield laps
    finally:
        choices.solve_flow = kept_solve
        for owner, name, _ in patched:
            owner.__dict__.pop(name, None)
        for (owner, name, _), method in zip(shared, kept, strict=True):
            setattr(owner, name, method)
