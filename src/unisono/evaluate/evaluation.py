"""A model against recordings: make every sound, measure every sound, write the report."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from unisono import hub, speak
from unisono.audio.speaker import similarity, voice_print
from unisono.errors import InputError
from unisono.evaluate.data import Dataset, Item, choose, read_data
from unisono.evaluate.hearing import check_packages, write_domain_model
from unisono.evaluate.measure import RECORDING, Job, Result, measure_all
from unisono.evaluate.output import PAGE, PICTURES, REPORT, check_report_folder, report_folder
from unisono.evaluate.page import render_page
from unisono.evaluate.report import Row, build_report
from unisono.evaluate.tasks import BOTH, Made, Speaker, chosen_tasks, make_all, write_recordings
from unisono.interface import SpeechModel, Voice

REFERENCES = 24  # recordings of a speaker that voices are compared with, at most
VERSIONS = ("unisono", "torch", "numpy", "jiwer", "pocketsphinx")


def evaluate(
    model: SpeechModel | str | Path | None,
    data: str | Path,
    output: str | Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    task: str = BOTH,
    voice: Voice | str | None = None,
    speakers: str | Sequence[str] = (),
    domain: str | Path | Sequence[str | Path] = (),
    workers: int = 1,
    device: str | None = None,
    dtype: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Measure a model on recordings and write `report.json` and `index.html`.

    Args:
        model: a loaded model, or what `unisono.load` takes (None = the built-in one).
        data: a folder with `metadata.csv` (`file|text|speaker|language|seconds`), or a prepared corpus, of which only
            the held-out part is used.
        output: folder of the report; an earlier report is replaced, any other folder in use is refused.
        limit: at most so many sentences, spread evenly over the data.
        seed: of every sentence, so that `unisono say TEXT --seed SEED` gives the same sound.
        task: "say" the texts, "resynthesis" (decode what was encoded from the recordings), or "both".
        voice: None = the model's own; a Voice, a ready voice's name or a voice file.
        speakers: only recordings of these; "" or () = all.
        domain: where the sentences of the domain's language model are from, see `data.read_data`.
        workers: processes that listen and measure; they begin when all sounds are made, so that timing is undisturbed.
        device, dtype: for a model that is loaded here.
        options: of the generation (steps, guidance, speed, ...).

    Returns:
        the content of `report.json`: rates as parts of one, distances in dB, times in seconds.

    Raises:
        InputError: unusable argument or output, or a missing package. DataError: unusable data.
        UnisonoError: when the model fails on every sentence; single failures are listed in the report.
    """
    tasks = chosen_tasks(task)
    _check_counts(seed, workers)
    check_packages()
    dataset = read_data(data, _listed(speakers), _listed(domain))
    items = choose(dataset.items, limit)
    check_report_folder(output)
    speaker = _speaker(model, voice, seed, options, device, dtype)
    with report_folder(output) as folder:
        recordings = list(write_recordings(items, folder))
        with _progress(len(items), "speaking") as bar:
            made = make_all(speaker, items, tasks, folder, bar.update)
        results, domain_model = _measure(_jobs(items, made, dataset, folder), dataset, workers)
        rows = _rows(items, recordings, made, results, dataset)
        about = {"data": str(data)} | _about(speaker) | {"domain_model": domain_model}
        report = build_report(rows, tasks, about, seed)
        (folder / REPORT).write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (folder / PAGE).write_text(render_page(report), encoding="utf-8")
    return report


