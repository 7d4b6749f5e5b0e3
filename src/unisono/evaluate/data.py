"""What is evaluated: recordings with their texts, from a folder with metadata.csv or from a prepared corpus.

Axes: N samples.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unisono.audio import check_audio, read_audio
from unisono.errors import DataError, InputError
from unisono.interface import Audio

METADATA = "metadata.csv"
COLUMNS = ("file", "text")  # required; speaker, language and seconds may follow
CORPUS, CLIPS = "corpus.json", "clips.jsonl"
CORPUS_VERSION = 1
PROMPTS = Path(__file__).parent / "domain_en.txt.gz"  # the 1,111 sentences of CMU ARCTIC, out of copyright
FULL_SCALE = 32767  # of the 16-bit shards that `unisono prepare` writes


@dataclass(frozen=True)
class Item:
    """One recording with its text.

    Attributes:
        name: how the data calls it.
        path: a sound file, or a shard of 16-bit samples when `count` is not 0.
        offset, count: first sample and number of samples within the shard, at `rate` Hz.
    """

    name: str
    text: str
    speaker: str
    language: str
    path: Path
    offset: int = 0
    count: int = 0
    rate: int = 0

    @property
    def said(self) -> str:
        """The words in lower case: equal for takes of one text."""
        return " ".join(re.findall(r"\w+", self.text.lower()))

    def read(self) -> Audio:
        """The recording, mono float32 [N]. Raises AudioError when it cannot be used or is silent."""
        if not self.count:
            return read_audio(self.path, require_sound=True)
        shard = np.memmap(self.path, dtype=np.int16, mode="r")
        samples = shard[self.offset : self.offset + self.count].astype(np.float32) / FULL_SCALE
        return check_audio(Audio(samples, self.rate), f"{self.name} in {self.path.parent}", require_sound=True)


class Dataset(NamedTuple):
    """The recordings that may be evaluated, all sentences of their domain, and where those were found."""

    items: list[Item]
    domain: list[str]
    sources: list[str]


def read_data(folder: str | Path, speakers: Sequence[str] = (), domain: Sequence[str | Path] = ()) -> Dataset:
    """The recordings of a folder.

    Args:
        folder: holds `metadata.csv` (all its rows are taken), or is a prepared corpus (its held-out split is taken).
        speakers: only theirs; empty = everybody's.
        domain: folders with metadata.csv, prepared corpora or text files (one sentence a line) whose English sentences
            are the domain. Empty = the neighbours `FOLDER/../*/metadata.csv`, which includes the folder itself, and for
            one without neighbours the sentences that come with this package (`PROMPTS`); for a prepared corpus all
            sentences, of any split, that the evaluated speakers read.

    Raises:
        DataError: missing, of no known layout, damaged, or nothing left to evaluate.
    """
    path = Path(folder)
    items, beside = _read_folder(path)
    if speakers:
        items = [item for item in items if item.speaker in speakers]
        if not items:
            raise DataError(f"{path} has no recordings of {', '.join(speakers)} to evaluate: check the speakers' names")
    if domain:
        files = [Path(name) for name in domain]
    elif (path / METADATA).is_file():
        files = sorted(path.resolve().parent.glob(f"*/{METADATA}"))
        # A few evaluated sentences alone are a closed list from which nearly everything is guessed right.
        files += [PROMPTS] if len(files) == 1 else []
    else:
        heard = {item.speaker for item in items}
        sentences = [row["text"] for row in beside if row["speaker"] in heard and _english(row["language"])]
        return Dataset(items, sentences, [str(path)])
    sentences = [sentence for file in files for sentence in read_sentences(file)]
    return Dataset(items, sentences, [str(file) for file in files])


def read_sentences(source: Path) -> list[str]:
    """English sentences of a folder, a metadata.csv or a text file.

    Raises:
        DataError: missing or not one of these.
    """
    if source.is_dir():
        if (source / CORPUS).is_file():
            return [row["text"] for row in _corpus_rows(source)[1] if _english(row["language"])]
        source = source / METADATA
    if source.name == METADATA:
        return [row["text"] for row in _metadata_rows(source) if _english(row.get("language") or "en")]
    try:
        content = gzip.decompress(source.read_bytes()) if source == PROMPTS else source.read_bytes()
        return [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"the sentences of {source} cannot be read: wanted is UTF-8 text, one a line") from problem


def choose(items: Sequence[Item], limit: int | None) -> list[Item]:
    """All items, or `limit` of them spread evenly over the list, so that no part of the data is preferred.

    Raises:
        InputError: a limit that is no positive whole number.
    """
    if limit is None:
        return list(items)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InputError(f"the limit is {limit!r}, wanted is a positive whole number of sentences")
    count = min(limit, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _english(language: str) -> bool:
    return language.lower().startswith("en")


def _read_folder(path: Path) -> tuple[list[Item], list[Mapping]]:
    """Items to evaluate, and all rows of a corpus (for a folder with metadata.csv they are not needed)."""
    if not path.is_dir():
        state = "is a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {state}, wanted is a folder with {METADATA}, or a prepared corpus")
    if (path / METADATA).is_file():
        return [_metadata_item(path, number, row) for number, row in enumerate(_metadata_rows(path / METADATA), 2)], []
    if (path / CORPUS).is_file():
        rate, rows = _corpus_rows(path)
        items = [_corpus_item(path, number, row, rate) for number, row in enumerate(rows) if row["split"] == "heldout"]
        if not items:
            raise DataError(f"the corpus {path} holds nothing out: prepare it again with a share to hold out")
        return items, rows
    raise DataError(f"{path} has neither {METADATA} nor {CORPUS}: wanted is a folder of recordings with their texts")


def _metadata_rows(path: Path) -> list[dict[str, str]]:
    """Rows of `file|text|speaker|language|seconds` by column name."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise DataError(f"{path} cannot be read as UTF-8 text with one row a line: write it again") from problem
    header = rows[0] if rows else []
    if tuple(header[:2]) != COLUMNS:
        raise DataError(f"{path} begins with {'|'.join(header)[:60]!r}, wanted is file|text|speaker|language|seconds")
    for number, row in enumerate(rows[1:], 2):
        if row and len(row) != len(header):
            raise DataError(f"{path}, line {number} has {len(row)} fields separated by |, wanted are {len(header)}")
    found = [dict(zip(header, row, strict=True)) for row in rows[1:] if row]
    if not found:
        raise DataError(f"{path} has no rows: there is nothing to evaluate")
    return found


