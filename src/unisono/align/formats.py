"""Word times as files: JSON, SubRip, WebVTT, Praat TextGrid and CSV, chosen by suffix.

Times in files are seconds with six decimals (JSON, TextGrid, CSV) or whole milliseconds (SRT, VTT).
SRT holds subtitles to be read (`cues`), VTT, which players and pages highlight words with, one cue per word.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from unisono.align.cues import subtitles
from unisono.errors import InputError
from unisono.files import STANDARD, check_output, replacing
from unisono.interface import Speech, Word

FRAME_SECONDS = 1 / 50
DECIMALS = 6


def write_words(path: str | Path, speech: Speech) -> None:
    """Write the words (and, where the format has a place for them, tokens) of a speech; "-" is JSON on stdout.

    Raises:
        InputError: unknown suffix, or a file that cannot be written; nothing half-written is left behind.
    """
    check_words_path(path)
    suffix = ".json" if str(path) == STANDARD else Path(path).suffix.lower()
    content = _WRITERS[suffix](speech)
    if str(path) == STANDARD:
        if (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8" and hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8")  # JSON is UTF-8 wherever it goes
        sys.stdout.write(content)
        return
    with replacing(path) as temporary:
        temporary.write_text(content, encoding="utf-8", newline="\n")


def check_words_path(path: str | Path) -> None:
    """Refuse, before any work is done, what `write_words` could not write. Raises InputError."""
    check_output(path, SUFFIXES)


def to_json(speech: Speech) -> str:
    """The words JSON of design.md: text, duration, sample_rate, words and tokens."""
    duration = round(speech.duration, DECIMALS)
    content = {
        "text": speech.text,
        "duration": duration,
        "sample_rate": speech.sample_rate,
        "words": [
            {"text": word.text, "start": round(word.start, DECIMALS), "end": min(round(word.end, DECIMALS), duration)}
            for word in speech.words
        ],
        "tokens": [
            {"id": token.id, "text": token.text, "position": token.position, "gap": token.gap}
            for token in speech.tokens
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def to_srt(speech: Speech) -> str:
    """SubRip: numbered subtitles of one or two lines."""
    cues = [Word("\n".join(cue.lines), cue.start, cue.end) for cue in subtitles(speech)]
    numbered = enumerate(_milliseconds(cues), start=1)
    return "\n".join(f"{n}\n{_clock(a, ',')} --> {_clock(b, ',')}\n{text}\n" for n, (text, a, b) in numbered)


def to_vtt(speech: Speech) -> str:
    """WebVTT, one cue per word; `&`, `<` and `>` are escaped as the format demands."""
    cues = [
        f"{_clock(a, '.')} --> {_clock(b, '.')}\n"
        + text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        + "\n"
        for text, a, b in _milliseconds(speech.words)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def to_csv(speech: Speech) -> str:
    """CSV with the columns text, start, end."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(Word._fields)
    writer.writerows((w.text, _seconds(w.start), _seconds(w.end)) for w in speech.words)
    return table.getvalue()


def to_textgrid(speech: Speech) -> str:
    """Praat TextGrid, long text format: an interval tier "words" that covers all time, a point tier "tokens"."""
    duration = round(speech.duration, DECIMALS)
    if duration <= 0:
        raise InputError("a TextGrid needs a sound of some length, this one is empty: use a longer recording")
    intervals = _cover(speech.words, duration)
    points = _points(speech, duration)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", *_span(duration, ""), "tiers? <exists>"]
    lines += ["size = 2", "item []:", "    item [1]:", '        class = "IntervalTier"', '        name = "words"']
    lines += [*_span(duration, " " * 8), f"        intervals: size = {len(intervals)}"]
    for number, (text, start, end) in enumerate(intervals, start=1):
        lines += [f"        intervals [{number}]:", f"            xmin = {_seconds(start)}"]
        lines += [f"            xmax = {_seconds(end)}", f"            text = {_praat(text)}"]
    lines += ["    item [2]:", '        class = "TextTier"', '        name = "tokens"']
    lines += [*_span(duration, " " * 8), f"        points: size = {len(points)}"]
    for number, (text, time) in enumerate(points, start=1):
        lines += [f"        points [{number}]:", f"            number = {_seconds(time)}"]
        lines += [f"            mark = {_praat(text)}"]
    return "\n".join(lines) + "\n"


def _milliseconds(words: Sequence[Word]) -> Iterator[tuple[str, int, int]]:
    """(text, start, end) in whole milliseconds, still without overlap and at least 1 ms long."""
    earliest = 0
    for word in words:
        start = max(round(word.start * 1000), earliest)
        earliest = max(round(word.end * 1000), start + 1)
        yield word.text, start, earliest


def _clock(milliseconds: int, mark: str) -> str:
    """hh:mm:ss and milliseconds after `mark`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{rest:03d}"


def _cover(words: list[Word], duration: float) -> list[tuple[str, float, float]]:
    """Intervals (text, start, end) without holes from 0 to `duration`; silence has the text ""."""
    intervals: list[tuple[str, float, float]] = []
    reached = 0.0
    for word in words:
        start = max(round(word.start, DECIMALS), reached)
        end = min(round(word.end, DECIMALS), duration)
        if end <= start:
            continue
        if start > reached:
            intervals.append(("", reached, start))
        intervals.append((word.text, start, end))
        reached = end
    if reached < duration:
        intervals.append(("", reached, duration))
    return intervals


def _points(speech: Speech, duration: float) -> list[tuple[str, float]]:
    """(text, time) of every mark; marks that fall together become one point, for Praat allows one at a time."""
    marks = ((token.text, min((token.position - 0.5) * FRAME_SECONDS, duration)) for token in speech.tokens)
    grouped = groupby(((text, max(round(time, DECIMALS), 0.0)) for text, time in marks), key=lambda mark: mark[1])
    return [(" ".join(text for text, _ in same), time) for time, same in grouped]


def _span(duration: float, indent: str) -> list[str]:
    """The two lines that say from when to when."""
    return [f"{indent}xmin = 0", f"{indent}xmax = {_seconds(duration)}"]


def _praat(text: str) -> str:
    """A Praat string: in quotes, quotes inside doubled, on one line."""
    return '"' + " ".join(text.splitlines()).replace('"', '""') + '"'


def _seconds(value: float) -> str:
    """Seconds without exponent and needless zeros."""
    return f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")


_WRITERS: dict[str, Callable[[Speech], str]] = {
    ".json": to_json,
    ".srt": to_srt,
    ".vtt": to_vtt,
    ".textgrid": to_textgrid,
    ".csv": to_csv,
}
SUFFIXES = (".json", ".srt", ".vtt", ".TextGrid", ".csv")
