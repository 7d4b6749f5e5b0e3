"""Pictures: they are written whole or not at all, labels do not overlap, and no global state is touched."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisono.errors import InputError
from unisono.interface import Speech, Token, Word
from unisono.plot import DPI, ROW_INCHES, TITLE_INCHES, break_rows, choose_lanes, draw_speech, plot_speech, spread


def speech_of(seconds: float, rate: int = 24000) -> Speech:
    """Noise with a word every 0.3 s and a token every 0.1 s; texts that matplotlib could misread."""
    count = int(seconds / 0.3)
    texts = ["$3.50", "a_{b}", "日本", "word"]
    words = [Word(texts[i % 4], 0.3 * i, 0.3 * i + 0.25) for i in range(count)]
    tokens = [Token(i, "\n" if i % 7 == 0 else "ab", 5 * i + 1, 5) for i in range(3 * count)]
    noise = np.random.default_rng(0).normal(size=round(seconds * rate)).astype(np.float32) * 0.1
    return Speech(noise, rate, " ".join(word.text for word in words), words, tokens)


@pytest.mark.parametrize(("seconds", "rate", "rows"), [(0.001, 24000, 1), (3.0, 16000, 1), (13.0, 44100, 2)])
def test_writes_a_picture_1600_pixels_wide(tmp_path: Path, seconds: float, rate: int, rows: int) -> None:
    path = tmp_path / "picture.png"
    plot_speech(speech_of(seconds, rate), path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    height = round(DPI * (TITLE_INCHES + rows * ROW_INCHES))
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1600, height)
    assert [item.name for item in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("suffix", [".jpg", ".svg", ".pdf"])
def test_other_suffixes(tmp_path: Path, suffix: str) -> None:
    plot_speech(speech_of(1.0), tmp_path / f"picture{suffix}")
    assert (tmp_path / f"picture{suffix}").stat().st_size > 1000


def letters_of(seconds: float, words: float = 3.0, letters: int = 5) -> Speech:
    """Words of uneven length with a token for every letter and space, as small models have them."""
    draw = np.random.default_rng(1)
    edges = np.sort(draw.uniform(0.02, seconds - 0.02, 2 * max(int(words * seconds), 1)))
    names = ["a" * int(draw.integers(1, 2 * letters)) for _ in edges[::2]]
    words_ = [Word(*item) for item in zip(names, edges[::2].tolist(), edges[1::2].tolist(), strict=True)]
    count = min(sum(map(len, names)) + len(names), int(seconds * 50) - 1)
    marks = np.sort(draw.choice(np.arange(1, int(seconds * 50)), count, replace=False)).tolist()
    tokens = [Token(i, "m", mark, mark - last) for i, (last, mark) in enumerate(pairwise([0, *marks]))]
    noise = draw.normal(size=round(seconds * 24000)).astype(np.float32) * 0.1
    return Speech(noise, 24000, " ".join(names), words_, tokens)


@pytest.mark.filterwarnings("ignore:Glyph")  # the renderer is asked here without the picture's own filter
@pytest.mark.parametrize(
    "speech",
    [speech_of(0.9), speech_of(20.0), letters_of(0.4), letters_of(2.5), letters_of(30.0), letters_of(290.0)],
    ids=lambda speech: f"{speech.duration:.1f} s, {len(speech.tokens)} tokens",
)
def test_no_two_labels_overlap_and_none_leaves_the_picture(speech: Speech) -> None:
    figure = draw_speech(speech)
    renderer = figure.canvas.get_renderer()
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    for axes in figure.axes[2::3]:  # matplotlib also keeps ticks beyond the ends, and does not draw them
        low, high = axes.get_xlim()
        texts += [text for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    assert len(boxes) > 4
    width, height = figure.get_size_inches() * figure.dpi
    edges = np.array([(box.x0, box.y0, box.x1, box.y1) for box in boxes])
    assert edges[:, :2].min() >= -1 and edges[:, 2].max() <= width + 1 and edges[:, 3].max() <= height + 1
    for index, (x0, y0, x1, y1) in enumerate(edges):
        across = np.minimum(x1, edges[index + 1 :, 2]) - np.maximum(x0, edges[index + 1 :, 0])
        down = np.minimum(y1, edges[index + 1 :, 3]) - np.maximum(y0, edges[index + 1 :, 1])
        clash = np.flatnonzero((across > 0.5) & (down > 2))  # boxes of a font's height, letters are lower
        assert not clash.size, (texts[index].get_text(), texts[index + 1 + clash[0]].get_text())


def test_every_word_and_token_of_ordinary_speech_is_labelled() -> None:
    speech = letters_of(10.0)
    shown = [text.get_text() for axes in draw_speech(speech).axes for text in axes.texts]
    assert shown.count("m") == len(speech.tokens)
    assert sum(text.startswith("a") for text in shown) >= 0.9 * len(speech.words)
    assert "token" in shown and "gap" in shown


def test_no_global_state_is_touched() -> None:
    draw_speech(speech_of(1.0))
    assert "matplotlib.pyplot" not in sys.modules


@given(st.floats(0, 300), st.floats(0.5, 9), st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 2)), max_size=100))
def test_rows_cover_all_time(duration: float, span: float, steps: list[tuple[float, float]]) -> None:
    edges = np.cumsum([step for pair in steps for step in pair]).tolist()
    words = [(edges[i], edges[i + 1]) for i in range(0, len(edges), 2)]
    rows = break_rows(duration, span, words)
    assert rows[0][0] == 0 and rows[-1][1] == duration
    assert all(a[1] == b[0] for a, b in pairwise(rows))
    assert all(stop - start <= span * 1.001 for start, stop in rows)
    assert all(stop - start >= 0.74 * span for start, stop in rows[:-1])


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 9)), max_size=30))
def test_spreading(labels: list[tuple[float, float]]) -> None:
    centres, widths = sorted(c for c, _ in labels), [w for _, w in labels]
    places = spread(centres, widths, 0.0, 100.0)
    if sum(widths) > 100.01:
        assert places is None
    elif sum(widths) < 99.99:
        assert len(places) == len(labels)
        assert all(b - a >= (v + w) / 2 - 1e-6 for (a, v), (b, w) in pairwise(zip(places, widths, strict=True)))
        assert not labels or (places[0] >= widths[0] / 2 - 1e-6 and places[-1] <= 100 - widths[-1] / 2 + 1e-6)
    if places and all(b - a >= (v + w) / 2 for (a, v), (b, w) in pairwise(zip(centres, widths, strict=True))):
        inside = centres[0] >= widths[0] / 2 and centres[-1] <= 100 - widths[-1] / 2
        assert not inside or places == pytest.approx(centres)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20)), max_size=30), st.integers(1, 4))
def test_lanes(labels: list[tuple[float, float]], lanes: int) -> None:
    labels = sorted(labels)
    chosen = choose_lanes([c for c, _ in labels], [w for _, w in labels], lanes)
    for lane in range(lanes):
        mine = [label for label, at in zip(labels, chosen, strict=True) if at == lane]
        assert all(a + wa / 2 <= b - wb / 2 for (a, wa), (b, wb) in pairwise(mine))
    assert not labels or chosen[0] == 0


@pytest.mark.parametrize("name", ["picture.bmp", "picture", "missing/picture.png"])
def test_refuses_bad_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"known are \.png|does not exist"):
        plot_speech(speech_of(1.0), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_refuses_an_empty_speech(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sound"):
        plot_speech(speech_of(0.0), tmp_path / "picture.png")
