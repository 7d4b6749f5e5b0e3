"""Raw recordings and texts -> shards: resampled sound, pitch and an index, split by text.

A prepared folder holds `corpus.json` (what and how many), `clips.jsonl` (one clip a line), and per shard
`audio-NNNN.i16` (mono 24 kHz) and `pitch-NNNN.f16` (Hz, 100 a second, 0 unvoiced), all read by memory map.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from unisono.audio import read_audio, resample
from unisono.audio.pitch import pitch
from unisono.errors import AudioError, DataError, UnisonoError
from unisono.files import is_unicode

SAMPLE_RATE = 24000
CLIPS_PER_SHARD = 2000
MAX_SILENCE = 0.6  # seconds kept before the first and after the last sound


@dataclass(frozen=True)
class SourceClip:
    """One line of a source: sound file, text, speaker and language."""

    audio: str
    text: str
    speaker: str
    language: str = "en"


def prepare(
    source: str | list[str], output: str, holdout: float = 0.05, workers: int | None = None, limit: int = 0
) -> dict:
    """Build a prepared folder.

    Args:
        source: folders with `metadata.csv` (ours, LJSpeech or VCTK layout) or a .csv/.jsonl manifest.
        output: new folder; built under a temporary name, then renamed.
        holdout: share of texts kept for validation; takes of one text stay together.
        limit: use only the first clips of the sources (0 = all).

    Returns:
        the content of `corpus.json`.

    Raises:
        DataError: unknown layout, nothing usable, or an output that exists.
    """
    sources = [source] if isinstance(source, str) else list(source)
    clips = [clip for item in sources for clip in read_source(Path(item))]
    clips = clips[: limit or None]
    if not clips:
        raise DataError(f"there is no recording in {', '.join(map(str, sources))}: nothing to prepare")
    target = Path(output)
    if target.exists():
        raise DataError(f"{target} exists already; choose a new folder or remove it first")
    if not target.parent.is_dir():
        raise DataError(f"the folder {target.parent} does not exist; create it first")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        summary = _write_shards(clips, partial, holdout, workers or os.cpu_count() or 1)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return summary


def _write_shards(clips: list[SourceClip], folder: Path, holdout: float, workers: int) -> dict:
    from tqdm import tqdm

    jobs = [
        (index, clips[start : start + CLIPS_PER_SHARD], str(folder), holdout)
        for index, start in enumerate(range(0, len(clips), CLIPS_PER_SHARD))
    ]
    rows: list[dict] = []
    failures: list[str] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(workers, len(jobs))) as pool, open(folder / "clips.jsonl", "w", encoding="utf-8") as index:
        for shard_rows, shard_failures in tqdm(
            pool.imap(_write_shard, jobs), total=len(jobs), disable=None, unit="shard"
        ):
            rows += shard_rows
            failures += shard_failures
            index.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in shard_rows)
    if not rows:
        raise DataError(
            f"no usable clip in the source; the first trouble: {failures[0] if failures else 'it is empty'}"
        )
    summary = {
        "version": 1,
        "sample_rate": SAMPLE_RATE,
        "clips": len(rows),
        "hours": round(sum(row["samples"] for row in rows) / SAMPLE_RATE / 3600, 3),
        "held_out": sum(row["split"] == "heldout" for row in rows),
        "speakers": sorted({row["speaker"] for row in rows}),
        "skipped": failures[:100],
    }
    (folder / "corpus.json").write_text(json.dumps(summary, ensure_ascii=False, indent=1), encoding="utf-8")
    return summary


def _write_shard(job: tuple[int, list[SourceClip], str, float]) -> tuple[list[dict], list[str]]:
    index, clips, folder, holdout = job
    rows, failures, offset = [], [], 0
    names = f"audio-{index:04d}.i16", f"pitch-{index:04d}.f16"
    with open(Path(folder) / names[0], "wb") as audio_file, open(Path(folder) / names[1], "wb") as pitch_file:
        pitch_offset = 0
        for clip in clips:
            try:
                wave = _load_wave(clip.audio)
            except UnisonoError as error:
                failures.append(str(error))
                continue
            track = pitch(wave, SAMPLE_RATE)
            audio_file.write((wave * 32767).astype(np.int16).tobytes())
            pitch_file.write(track.astype(np.float16).tobytes())
            rows.append(
                asdict(clip)
                | {
                    "shard": index,
                    "offset": offset,
                    "samples": len(wave),
                    "pitch_offset": pitch_offset,
                    "split": "heldout" if held_out(clip.text, holdout) else "train",
                }
            )
            offset += len(wave)
            pitch_offset += len(track)
    return rows, failures


def _load_wave(path: str) -> np.ndarray:
    """Sound at 24 kHz, long silences at both ends cut to `MAX_SILENCE`, peaks kept under full scale."""
    audio = read_audio(path)
    wave = resample(audio, SAMPLE_RATE).samples
    loud = np.flatnonzero(np.abs(wave) > 0.02 * max(float(np.abs(wave).max()), 1e-6))
    if len(loud) < 100:
        raise AudioError(f"{path} holds no sound")
    margin = int(MAX_SILENCE * SAMPLE_RATE)
    wave = wave[max(loud[0] - margin, 0) : loud[-1] + margin]
    return wave / max(1.0, float(np.abs(wave).max()))


def held_out(text: str, share: float) -> bool:
    """Whether a text belongs to the held-out part: decided by its letters alone, so that takes stay together."""
    letters = re.sub(r"[^\w]+", " ", text.lower()).strip()
    return int(hashlib.sha256(letters.encode()).hexdigest()[:8], 16) < share * 2**32


def read_source(source: Path) -> list[SourceClip]:
    """The clips of one source folder or manifest.

    Raises:
        DataError: missing, or not one of the known layouts.
    """
    if source.is_dir():
        if (source / "metadata.csv").is_file():
            return list(_read_metadata(source / "metadata.csv"))
        if (source / "wav48_silence_trimmed").is_dir() or (source / "wav48").is_dir():
            return list(_read_vctk(source))
        raise DataError(f"{source} has no metadata.csv and is no VCTK folder; give LJSpeech, VCTK, CSV, JSONL or ours")
    if not source.is_file():
        raise DataError(f"{source} does not exist; give a folder with metadata.csv or a .csv/.jsonl manifest")
    if source.suffix == ".jsonl":
        return list(_read_jsonl(source))
    if source.suffix == ".csv":
        return list(_read_metadata(source))
    raise DataError(f"{source} is no known manifest; expected a folder, .csv or .jsonl")


def _read_metadata(path: Path) -> Iterator[SourceClip]:
    """Our `file|text|speaker|language|seconds` with a header, or LJSpeech's `id|text|normalised` without one."""
    try:
        rows = list(csv.reader(_read_lines(path), delimiter="|", quoting=csv.QUOTE_NONE))
    except csv.Error as problem:
        raise DataError(f"{path} cannot be read as a table ({problem}): write it again") from problem
    if rows and rows[0][:2] == ["file", "text"]:
        header = rows[0]
        for where, row in _complete(rows[1:], len(header), path, exact=True):
            item = dict(zip(header, row, strict=True))
            audio = str(path.parent / item["file"])
            yield _clip(
                where, audio, item["text"], item.get("speaker") or path.parent.name, item.get("language") or "en"
            )
        return
    for where, row in _complete(rows, 2, path):
        yield _clip(where, str(path.parent / "wavs" / f"{row[0]}.wav"), row[-1], path.parent.name)


