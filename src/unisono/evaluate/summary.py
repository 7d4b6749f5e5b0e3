"""From measures of single sounds to figures of a whole set: never an average alone.

Rates are parts of one (0.04 = 4 %), distances dB, times seconds. A figure nobody could take is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from unisono.evaluate.failures import HALF, interval
from unisono.evaluate.measure import Heard, Measures
from unisono.evaluate.sound import Spectrum, spectrum_distance
from unisono.evaluate.words import Counts, diverge

DRAWS = 2000  # of the bootstrap
PERCENTS = (2.5, 97.5)


def rate(counts: Iterable[Counts]) -> float | None:
    """Errors by length over all sentences; None without any."""
    errors, length = (sum(column) for column in zip((0, 0), *counts, strict=True))
    return errors / length if length else None


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values there are; None without any."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def median(values: Iterable[float]) -> float | None:
    """Median; None without any value."""
    there = list(values)
    return float(np.median(there)) if there else None


def total_spectrum(measures: Iterable[Measures]) -> Spectrum | None:
    """Long-term spectrum of several sounds; None without any."""
    there = [each.spectrum for each in measures if each.spectrum is not None]
    if not there:
        return None
    return Spectrum(np.sum([each.total for each in there], axis=0), sum(each.frames for each in there))


def bootstrap(counts: Sequence[Counts], against: Sequence[Counts], seed: int) -> list[float] | None:
    """95 % interval of the difference of two error rates over the same sentences, by drawing sentences.

    Returns:
        [low, high]; None with less than two sentences.
    """
    if len(counts) < 2:
        return None
    ours, theirs = np.array(counts, float), np.array(against, float)  # [sentences, 2]
    drawn = np.random.default_rng(seed).integers(len(ours), size=(DRAWS, len(ours)))
    ours, theirs = ours[drawn].sum(1), theirs[drawn].sum(1)  # [DRAWS, 2]
    difference = ours[:, 0] / ours[:, 1] - theirs[:, 0] / theirs[:, 1]
    return [float(value) for value in np.percentile(difference, PERCENTS)]


def words_summary(measures: Sequence[Measures]) -> dict[str, Any]:
    """Word and character error rates under both listeners, and how they are spread over the sentences."""
    domain = [each.domain for each in measures if each.domain is not None]
    general = [each.general for each in measures if each.general is not None]
    rates = np.array([each.wer for each in domain])
    return {
        "wer": rate(each.words for each in domain),
        "cer": rate(each.characters for each in domain),
        "wer_general": rate(each.words for each in general),
        "cer_general": rate(each.characters for each in general),
        "wer_median": median(rates),
        "wer_p95": float(np.percentile(rates, 95)) if len(rates) else None,
        "wer_worst": float(rates.max()) if len(rates) else None,
        "wer_over_half": int((rates > HALF).sum()),
        "exact_match": float((rates == 0).mean()) if len(rates) else None,
        "longest_divergent_run": max((e.divergence.longest_run for e in measures if e.divergence), default=None),
    }


def sound_summary(measures: Sequence[Measures], recordings: Sequence[Measures]) -> dict[str, Any]:
    """Distances to the recordings: spectrum of all sounds together, means of the others, ratio of all lengths."""
    pairs = [(m, r) for m, r in zip(measures, recordings, strict=True) if m.distances is not None]
    ours, theirs = total_spectrum(m for m, _ in pairs), total_spectrum(r for _, r in pairs)
    lengths = sum(r.seconds for _, r in pairs)
    return {
        "spectrum_db": spectrum_distance(ours, theirs) if ours and theirs else None,
        "cepstral_db": mean(m.distances.cepstral_db for m, _ in pairs if m.distances),
        "mel_db": mean(m.distances.mel_db for m, _ in pairs if m.distances),
        "duration_ratio": sum(m.seconds for m, _ in pairs) / lengths if pairs else None,
    }


def failure_summary(failures: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Failed sentences per 1,000 with the 95 % interval, and how often each rule was broken."""
    failed = sum(bool(rules) for rules in failures)
    names = sorted({name for rules in failures for name in rules})
    return {
        "failed": failed,
        "failures_per_1000": 1000 * failed / len(failures),
        "failures_per_1000_interval": [1000 * share for share in interval(failed, len(failures))],
        "failures_by_kind": {name: sum(name in rules for rules in failures) for name in names},
    }


def halves_distance(recordings: Sequence[Measures]) -> float | None:
    """Spectrum distance between every other recording and the rest: what chance gives. None with less than two."""
    even, odd = total_spectrum(recordings[::2]), total_spectrum(recordings[1::2])
    return spectrum_distance(even, odd) if even and odd else None


def measures_of_nothing(recording: Measures, text: str) -> Measures:
    """What stands for a sound that could not be made: no word of the cleaned text was heard, if anybody listened."""
    if recording.domain is None:
        return Measures(0.0, True)
    heard = Heard.of(text, "")
    return Measures(0.0, True, heard, heard, diverge(text, ""))


def item_figures(measures: Measures) -> dict[str, Any]:
    """The figures of one sound for `report.json`."""
    figures: dict[str, Any] = {"seconds": measures.seconds}
    for suffix, heard in (("", measures.domain), ("_general", measures.general)):
        if heard is not None:
            figures |= {f"heard{suffix}": heard.text, f"wer{suffix}": heard.wer, f"cer{suffix}": heard.cer}
    if measures.divergence is not None:
        figures |= asdict(measures.divergence)
    if measures.distances is not None:
        figures |= asdict(measures.distances)
    return figures
