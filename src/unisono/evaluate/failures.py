"""Which sentences went wrong, so that an average cannot hide them (spec/users.md, section Trust)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from unisono.evaluate.measure import Measures
from unisono.evaluate.tasks import RESYNTHESIS, Made

RUN = 2  # words in one place that count as skipped, inserted or truncated: a single one may be the listener's mistake
LONG_RUN = 5  # words in one place without one that is right
HALF = 0.5  # word error rate
LONGEST, SHORTEST = 2.0, 0.5  # parts of the recording's length
FRAME = 0.02  # seconds by which decode(encode(recording)) may be longer or shorter than the recording
Z = 1.96  # of the normal distribution, for intervals of 95 %

RULES: Mapping[str, str] = {
    "error": "the model refused or failed",
    "no sound": "nothing reaches -80 dB",
    "too long": f"more than {LONGEST:g} times as long as the recording",
    "too short": f"less than {SHORTEST:g} times as long as the recording",
    "wrong length": "resynthesis more than a frame of 20 ms longer or shorter than the recording",
    "skipped": f"at least {RUN} words in one place are not heard",
    "truncated": f"at least {RUN} words at the end are not heard",
    "inserted": f"at least {RUN} words in one place are heard that are not in the text",
    "repeated": "words are heard twice in a row",
    "divergent": f"at least {LONG_RUN} words in a row without one that is right",
    "misheard": f"more than {HALF:.0%} word errors",
}


def find_failures(task: str, measures: Measures | None, recording: Measures, made: Made | None = None) -> list[str]:
    """Names of the rules in `RULES` that a sound breaks, in their order.

    Args:
        task: what was asked for.
        measures: of the sound; None when there is none. recording: of the recording.
        made: how the sound came to be; None for the recording itself.
    """
    if measures is None or measures.silent:
        return ["error" if made is not None and made.error else "no sound"]
    broken = set()
    if made is not None:
        ratio = measures.seconds / recording.seconds
        broken |= {"too long"} if ratio > LONGEST else {"too short"} if ratio < SHORTEST else set()
        # Half a millisecond for the rounding of rates.
        if task == RESYNTHESIS and abs(measures.seconds - recording.seconds) > FRAME + 5e-4:
            broken.add("wrong length")
    if measures.divergence is not None and measures.domain is not None:
        found = measures.divergence
        over = {
            "skipped": found.skipped_run >= RUN,
            "truncated": found.truncated >= RUN,
            "inserted": found.inserted_run >= RUN and not found.repeated,
            "repeated": found.repeated > 0,
            "divergent": found.longest_run >= LONG_RUN,
            "misheard": measures.domain.wer > HALF,
        }
        broken |= {name for name, is_over in over.items() if is_over}
    return [name for name in RULES if name in broken]


def interval(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, from `count` of `total` > 0 trials."""
    share = count / total
    middle = share + Z**2 / (2 * total)
    half = Z * math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2))
    scale = 1 + Z**2 / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