def _read_text(path: Path) -> str:
    """A file of text. Raises DataError for one that is no UTF-8 or may not be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{path} cannot be read as UTF-8 text: save it as UTF-8") from problem


def _read_lines(path: Path) -> list[str]:
    """Lines of a file of text; of all that Unicode takes for line breaks only those of systems are."""
    return [line.rstrip("\r\n") for line in io.StringIO(_read_text(path), newline="")]


def _clip(where: str, audio: str, text: str, speaker: str, language: str = "en") -> SourceClip:
    """A clip, checked; `where` is what messages call it."""
    given = (audio, text, speaker, language)
    if not all(isinstance(value, str) and is_unicode(value) for value in given):
        raise DataError(f"{where}: audio, text, speaker and language must be texts, got {ascii(given)[:100]}")
    if not text.strip():
        raise DataError(f"{where} has no text: every recording needs its words")
    return SourceClip(*given)


def _complete(
    rows: Iterable[list[str]], width: int, path: Path, exact: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Rows that are not empty, each with what messages call it."""
    for number, row in enumerate(rows, 1):
        where = f"{path}, row {number}"
        if row and (len(row) < width or (exact and len(row) > width)):
            raise DataError(f"{where}: {len(row)} fields separated by '|', expected {width}")
        if row:
            yield where, row


def _read_jsonl(path: Path) -> Iterator[SourceClip]:
    for number, line in enumerate(_read_lines(path), 1):
        try:
            item = json.loads(line)
            audio, text = str(path.parent / item["audio"]), item["text"]
            speaker, language = item.get("speaker", "speaker"), item.get("language", "en")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: expected JSON with audio and text, got {line[:60]!r}") from error
        yield _clip(f"{path}, line {number}", audio, text, speaker, language)


def _read_vctk(folder: Path) -> Iterator[SourceClip]:
    waves = folder / ("wav48_silence_trimmed" if (folder / "wav48_silence_trimmed").is_dir() else "wav48")
    for text_file in sorted((folder / "txt").glob("*/*.txt")):
        speaker, stem = text_file.parent.name, text_file.stem
        for name in (f"{stem}_mic1.flac", f"{stem}.flac", f"{stem}.wav"):
            if (waves / speaker / name).is_file():
                yield _clip(
                    str(text_file), str(waves / speaker / name), _read_text(text_file).strip(), f"vctk-{speaker}"
                )
                break
