"""The report as one JSON object: figures of the main task beside the recordings' own, failures, and every item.

The main task is the first one asked for. What is measured on a further task stands under that task's name, in the
report and in each item, with the same keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unisono.audio.cepstra import band_centres
from unisono.audio.speaker import METHOD
from unisono.evaluate.data import Item
from unisono.evaluate.failures import RULES, find_failures
from unisono.evaluate.hearing import clean
from unisono.evaluate.measure import RECORDING, Measures, Result
from unisono.evaluate.sound import BANDS, HIGHEST_HZ, Distances
from unisono.evaluate.summary import (
    bootstrap,
    failure_summary,
    halves_distance,
    item_figures,
    mean,
    measures_of_nothing,
    median,
    sound_summary,
    total_spectrum,
    words_summary,
)
from unisono.evaluate.tasks import Made

RECORDINGS = "recordings"
# Figures of the recordings that stand beside those of the main task, as wer_recordings and so on.
BESIDE = (
    *("wer", "cer", "wer_general", "cer_general", "exact_match", "failures_per_1000"),
    *("spectrum_db", "cepstral_db", "mel_db", "speaker_similarity"),
)


@dataclass
class Row:
    """All that is known of one item.

    Attributes:
        recording_file: within the report's folder.
        made: task -> what the model made.
        result: what was measured.
        similarity: name -> to other recordings of the speaker; "recording" and the tasks are the names.
    """

    item: Item
    recording_file: str
    made: dict[str, Made]
    result: Result
    similarity: dict[str, float | None]

    @property
    def recording(self) -> Measures:
        """Of the recording."""
        return self.result.measures[RECORDING]

    def measures(self, task: str) -> Measures:
        """Of what was made for a task; of nothing when there is no sound."""
        return self.result.measures.get(task) or measures_of_nothing(self.recording, clean(self.item.text))

    def failures(self, task: str) -> list[str]:
        """Broken rules of a task, or of the recording itself."""
        return find_failures(task, self.result.measures.get(task), self.recording, self.made.get(task))


def build_report(rows: Sequence[Row], tasks: Sequence[str], about: dict[str, Any], seed: int) -> dict[str, Any]:
    """The content of `report.json`.

    Args:
        rows: at least one.
        tasks: those asked for; the first one is the main task.
        about: what was evaluated and how, such as model, data, options, machine.
        seed: of the intervals that are found by drawing.
    """
    own = _recordings(rows)
    figures = {task: _task(rows, task, own, seed) for task in tasks}
    main = figures[tasks[0]]
    return {
        "n": len(rows),
        "task": tasks[0],
        **{key: value for key, value in about.items() if isinstance(value, str | int | float)},
        **main,
        **{task: figures[task] for task in tasks[1:]},
        RECORDINGS: own,
        **{key: value for key, value in about.items() if not isinstance(value, str | int | float)},
        "methods": {"speaker_similarity": METHOD},
        "failure_rules": dict(RULES),
        "long_term_spectrum": _spectra(rows, tasks),
        "items": [_item(index, row, tasks) for index, row in enumerate(rows)],
    }


def _recordings(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of the recordings: what they reach themselves under every measure."""
    measures = [row.recording for row in rows]
    takes = [row.result.takes for row in rows if row.result.takes is not None]
    failures = [row.failures(RECORDING) for row in rows]
    return {
        **words_summary(measures),
        "spectrum_db": halves_distance(measures),
        "cepstral_db": mean(each.cepstral_db for each in takes),
        "mel_db": mean(each.mel_db for each in takes),
        "takes": len(takes),
        "speaker_similarity": mean(row.similarity[RECORDING] for row in rows),
        "seconds": sum(each.seconds for each in measures),
        **failure_summary(failures),
        "failures": _failure_list(rows, RECORDING),
    }


