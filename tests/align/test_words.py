"""Word times: the contract of design.md for any marks, and the right side of a pause."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisono.align.pauses import find_pauses
from unisono.align.words import settled, words_from_marks
from unisono.errors import AlignmentError
from unisono.interface import Audio, Span, Word

RATE = 16000


def word_spans(text: str) -> list[Span]:
    """Items between white space that hold a letter or a digit."""
    return [Span(*m.span()) for m in re.finditer(r"\S+", text) if any(c.isalnum() for c in m.group())]


def letters(text: str) -> list[Span]:
    """One token per character."""
    return [Span(i, i + 1) for i in range(len(text))]


def bursts(*stretches: tuple[float, float], seconds: float) -> Audio:
    """Noise within the given stretches of seconds, near silence elsewhere."""
    draw = np.random.default_rng(0)
    samples = draw.normal(size=round(seconds * RATE)) * 1e-4
    for start, end in stretches:
        samples[round(start * RATE) : round(end * RATE)] *= 2000
    return Audio(samples.astype(np.float32), RATE)


def keeps_the_contract(words: list[Word], text: str, duration: float) -> None:
    assert [word.text for word in words] == [text[a:b] for a, b in word_spans(text)]
    reached = 0.0
    for word in words:
        assert 0 <= word.start < word.end <= duration
        assert word.start >= reached
        reached = word.end


@st.composite
def aligned(draw: st.DrawFn) -> tuple[str, list[Span], list[int], float]:
    """A text, tokens that may miss parts of it, cross words or be empty, and positions that may outrun the sound."""
    text = draw(st.text("ab1 .,-'", max_size=40))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=30)))
    tokens = [Span(a, b) for a, b in pairwise(cuts) if draw(st.booleans())]
    gaps = draw(st.lists(st.integers(0, 60), min_size=len(tokens), max_size=len(tokens)))
    positions = [int(p) + 1 for p in np.cumsum(gaps)]
    return text, tokens, positions, draw(st.floats(0.0001, 30, allow_nan=False))


@given(aligned(), st.floats(-0.2, 0.5), st.booleans())
def test_contract_for_any_marks(case: tuple, lead: float, heard: bool) -> None:
    text, tokens, positions, duration = case
    audio = bursts((0.3 * duration, 0.6 * duration), seconds=min(duration, 1.0)) if heard else None
    words = words_from_marks(text, word_spans(text), tokens, positions, duration, lead=lead, audio=audio)
    keeps_the_contract(words, text, duration)


def test_many_words_in_two_frames() -> None:
    text = " ".join("x" * 500)
    keeps_the_contract(words_from_marks(text, word_spans(text), [Span(0, 1)], [2], 0.04), text, 0.04)


def test_nothing_to_say() -> None:
    assert words_from_marks("", [], [], [], 1.0) == []
    assert words_from_marks(" - ", [], letters(" - "), [1, 2, 3], 1.0) == []


def test_word_without_token_lies_between_its_neighbours() -> None:
    text = "one two three"
    words = words_from_marks(text, word_spans(text), [Span(0, 3), Span(8, 13)], [10, 60], 2.0)
    assert words[0].end <= words[1].start
    assert 0.19 < words[1].start < words[1].end <= words[2].start
    keeps_the_contract(words, text, 2.0)


def test_the_mark_of_a_full_stop_is_no_sound_of_its_word() -> None:
    text = "no. yes"
    positions = [20, 25, 60, 75, 80, 82, 84]  # the stop is marked in the pause
    words = words_from_marks(text, word_spans(text), letters(text), positions, 2.0)
    assert words[0].end == pytest.approx(24.5 / 50 + 0.12)
    assert words[1].start == pytest.approx(79.5 / 50)


def test_silence_decides_end_and_start() -> None:
    text = "aa bb"
    audio = bursts((0.2, 0.6), (1.0, 1.5), seconds=2.0)
    words = words_from_marks(text, word_spans(text), letters(text), [15, 25, 40, 58, 70], 2.0, audio=audio)
    times = [time for word in words for time in (word.start, word.end)]
    assert times == pytest.approx([0.2, 0.6, 1.0, 1.5], abs=0.05)


def test_a_breath_between_words_belongs_to_neither() -> None:
    text = "aa bb"
    audio = bursts((0.2, 0.6), (0.9, 1.0), (1.3, 1.7), seconds=2.0)
    words = words_from_marks(text, word_spans(text), letters(text), [15, 25, 40, 70, 80], 2.0, audio=audio)
    assert [words[0].end, words[1].start] == pytest.approx([0.6, 1.3], abs=0.05)


def test_lead_moves_starts_but_not_into_the_word_before() -> None:
    text = "aa bb"
    marks = [10, 14, 15, 17, 20]
    early = words_from_marks(text, word_spans(text), letters(text), marks, 1.0, lead=0.04)
    assert early[1].start == pytest.approx(16.5 / 50 - 0.04)
    much = words_from_marks(text, word_spans(text), letters(text), marks, 1.0, lead=1.0)
    assert much[1].start > 13.5 / 50
    assert much[0].start == 0.0


def test_refuses() -> None:
    with pytest.raises(AlignmentError, match="2 positions for 1 tokens"):
        words_from_marks("a", [Span(0, 1)], [Span(0, 1)], [1, 2], 1.0)
    with pytest.raises(AlignmentError, match="longer recording"):
        words_from_marks("a", [Span(0, 1)], [Span(0, 1)], [1], 0.0)


def test_pauses() -> None:
    pauses = find_pauses(bursts((0.2, 0.6), (0.65, 1.0), (1.4, 2.0), seconds=2.0))
    assert [time for pause in pauses for time in pause] == pytest.approx([0, 0.2, 1.0, 1.4], abs=0.03)
    assert find_pauses(Audio(np.zeros(0, np.float32), RATE)) == []
    assert find_pauses(Audio(np.ones(1, np.float32), RATE)) == []


@given(st.integers(0, 2**31), st.integers(60, 160))
def test_words_of_running_sound_do_not_depend_on_what_follows(seed: int, heard: int) -> None:
    """What is settled by a part of the sound is what the whole says; marks behind the part may be guesses."""
    draw = np.random.default_rng(seed)
    text = "one two, three four. five six"
    words, tokens = word_spans(text), letters(text)
    positions = np.cumsum(draw.integers(1, 12, len(tokens))).tolist()
    sound = draw.normal(size=(positions[-1] + 5) * 320).astype(np.float32)
    for start in draw.integers(0, len(sound), 6):
        sound[start : start + 4000] *= 1e-3
    heard = min(heard, positions[-1])
    part = Audio(sound[: heard * 320], RATE)
    known = [mark for mark in positions if mark <= heard]
    guessed = [*known, *range(heard + 1, heard + 1 + len(tokens) - len(known))]
    whole = words_from_marks(text, words, tokens, positions, len(sound) / RATE, audio=Audio(sound, RATE), running=True)
    count = settled(text, words, tokens, guessed, heard / 50)
    told = words_from_marks(text, words, tokens, guessed, guessed[-1] / 50 + 1, audio=part, running=True)
    assert told[:count] == whole[:count]
    assert all(word.end <= heard / 50 for word in told[:count])