def _metadata_item(folder: Path, number: int, row: Mapping[str, str]) -> Item:
    """One row, checked. `number` is its line."""
    path = folder / row["file"]
    if not row["text"].strip():
        raise DataError(f"{folder / METADATA}, line {number} has no text: every recording needs its words")
    if not path.is_file():
        raise DataError(f"{folder / METADATA}, line {number} names {row['file']}, which does not exist")
    return Item(row["file"], row["text"], row.get("speaker") or folder.name, row.get("language") or "en", path)


def _corpus_rows(folder: Path) -> tuple[int, list[dict]]:
    """Sampling rate and rows of what `unisono prepare` wrote."""
    try:
        summary = json.loads((folder / CORPUS).read_text(encoding="utf-8"))
        version, rate = summary["version"], int(summary["sample_rate"])
        rows = [json.loads(line) for line in (folder / CLIPS).read_text(encoding="utf-8").splitlines() if line]
        wanted = {"text", "speaker", "language", "shard", "offset", "samples", "split", "audio"}
        broken = next((number for number, row in enumerate(rows, 1) if wanted - row.keys()), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise DataError(f"{folder} is a damaged corpus: make it again with `unisono prepare`") from problem
    if version != CORPUS_VERSION:
        raise DataError(f"{folder} is a corpus of version {version}, this program reads version {CORPUS_VERSION}")
    if broken is not None:
        raise DataError(f"{folder / CLIPS}, line {broken} lacks a field: make it again with `unisono prepare`")
    return rate, rows


def _corpus_item(folder: Path, number: int, row: Mapping, rate: int) -> Item:
    """One held-out clip of a corpus, checked."""
    path = folder / f"audio-{row['shard']:04d}.i16"
    if not path.is_file() or path.stat().st_size < 2 * (row["offset"] + row["samples"]):
        raise DataError(f"{path} is missing or cut short: make the corpus again with `unisono prepare`")
    if not row["text"].strip():
        raise DataError(f"{folder / CLIPS}, line {number + 1} has no text: every recording needs its words")
    name = f"clip {number} ({Path(row['audio']).name})"
    return Item(name, row["text"], row["speaker"], row["language"], path, row["offset"], row["samples"], rate)
