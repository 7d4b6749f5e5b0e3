"""What listeners understand with each feature that can change it: fills the table of docs/quality.md.

    python benchmarks/quality.py DATA --sentences 60 --json quality.json --write docs/quality.md

DATA is a prepared corpus (its held-out texts are spoken) or a folder with metadata.csv. Every row speaks the same
sentences with the same seed; the judge is pocketsphinx under a language model of the data's sentences. Rows that
`--json` already holds for these sentences, seed and model are kept, so that a run can be stopped and gone on with;
`--rows speed,pause` takes only rows whose name begins so, beside those that others are compared with.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

import unisono
from unisono.evaluate.data import Item, choose, read_data
from unisono.evaluate.hearing import DomainModel, Ear, clean, write_domain_model
from unisono.evaluate.words import word_counts
from unisono.files import replacing
from unisono.interface import Audio, Speech
from unisono.text import source_words

FAILED = 0.5  # a sentence with more word errors than this is one that was not understood
TOGETHER = 6  # sentences of a long text
OTHER_WORDS = ("morning", "river", "window")  # what a word is replaced by: one that the sentence does not have
SAY, CODEC = "defaults", "recordings, decode(encode())"  # rows that others are compared with


class Heard(NamedTuple):
    """A sound and what it should say."""

    audio: Audio
    text: str


Made = Callable[[Sequence[Item], int], Iterator[Heard]]


class Row(NamedTuple):
    """A row of the table: its name, how its sounds are made, and the row it is compared with."""

    name: str
    made: Made
    against: str = SAY


class Result(NamedTuple):
    """What came out of a row: errors in words, words, sentences, those not understood, seconds of sound."""

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


def other_word(text: str) -> tuple[str, str]:
    """A word in the middle of a text that occurs once, and what shall be said in its place."""
    words = text.split()
    middle = sorted(range(len(words)), key=lambda index: abs(index - len(words) // 2))
    said = clean(text).split()
    old = next(words[index] for index in middle if said.count(clean(words[index])) == 1)
    return old.strip(".,;:!?\"'"), next(word for word in OTHER_WORDS if word not in said)


def edited(text: str) -> str:
    """The text of a row with one word replaced."""
    old, new = other_word(text)
    return text.replace(old, new, 1)


class Rows:
    """All rows over one model."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.load = cache(lambda **options: unisono.load(name, **options))

    @property
    def model(self) -> Any:
        """The model with its own settings."""
        return self.load()

    def all(self) -> list[Row]:
        """Every row, in the order of the table; what the model's card has anyway is in the first one."""
        card = self.model.card
        said = [
            (SAY, {}, str),
            ("speed 0.8", {"speed": 0.8}, str),
            ("speed 1.2", {"speed": 1.2}, str),
            ("speed_up_factor 1.2 (two passes, as published)", {"speed_up_factor": 1.2}, str),
            ("pause of 0.8 s in the middle", {}, with_pause),
            ("rate 0.8 in the second half", {}, with_rate(0.8)),
            ("rate 1.3 in the second half", {}, with_rate(1.3)),
            ("steps 10", {"steps": 10}, str),
            ("guidance 2 on top of what is distilled", {"guidance": 2.0}, str),
            ("time grid uniform", {"time_grid": "uniform"}, str),
            ("temperature 0.9", {"temperature": 0.9, "duration_temperature": 0.9}, str),
            ("candidates 4, likelihood", {"candidates": 4}, str),
            ("candidates 4, duration_median", {"candidates": 4, "scorer": "duration_median"}, str),
            ("online rejection, speaker_threshold 0.8", {"speaker_threshold": 0.8}, str),
        ]
        rows = [Row(name, self.say(options, change)) for name, options, change in said]
        return [
            *rows[:1],
            *(Row(f"normaliser {style}", self.normalised(style)) for style in ("plain", "tada") if style != card.style),
            Row(f"long text, {TOGETHER} sentences in one", self.long_text),
            *rows[1:],
            *(
                Row(f"quantize {packing}", self.say({}, str, quantize=packing))
                for packing in ("none", "int8")
                if packing != (card.quantize or "none")
            ),
            Row("recordings as they are", self.recordings, CODEC),
            Row(CODEC, self.decoded, CODEC),
            Row("edit, one word replaced", self.edited, CODEC),
        ]

    def say(self, options: dict[str, Any], change: Callable[[str], str], **loading: Any) -> Made:
        """Speak with options, and something done to the text before."""

        def made(items: Sequence[Item], seed: int) -> Iterator[Heard]:
            model = self.load(**loading)
            for item in items:
                yield Heard(sound(model.say(change(item.text), seed=seed, **options)), item.text)

        return made

    def normalised(self, style: str) -> Made:
        """Speak with a text normaliser."""

        def made(items: Sequence[Item], seed: int) -> Iterator[Heard]:
            model = self.model
            card = model.card
            try:
                model.card = replace(card, style=style)
                yield from self.say({}, str)(items, seed)
            finally:
                model.card = card

        return made

    def long_text(self, items: Sequence[Item], seed: int) -> Iterator[Heard]:
        """Speak several sentences as one text, and cut the sound between the words of two of them."""
        for start in range(0, len(items), TOGETHER):
            group = items[start : start + TOGETHER]
            speech = self.model.say(" ".join(item.text for item in group), seed=seed)
            first, begin = 0, 0
            for number, item in enumerate(group, 1):
                first += len(source_words(item.text))
                last = number == len(group)
                middle = speech.duration if last else (speech.words[first - 1].end + speech.words[first].start) / 2
                end = round(middle * speech.sample_rate)
                yield Heard(Audio(speech.audio[begin:end], speech.sample_rate), item.text)
                begin = end

    def recordings(self, items: Sequence[Item], seed: int) -> Iterator[Heard]:
        """What the judge makes of real speech."""
        return (Heard(item.read(), item.text) for item in items)

    def decoded(self, items: Sequence[Item], seed: int) -> Iterator[Heard]:
        """Recordings encoded and decoded."""
        for item in items:
            yield Heard(sound(self.model.decode(self.model.encode(item.read(), text=item.text))), item.text)

    def edited(self, items: Sequence[Item], seed: int) -> Iterator[Heard]:
        """Recordings with one word replaced."""
        model = self.model
        for item in items:
            speech = model.edit(item.read(), text=item.text, replace=dict([other_word(item.text)]), seed=seed)
            yield Heard(sound(speech), edited(item.text))


