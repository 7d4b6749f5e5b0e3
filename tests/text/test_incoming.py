"""Text that arrives in pieces: cut where it can be spoken, whatever the pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unisono.errors import InputError
from unisono.text import speakable_parts

TEXT = "Hello there, my friend. Dr. Smith paid $3.50, etc. in full. [rate:1.3]One two. Three.[/rate] Four five"


def test_the_first_clause_then_sentences():
    assert list(speakable_parts([TEXT])) == [
        "Hello there, ",
        "my friend. ",
        "Dr. Smith paid $3.50, etc. in full. ",
        "[rate:1.3]One two. Three.[/rate] ",
        "Four five",
    ]
    assert list(speakable_parts(["Well, hello there, you."])) == ["Well, hello there, ", "you."]
    assert list(speakable_parts(["你好世界你好世界。再见"])) == ["你好世界你好世界。", "再见"]


@given(st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_a_stream_of_text_is_cut_the_same_whatever_its_pieces(cuts):
    ends = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[a:b] for a, b in pairwise(ends)]
    assert list(speakable_parts(pieces)) == list(speakable_parts([TEXT]))


@given(st.text(alphabet="aB ,.!?[]/:rate1\n", max_size=80))
def test_nothing_of_a_stream_of_text_is_lost(text):
    assert "".join(speakable_parts(text)) == text


def test_a_part_comes_as_soon_as_it_is_there():
    read = []
    pieces = (read.append(word) or word for word in ["Hello ", "there, ", "you. ", "And ", "I. ", "So"])
    parts = speakable_parts(pieces)
    assert next(parts) == "Hello there, " and len(read) == 2
    assert next(parts) == "you. " and len(read) == 3


def test_text_without_an_end_is_cut_between_words():
    parts = list(speakable_parts(["word " * 200]))
    assert len(parts) > 2 and all(len(part) < 320 and part.endswith(" ") for part in parts)


def test_what_is_no_text_is_refused():
    with pytest.raises(InputError, match="int"):
        list(speakable_parts(["Hello ", 5]))