def _task(rows: Sequence[Row], task: str, own: dict[str, Any], seed: int) -> dict[str, Any]:
    """Figures of one task, those of the recordings beside them."""
    measures, recordings = [row.measures(task) for row in rows], [row.recording for row in rows]
    words = words_summary(measures)
    counts = [
        (m.domain.words, r.domain.words) for m, r in zip(measures, recordings, strict=True) if m.domain and r.domain
    ]
    seconds, compute = sum(each.seconds for each in measures), sum(row.made[task].compute_seconds for row in rows)
    figures = {
        "wer": words["wer"],
        "wer_above_recordings": words["wer"] - own["wer"] if counts else None,
        "wer_above_recordings_interval": bootstrap(*zip(*counts, strict=True), seed) if counts else None,
        **words,
        **sound_summary(measures, recordings),
        "speaker_similarity": mean(row.similarity.get(task) for row in rows),
        "seconds": seconds,
        "compute_seconds": compute,
        "rtf": compute / seconds if seconds else None,
        "rtf_median": median(
            r.made[task].compute_seconds / m.seconds for r, m in zip(rows, measures, strict=True) if m.seconds
        ),
        "times_real_time": seconds / compute if compute else None,
        **failure_summary([row.failures(task) for row in rows]),
        "failures": _failure_list(rows, task),
    }
    beside = {f"{key}_{RECORDINGS}": own[key] for key in BESIDE}
    ordered: dict[str, Any] = {}
    for key, value in figures.items():
        ordered[key] = value
        if f"{key}_{RECORDINGS}" in beside:
            ordered[f"{key}_{RECORDINGS}"] = beside[f"{key}_{RECORDINGS}"]
    return ordered


def _failure_list(rows: Sequence[Row], name: str) -> list[dict[str, Any]]:
    """Every failed sentence of a task, or of the recordings."""
    return [
        {
            "index": index,
            "file": row.item.name,
            "text": row.item.text,
            "heard": row.measures(name).domain.text if row.measures(name).domain else None,
            "kinds": kinds,
            **({"error": row.made[name].error} if name in row.made and row.made[name].error else {}),
        }
        for index, row in enumerate(rows)
        if (kinds := row.failures(name))
    ]


def _item(index: int, row: Row, tasks: Sequence[str]) -> dict[str, Any]:
    """One item: the main task's figures, then those of the other tasks and of the recording under their names."""
    main, *others = [_made(row, task) for task in tasks]
    takes = {"take": vars(row.result.takes)} if isinstance(row.result.takes, Distances) else {}
    return {
        "index": index,
        "file": row.item.name,
        "text": row.item.text,
        "speaker": row.item.speaker,
        "language": row.item.language,
        **main,
        **dict(zip(tasks[1:], others, strict=True)),
        RECORDING: {
            "audio": row.recording_file,
            "picture": row.recording.picture,
            **item_figures(row.recording),
            "speaker_similarity": row.similarity[RECORDING],
            "failures": row.failures(RECORDING),
            **takes,
        },
    }


def _made(row: Row, task: str) -> dict[str, Any]:
    """The figures of what was made of one item."""
    made, measures = row.made[task], row.measures(task)
    return {
        "audio": made.sound or None,
        "picture": measures.picture or None,
        **item_figures(measures),
        "speaker_similarity": row.similarity.get(task),
        "compute_seconds": made.compute_seconds,
        "rtf": made.compute_seconds / measures.seconds if measures.seconds else None,
        "failures": row.failures(task),
        **({"error": made.error} if made.error else {}),
    }


def _spectra(rows: Sequence[Row], tasks: Sequence[str]) -> dict[str, Any]:
    """Long-term spectra in dB without their level, by the middle of each mel band."""
    spectra = {RECORDINGS: total_spectrum(row.recording for row in rows)}
    spectra |= {task: total_spectrum(row.measures(task) for row in rows) for task in tasks}
    shapes = {name: [round(float(x), 2) for x in each.shape()] for name, each in spectra.items() if each is not None}
    return {"hz": [round(float(hz)) for hz in band_centres(BANDS, 0.0, HIGHEST_HZ)], **shapes}
