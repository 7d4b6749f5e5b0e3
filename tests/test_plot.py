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
from unisono.plot import choose_lanes, draw_speech, plot_speech


def speech_of(seconds: float, rate: int = 24000) -> Speech:
    """Noise with a word every 0.3 s and a token every 0.1 s; texts that matplotlib could misread."""
    count = int(seconds / 0.3)
    texts = ["$3.50", "a_{b}", "日本", "word"]
    words = [Word(texts[i % 4], 0.3 * i, 0.3 * i + 0.25) for i in range(count)]
    tokens = [Token(i, "\n" if i % 7 == 0 else "ab", 5 * i + 1, 5) for i in range(3 * count)]
    noise = np.random.default_rng(0).normal(size=round(seconds * rate)).astype(np.float32) * 0.1
    return Speech(noise, rate, " ".join(word.text for word in words), words, tokens)


@pytest.mark.parametrize(("seconds", "rate", "height"), [(0.001, 24000, 450), (3.0, 16000, 450), (9.0, 44100, 850)])
def test_writes_a_picture_1600_pixels_wide(tmp_path: Path, seconds: float, rate: int, height: int) -> None:
    path = tmp_path / "picture.png"
    plot_speech(speech_of(seconds, rate), path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1600, height)
    assert [item.name for item in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("suffix", [".jpg", ".svg", ".pdf"])
def test_other_suffixes(tmp_path: Path, suffix: str) -> None:
    plot_speech(speech_of(1.0), tmp_path / f"picture{suffix}")
    assert (tmp_path / f"picture{suffix}").stat().st_size > 1000


@pytest.mark.filterwarnings("ignore:Glyph")  # the renderer is asked here without the picture's own filter
def test_labels_do_not_overlap_and_pyplot_is_not_used() -> None:
    figure = draw_speech(speech_of(20.0))
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes:
        boxes = [text.get_window_extent(renderer) for text in axes.texts if text.get_clip_on()]
        for index, box in enumerate(boxes):
            clashes = [
                b for b in boxes[index + 1 :] if min(b.x1, box.x1) - max(b.x0, box.x0) > 1 and abs(b.y0 - box.y0) < 5
            ]
            assert not clashes
    assert "matplotlib.pyplot" not in sys.modules


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
