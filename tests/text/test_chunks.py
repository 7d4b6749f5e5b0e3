"""Texts in pieces within a budget: where they are cut, that nothing is lost, that no text is slow."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.errors import InputError
from unisono.text import split_chunks, split_sentences
from unisono.text.script import show


def parts(text, fits):
    return [text[start:end] for start, end in split_chunks(text, fits)]


def test_pieces_end_at_the_best_place_within_the_budget():
    text = "One two. Three four five, six seven eight. Nine."
    assert parts(text, 100) == [text]
    assert parts(text, 44) == ["One two. Three four five, six seven eight.", "Nine."]
    assert parts(text, 40) == ["One two.", "Three four five, six seven eight. Nine."]
    assert parts(text, 25) == ["One two.", "Three four five,", "six seven eight. Nine."]
    assert parts(text, 10) == ["One two.", "Three four", "five,", "six seven", "eight.", "Nine."]
    assert parts(text, 4)[:4] == ["One", "two.", "Thre", "e"]


def test_a_budget_can_be_a_question():
    text = "a b c d e f g. h i."
    assert parts(text, lambda piece: len(piece.split()) <= 3) == ["a b c", "d e f", "g. h i."]


@pytest.mark.parametrize(
    ("text", "budget", "pieces"),
    [
        ("私は行く。君は、来ない！", 6, ["私は行く。", "君は、", "来ない！"]),
        ("مرحبا، كيف حالك؟ جيد۔", 12, ["مرحبا،", "كيف حالك؟", "جيد۔"]),
        ("東京東京東京", 4, ["東京東京", "東京"]),
        ("👨‍👩‍👧👍🏽🇩🇪🇫🇷❤️", 5, ["👨‍👩‍👧", "👍🏽🇩🇪", "🇫🇷❤️"]),
        ("e\u0301e\u0301e\u0301", 3, ["e\u0301", "e\u0301", "e\u0301"]),
        ("कि की कु", 2, ["कि", "की", "कु"]),
        ("ab[pause:1s]cd", 12, ["ab", "[pause:1s]cd"]),
        ("[say:x|a. b] c [rate:2]d[/rate] e", 12, ["[say:x|a. b]", "c [rate:2]d", "[/rate] e"]),
        ("  \n ", 3, []),
        ("", 3, []),
    ],
)
def test_tags_marks_and_emoji_stay_whole(text, budget, pieces):
    assert parts(text, budget) == pieces


def test_what_cannot_fit_is_an_error():
    with pytest.raises(InputError, match="not even 'a' is short enough"):
        split_chunks("abc", 0)
    with pytest.raises(InputError, match="not even '👍🏽'"):
        split_chunks("ab 👍🏽", 1)


PIECES = [
    "a",
    "bc ",
    ". ",
    ", ",
    "。",
    "東",
    "é",
    "e\u0301",
    "👍🏽",
    "🇩🇪",
    "\u200d",
    "[pause:1s]",
    "[say:x|y. z]",
    "[",
    "\n\n",
]


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.integers(12, 30))
def test_only_white_space_is_lost_and_tags_stay_whole(text, budget):
    place = 0
    for start, end in split_chunks(text, budget):
        assert place <= start < end <= len(text) and end - start <= budget
        assert not text[place:start].strip()
        assert text[start:end] == text[start:end].strip()
        assert not any(tag.start < start < tag.end for tag in show(text)[1])
        place = end
    assert not text[place:].strip()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["One. ", "Two, three. ", "Four"]), max_size=12).map("".join), st.integers(12, 40))
def test_whole_sentences_where_they_fit(text, budget):
    ends = {span.end for span in split_sentences(text)}
    if all(span.end - span.start <= budget for span in split_sentences(text)):
        assert {span.end for span in split_chunks(text, budget)} <= ends


@pytest.mark.parametrize(
    "unit", ["a", "1", "word ", ".", ", ", "One. ", "東", "。", "\u0301", "🎉", "\u200d", "🇩", "[", "[pause:1s]", "\n"]
)
def test_the_time_grows_with_the_length(unit):
    """Ten times the text takes about ten times as long, where a search from the start would take a hundred times."""

    def seconds(size):
        began = time.process_time()
        chunks = split_chunks((unit * size)[:size] + "]", 200)
        assert all(chunk.end - chunk.start <= 200 for chunk in chunks)
        return time.process_time() - began

    small = min(seconds(10_000) for _ in range(3))
    assert min(seconds(100_000) for _ in range(2)) < 40 * small + 0.05
