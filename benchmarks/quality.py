"""What listeners understand with each set of options: fills the table of docs/quality.md.

    python benchmarks/quality.py DATA --sentences 60 --write docs/quality.md --json quality.json

DATA is a prepared corpus (its held-out texts are spoken) or a folder with metadata.csv. Every set speaks the same
sentences with the same seed; the judge is pocketsphinx under a language model of the data's sentences.
`--sets speed,pause` takes only sets whose name begins so; the first set, the model's own defaults, is always spoken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import unisono
from unisono.evaluate.data import choose, read_data
from unisono.evaluate.hearing import DomainModel, Ear, clean, write_domain_model
from unisono.evaluate.words import word_counts
from unisono.files import replacing
from unisono.interface import Audio, SpeechModel

FAILED = 0.5  # a sentence with more word errors than this is one that was not understood


def as_written(text: str) -> str:
    """The text itself."""
    return text


def with_pause(text: str) -> str:
    """The text with a pause of 0.8 s after half of its words."""
    words = text.split()
    half = max(1, len(words) // 2)
    return " ".join([*words[:half], "[pause:0.8s]", *words[half:]])


def with_rate(factor: float) -> Callable[[str], str]:
    """The text with its second half at a rate."""

    def changed(text: str) -> str:
        words = text.split()
        half = max(1, len(words) // 2)
        return " ".join([*words[:half], f"[rate:{factor}]" + " ".join(words[half:]) + "[/rate]"])

    return changed


class Set(NamedTuple):
    """Options under a name, and what is done to the text before."""

    name: str
    options: dict[str, Any]
    change: Callable[[str], str] = as_written


SETS = (
    Set("defaults", {}),
    Set("speed 0.7", {"speed": 0.7}),
    Set("speed 1.2", {"speed": 1.2}),
    Set("speed 1.5", {"speed": 1.5}),
    Set("speed, two passes, 1.2", {"speed_up_factor": 1.2}),
    Set("pause in the middle", {}, with_pause),
    Set("rate 0.8 in the second half", {}, with_rate(0.8)),
    Set("rate 1.3 in the second half", {}, with_rate(1.3)),
    Set("steps 10", {"steps": 10}),
    Set("guidance 1", {"guidance": 1.0}),
    Set("time grid uniform", {"time_grid": "uniform"}),
    Set("temperature 0.9", {"temperature": 0.9, "duration_temperature": 0.9}),
    Set("4 candidates, likelihood", {"candidates": 4}),
    Set("4 candidates, duration median", {"candidates": 4, "scorer": "duration_median"}),
    Set("speaker threshold 0.8, 3 retries", {"speaker_threshold": 0.8}),
)


class Row(NamedTuple):
    """What came out of a set: errors in words, words, sentences, those not understood, seconds of sound."""

    name: str
    errors: int
    words: int
    sentences: int
    failed: int
    seconds: float

    @property
    def wer(self) -> float:
        """Word errors of all sentences together, in per cent."""
        return 100 * self.errors / self.words


def measure(model: SpeechModel, chosen: Set, texts: Sequence[str], judge: DomainModel, seed: int) -> Row:
    """Speak the texts with a set's options and let the judge hear them."""
    ear, errors, words, failed, seconds = Ear(judge), 0, 0, 0, 0.0
    for text in texts:
        speech = model.say(chosen.change(text), seed=seed, **chosen.options)
        counts = word_counts(clean(text), ear.hear(Audio(speech.audio, speech.sample_rate)))
        errors, words = errors + counts.errors, words + counts.length
        failed += counts.errors > FAILED * counts.length
        seconds += speech.duration
    return Row(chosen.name, errors, words, len(texts), failed, seconds)


def table(rows: Sequence[Row], seed: int) -> Iterator[str]:
    """Lines of the table; the first row is what the others are compared with."""
    base = rows[0]
    yield "| options | WER | against defaults | sentences over 50 % | length against defaults |"
    yield "|---|---|---|---|---|"
    for row in rows:
        against = "" if row is base else f"{row.wer - base.wer:+.1f}"
        yield f"| {row.name} | {row.wer:.1f} % | {against} | {row.failed} | {row.seconds / base.seconds:.2f} |"
    yield ""
    yield (
        f"{base.sentences} sentences, {base.words} words, seed {seed}; "
        f"unisono {version('unisono')}, torch {version('torch').split('+')[0]}, {platform.machine()}."
    )


def fill(path: Path, lines: Sequence[str], name: str = "quality") -> None:
    """Put a table between the marks of that name in a document."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, rest = path.read_text(encoding="utf-8").split(begin)
    with replacing(path) as temporary:
        temporary.write_text(head + begin + "\n".join(lines) + "\n" + end + rest.split(end)[1], encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Speak, hear, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="default is the built-in model")
    parser.add_argument("--speaker", action="append", default=[], help="only this speaker's texts; may be repeated")
    parser.add_argument("--sentences", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--sets", default="", help="names of sets, or how they begin, with commas")
    parser.add_argument("--write", type=Path, help="document whose table is filled")
    parser.add_argument("--json", type=Path, help="file for the numbers and the machine")
    given = parser.parse_args(argv)
    data = read_data(given.data, given.speaker)
    distinct = list({clean(item.text): item for item in data.items if clean(item.text)}.values())
    texts = [item.text for item in choose(distinct, given.sentences)]
    wanted = [name.strip() for name in given.sets.split(",") if name.strip()]
    sets = [SETS[0], *(s for s in SETS[1:] if not wanted or any(s.name.startswith(name) for name in wanted))]
    model, rows = unisono.load(given.model), []
    with tempfile.TemporaryDirectory() as folder:
        judge = write_domain_model(Path(folder), [*data.domain, *texts])
        for chosen in sets:
            rows.append(measure(model, chosen, texts, judge, given.seed))
            print(f"{rows[-1].name}: {rows[-1].wer:.1f} % of {rows[-1].words} words", file=sys.stderr)
    lines = list(table(rows, given.seed))
    print("\n".join(lines))
    if given.write:
        fill(given.write, lines)
    if given.json:
        machine = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "seed": given.seed}
        content = {**machine, "rows": [{**row._asdict(), "wer": row.wer} for row in rows], "texts": texts}
        with replacing(given.json) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
