"""Files of word times, read back by small readers of the formats."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisono.align import formats, write_words
from unisono.errors import InputError
from unisono.interface import Speech, Token, Word

RATE = 24000
SUFFIXES = (".json", ".srt", ".vtt", ".TextGrid", ".csv")


def speech_of(*words: tuple[str, float, float], seconds: float = 2.0, marks: tuple[int, ...] = ()) -> Speech:
    """A silent speech with given words and marks."""
    tokens = [Token(i, f't"{i}', p, p - q) for i, (p, q) in enumerate(zip(marks, (0, *marks), strict=False))]
    text = " ".join(word[0] for word in words)
    return Speech(np.zeros(round(seconds * RATE), np.float32), RATE, text, [Word(*word) for word in words], tokens)


TRICKY = speech_of(('"Say', 0.1, 0.5), ("<b>&,", 0.5, 0.7123456), ("日本-->", 1.2, 2.0), marks=(6, 30, 31, 100))


def seconds(clock: str) -> float:
    """hh:mm:ss,mmm or hh:mm:ss.mmm in seconds."""
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def cues(text: str) -> list[tuple[str, float, float]]:
    """(text, start, end) of all SRT or VTT cues."""
    found = re.findall(r"([\d:.,]{12}) --> ([\d:.,]{12})\n(.*)\n", text)
    return [(body, seconds(start), seconds(end)) for start, end, body in found]


def praat_numbers(text: str, key: str) -> list[float]:
    """Values of all lines `key = number`."""
    return [float(value) for value in re.findall(rf"^\s*{key} = (\S+)$", text, re.M)]


def test_json_is_the_contract(tmp_path: Path) -> None:
    write_words(tmp_path / "w.json", TRICKY)
    read = json.loads((tmp_path / "w.json").read_text(encoding="utf-8"))
    assert list(read) == ["text", "duration", "sample_rate", "words", "tokens"]
    assert (read["text"], read["duration"], read["sample_rate"]) == (TRICKY.text, 2.0, RATE)
    assert [Word(**word) for word in read["words"]] == [Word(w.text, w.start, round(w.end, 6)) for w in TRICKY.words]
    assert [Token(**token) for token in read["tokens"]] == TRICKY.tokens


def test_srt_has_numbered_subtitles() -> None:
    text = formats.to_srt(TRICKY)
    assert cues(text) == [('"Say <b>&, 日本-->', 0.1, 2.0)] and text.startswith("1\n")
    two = formats.to_srt(speech_of(("One.", 0.1, 1.2), ("Two.", 1.3, 2.0)))
    assert cues(two) == [("One.", 0.1, 1.2), ("Two.", 1.3, 2.0)]
    assert re.findall(r"^\d+$", two, re.M) == ["1", "2"]
    assert formats.to_srt(speech_of()) == ""


def test_vtt_is_escaped() -> None:
    text = formats.to_vtt(TRICKY)
    assert text.startswith("WEBVTT\n\n")
    assert cues(text) == [('"Say', 0.1, 0.5), ("&lt;b&gt;&amp;,", 0.5, 0.712), ("日本--&gt;", 1.2, 2.0)]
    assert text.count("-->") == 3


def test_clock_beyond_an_hour() -> None:
    speech = speech_of(("late", 3661.5, 3662.0), seconds=4000)
    assert "01:01:01,500 --> 01:01:02,500" in formats.to_srt(speech)
    assert "01:01:01.500 --> 01:01:02.000" in formats.to_vtt(speech)


def test_csv_reads_back() -> None:
    rows = list(csv.DictReader(io.StringIO(formats.to_csv(TRICKY))))
    assert [row["text"] for row in rows] == [word.text for word in TRICKY.words]
    assert [float(row["end"]) for row in rows] == [0.5, 0.712346, 2.0]


def test_textgrid_covers_all_time() -> None:
    text = formats.to_textgrid(TRICKY)
    assert text.startswith(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 2\ntiers? <exists>\n'
    )
    words, tokens = re.split(r"item \[[12]\]:", text)[1:]
    starts, ends = praat_numbers(words, "xmin")[1:], praat_numbers(words, "xmax")[1:]
    assert starts == [0, *ends[:-1]]
    assert ends[-1] == 2
    assert len(ends) == int(re.search(r"intervals: size = (\d+)", words)[1])
    labels = [label.replace('""', '"') for label in re.findall(r'text = "(.*)"$', words, re.M)]
    assert labels == ["", '"Say', "<b>&,", "", "日本-->"]
    # The last two marks are 0.02 s apart and beyond the end: a mark never leaves the sound.
    assert praat_numbers(tokens, "number") == [0.11, 0.59, 0.61, 1.99]
    assert re.findall(r'mark = "(.*)"$', tokens, re.M) == ['t""0', 't""1', 't""2', 't""3']


def test_textgrid_joins_marks_that_fall_together() -> None:
    text = formats.to_textgrid(speech_of(("a", 0.0, 0.1), seconds=0.1, marks=(9, 12, 40)))
    assert re.findall(r'mark = "(.*)"$', text, re.M) == ['t""0 t""1 t""2']
    assert "points: size = 1" in text
    with pytest.raises(InputError, match="longer recording"):
        formats.to_textgrid(speech_of(seconds=0.0))


@given(st.lists(st.floats(1e-5, 3, allow_nan=False), min_size=2, max_size=30))
def test_no_overlap_in_any_format(steps: list[float]) -> None:
    edges = np.cumsum(steps)
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    speech = speech_of(*((f"w{i}", *map(float, pair)) for i, pair in enumerate(pairs)), seconds=float(edges[-1]) + 0.01)
    read = [(word["start"], word["end"]) for word in json.loads(formats.to_json(speech))["words"]]
    shown = [c[1:] for c in cues(formats.to_srt(speech))]
    for times in (read, shown, [c[1:] for c in cues(formats.to_vtt(speech))]):
        assert len(times) == len(pairs) or (times is shown and 0 < len(shown) < len(pairs))
        flat = [time for pair in times for time in pair]
        assert flat == sorted(flat)
        assert all(start < end for start, end in times)
    words = formats.to_textgrid(speech).split("item [2]")[0]
    starts, ends = praat_numbers(words, "xmin"), praat_numbers(words, "xmax")
    assert all(start < end for start, end in zip(starts, ends, strict=True))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writes_whole_files_only(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"words{suffix.upper()}"
    write_words(path, TRICKY)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    kept = path.read_bytes()
    monkeypatch.setattr(Path, "write_text", lambda *args, **kwargs: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(InputError, match="No space left"):
        write_words(path, TRICKY)
    assert path.read_bytes() == kept
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["words.txt", "words", "missing/words.json"])
def test_refuses_bad_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"known are \.json \.srt \.vtt \.TextGrid \.csv|does not exist"):
        write_words(tmp_path / name, TRICKY)
    assert not list(tmp_path.iterdir())


def test_dash_is_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    write_words("-", TRICKY)
    assert json.loads(capsys.readouterr().out)["text"] == TRICKY.text