def _check_counts(seed: int, workers: int) -> None:
    for name, value, least in (("seed", seed, 0), ("number of workers", workers, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"the {name} is {value!r}, wanted is a whole number from {least}")


def _listed(given: str | Path | Sequence[Any]) -> list[Any]:
    """One or several as a list; "" is none."""
    return ([given] if str(given) else []) if isinstance(given, str | Path) else list(given)


def _speaker(
    model: SpeechModel | str | Path | None,
    voice: Voice | str | None,
    seed: int,
    options: Mapping[str, Any],
    device: str | None,
    dtype: str | None,
) -> Speaker:
    """The model, loaded if it is a name, with the voice it shall use."""
    if model is None or isinstance(model, str | Path):
        folder = hub.model_folder(model)
        model = hub.load(folder, device=device, dtype=dtype)
        if not isinstance(voice, Voice):
            voice = speak.find_voice(model, folder, voice)
    elif isinstance(voice, str):
        raise InputError(f"the voice {voice[:60]!r} is a name, wanted beside a loaded model is a Voice: load it first")
    return Speaker(model, voice, seed, options)


def _progress(total: int, what: str) -> Any:
    """A bar with the time left on stderr, if that is a terminal."""
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit="sentence", file=sys.stderr, disable=None, leave=False, dynamic_ncols=True)


def _measure(jobs: Sequence[Job], dataset: Dataset, workers: int) -> tuple[list[Result], dict[str, Any]]:
    """All results, and how large the domain's language model is and where it comes from."""
    with tempfile.TemporaryDirectory() as scratch, _progress(len(jobs), "measuring") as bar:
        domain = write_domain_model(Path(scratch), [*(job.item.text for job in jobs), *dataset.domain])
        results = []
        for result in measure_all(jobs, domain, workers):
            results.append(result)
            bar.update()
    size = {name: getattr(domain, name) for name in ("sentences", "words", "unknown_words")}
    return results, {**size, "sources": dataset.sources}


def _jobs(items: Sequence[Item], made: Sequence[Mapping[str, Made]], dataset: Dataset, folder: Path) -> list[Job]:
    """What is to be measured, item by item."""
    jobs = []
    for index, (item, each) in enumerate(zip(items, made, strict=True)):
        sounds = {task: one.sound for task, one in each.items() if one.sound}
        pictures = {name: f"{PICTURES}/{index:04d}-{name}.png" for name in (RECORDING, *sounds)}
        same = (o for o in dataset.items if o != item and (o.speaker, o.said) == (item.speaker, item.said))
        jobs.append(Job(item, folder, sounds, pictures, next(same, None)))
    return jobs


def _rows(
    items: Sequence[Item],
    recordings: Sequence[str],
    made: Sequence[dict[str, Made]],
    results: Sequence[Result],
    dataset: Dataset,
) -> list[Row]:
    """All that is known, item by item; voices are compared with other recordings of the same speaker."""
    prints = {item: result.measures[RECORDING].print for item, result in zip(items, results, strict=True)}
    for name in {item.speaker for item in items}:
        beside = [item for item in dataset.items if item.speaker == name and item not in prints]
        lacking = REFERENCES - sum(item.speaker == name for item in items)
        if lacking > 0 and beside:
            prints |= {item: voice_print(item.read()) for item in choose(beside, lacking)}
    rows = []
    for item, file, each, result in zip(items, recordings, made, results, strict=True):
        others = [p for o, p in prints.items() if o.speaker == item.speaker and o.said != item.said]
        alike = {RECORDING: similarity(prints[item], others)}
        for task, measures in result.measures.items():
            if task != RECORDING and measures.print is not None:
                alike[task] = similarity(measures.print, others or [prints[item]])
        rows.append(Row(item, file, each, result, alike))
    return rows


def _about(speaker: Speaker) -> dict[str, Any]:
    """Who spoke, how, and on which machine."""
    return {
        "model": speaker.model.name,
        "family": speaker.model.family,
        "voice": speaker.voice.name if speaker.voice else "the model's own",
        "seed": speaker.seed,
        "options": {name: value for name, value in speaker.options.items() if isinstance(value, str | int | float)},
        "machine": _machine(speaker.model),
    }


def _machine(model: SpeechModel) -> dict[str, Any]:
    """Where the speed was measured."""
    import torch

    device = str(getattr(model, "device", getattr(getattr(model, "model", None), "device", "unknown device")))
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONS},
    }
