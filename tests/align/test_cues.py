"""Subtitles: what is on them, how much, and for how long."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisono.align.cues import COLUMNS, LINES, LONGEST, subtitles
from unisono.interface import Speech, Word
from unisono.text import shown_words

RATE = 1000
LONG = (
    "Dr. Smith came in late, although nobody had asked him to, and sat down on the chair next to the window. Yes. No! "
    "Nobody spoke, so he got up again and left the room, the house and the country without a further word."
)


def spoken(text: str, seconds: float = 0.4, gaps: dict[int, float] | None = None) -> Speech:
    """A speech whose words are all as long, with pauses before some of them."""
    words, at = [], 0.0
    for number, word in enumerate(shown_words(text)):
        at += (gaps or {}).get(number, 0.0)
        words.append(Word(word.text, round(at, 6), round(at + seconds, 6)))
        at += seconds
    return Speech(np.zeros(round((at + 0.5) * RATE), np.float32), RATE, text, words, [])


def texts(speech: Speech) -> list[str]:
    return [" / ".join(cue.lines) for cue in subtitles(speech)]


def test_sentences_and_their_parts() -> None:
    assert texts(spoken(LONG, 0.3)) == [
        "Dr. Smith came in late, although / nobody had asked him to,",
        "and sat down on the / chair next to the window.",
        "Yes. No!",
        "Nobody spoke, so he got up / again and left the room,",
        "the house and the country / without a further word.",
    ]


def test_long_pauses_and_line_breaks_behind_sentences_end_one() -> None:
    assert texts(spoken("One two three four.", gaps={2: 1.5})) == ["One two", "three four."]
    assert texts(spoken("No.\nYes.", 0.2)) == ["No.", "Yes."]
    assert texts(spoken("a text that was\nwrapped.")) == ["a text that was wrapped."]


def test_short_ones_stay_as_long_as_there_is_room() -> None:
    first, second = subtitles(spoken("No. Yes.", 0.3, gaps={1: 1.2}))
    assert (first.start, first.end) == (0.0, 1.0)
    assert (second.start, second.end) == (1.5, 2.3), "the sound ends before a second has passed"


def test_tags_are_not_shown_and_marks_between_words_are() -> None:
    assert texts(spoken("[rate:1.2]Well[/rate] - [say:naɪki|Nike], [pause:1s] no?")) == ["Well - Nike, no?"]


def test_scripts_without_spaces_break_where_a_line_may() -> None:
    text = "私は昨日、友達と一緒に東京へ行って、美味しい寿司をたくさん食べました。とても楽しかったです。"
    assert texts(spoken(text, 0.2)) == [
        "私は昨日、友達と一緒に東京へ行って、 / 美味しい寿司をたくさん食べました。",
        "とても楽しかったです。",
    ]


def test_words_that_are_not_those_of_the_text_are_shown_as_they_are() -> None:
    speech = Speech(np.zeros(RATE, np.float32), RATE, "something else", [Word("a", 0.0, 0.2), Word("b", 0.3, 0.5)], [])
    assert texts(speech) == ["a b"]


@pytest.mark.parametrize("seconds", [0.05, 0.3, 3.0, 9.0])
@given(st.lists(st.sampled_from(["a", "word", "cut,", "end.", "really?", "x" * 30, "and\n", "b.\n"]), min_size=1))
def test_every_word_is_shown_once_in_order_on_lines_that_are_not_too_long(seconds: float, items: list[str]) -> None:
    speech = spoken(" ".join(items), seconds)
    cues = subtitles(speech)
    assert " ".join(line for cue in cues for line in cue.lines).split() == speech.text.split()
    for cue in cues:
        assert len(cue.lines) <= LINES and all(len(line) <= COLUMNS for line in cue.lines)
        assert cue.start < cue.end <= max(cue.start + max(LONGEST, seconds), speech.words[-1].end) + 1e-6
    assert all(a.end <= b.start for a, b in pairwise(cues)) and cues[-1].end <= speech.duration + 1e-6