def sound(speech: Speech) -> Audio:
    """The sound of a speech."""
    return Audio(speech.audio, speech.sample_rate)


def measure(row: Row, items: Sequence[Item], judge: DomainModel, seed: int) -> Result:
    """Make the sounds of a row and let the judge hear them."""
    ear, errors, words, failed, seconds = Ear(judge), 0, 0, 0, 0.0
    bar = tqdm(row.made(items, seed), total=len(items), desc=row.name[:40], file=sys.stderr, disable=None, leave=False)
    for heard in bar:
        counts = word_counts(clean(heard.text), ear.hear(heard.audio))
        errors, words = errors + counts.errors, words + counts.length
        failed += counts.errors > FAILED * counts.length
        seconds += len(heard.audio.samples) / heard.audio.sample_rate
    return Result(row.name, errors, words, len(items), failed, seconds)


def table(rows: Sequence[Row], results: dict[str, Result], seed: int) -> Iterator[str]:
    """Lines of the table."""
    yield "| row | WER | against | difference | sentences over 50 % | length against it |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        result, base = results[row.name], results[row.against]
        own = result is base
        difference = "" if own else f"{result.wer - base.wer:+.1f}"
        yield (
            f"| {row.name} | {result.wer:.1f} % | {'' if own else row.against} | {difference} | {result.failed} "
            f"| {result.seconds / base.seconds:.2f} |"
        )
    base = results[SAY]
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


def same_run(items: Sequence[Item], seed: int, model: str | None) -> str:
    """What must be equal for a row to be kept: texts, seed, model, and the source and weights it was made with."""
    weights = Path(unisono.__file__).parent / "builtin" / "model.safetensors" if model is None else Path(model)
    stamp = f"{weights.stat().st_size} {weights.stat().st_mtime_ns}" if weights.exists() else ""
    said = "\n".join([*(item.text for item in items), str(seed), str(model), version("unisono"), stamp])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def kept(path: Path | None, run: str) -> dict[str, Result]:
    """Rows of an earlier run of the same."""
    if path is None or not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if content.get("run") != run:
        return {}
    return {row["name"]: Result(*(row[name] for name in Result._fields)) for row in content["rows"]}


def keep(path: Path | None, run: str, results: dict[str, Result], texts: Sequence[str], seed: int) -> None:
    """Write the rows that there are."""
    if path is None:
        return
    machine = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "seed": seed}
    rows = [{**result._asdict(), "wer": result.wer} for result in results.values()]
    with replacing(path) as temporary:
        content = {"run": run, **machine, "rows": rows, "texts": list(texts)}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def chosen_rows(rows: Sequence[Row], names: str) -> list[Row]:
    """Rows whose name begins so, and those that they are compared with; all without a name."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    found = [row for row in rows if not wanted or any(row.name.startswith(name) for name in wanted)]
    needed = {row.name for row in found} | {row.against for row in found} | {SAY}
    return [row for row in rows if row.name in needed]


def main(argv: Sequence[str] | None = None) -> int:
    """Speak, hear, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="default is the built-in model")
    parser.add_argument("--speaker", action="append", default=[], help="only this speaker's texts; may be repeated")
    parser.add_argument("--sentences", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", default="", help="names of rows, or how they begin, with commas")
    parser.add_argument("--write", type=Path, help="document whose table is filled")
    parser.add_argument("--json", type=Path, help="file for the numbers and the machine; rows it holds are kept")
    given = parser.parse_args(argv)
    data = read_data(given.data, given.speaker)
    distinct = list({clean(item.text): item for item in data.items if len(clean(item.text).split()) > 1}.values())
    items = choose(distinct, given.sentences)
    texts = [item.text for item in items]
    run = same_run(items, given.seed, given.model)
    rows, results = chosen_rows(Rows(given.model).all(), given.rows), kept(given.json, run)
    with tempfile.TemporaryDirectory() as folder:
        judge = write_domain_model(Path(folder), [*data.domain, *texts, *map(edited, texts)])
        for number, row in enumerate(rows, 1):
            start = time.perf_counter()
            known = row.name in results
            if not known:
                results[row.name] = measure(row, items, judge, given.seed)
                keep(given.json, run, results, texts, given.seed)
            took = "kept" if known else f"{time.perf_counter() - start:.0f} s"
            result = results[row.name]
            line = f"{number}/{len(rows)} {row.name}: {result.wer:.1f} % of {result.words} words ({took})"
            print(line, file=sys.stderr, flush=True)
    lines = list(table(rows, results, given.seed))
    print("\n".join(lines))
    if given.write:
        fill(given.write, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
