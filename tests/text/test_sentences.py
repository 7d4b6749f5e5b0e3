"""Sentences and clauses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.text import split_clauses, split_sentences


def parts(split, text):
    return [text[start:end] for start, end in split(text)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith went home.", "He ate etc. and slept.", '"Really?" she asked.', '"Yes!"', "He left...", "Then?"],
        [
            "J. K. Rowling wrote it.",
            "No.",
            "No. 5 is alive.",
            "He won $3.5 at 5 p.m. Monday.",
            "Vitamin C.",
            "The end.",
        ],
        ["The U.S. Army is big.", "He lives in the U.S.", "It is far.", "Wait... what?", "See fig. 3."],
        ["Acme Corp. was sold.", "It cost 3.5 million!", "(So they say.)", "Why?!", 'He said "hi." and left.'],
        ["what?", "no answer.", "it goes on, e.g. here, etc. and so on.", "Mr. and Mrs. Jones of St. Louis left."],
        ["私は行く。", "「はい。」", "と言った！", "OK?", "次。"],
        ["你好！", "你好吗？", "好。"],
        ["مرحبا.", "كيف حالك؟", "جيد۔", "نعم"],
        ["Das ist z.B. gut.", "Sagt Hr. Meier.", "Ja!"],
    ],
)
def test_sentences_joined_are_split_again(sentences):
    text = ("" if "。" in sentences[-1] else " ").join(sentences)
    assert parts(split_sentences, text) == sentences


def test_paragraphs_end_sentences_and_lines_do_not():
    assert parts(split_sentences, "A title\n\nThe first\nsentence. The second.") == [
        "A title", "The first\nsentence.", "The second.",
    ]  # fmt: skip


def test_marks_alone_are_joined_to_a_neighbour():
    assert parts(split_sentences, "... Well. !!! Yes.") == ["... Well. !!!", "Yes."]
    assert parts(split_sentences, "?! ...") == ["?! ..."]
    assert parts(split_sentences, " \n ") == []


def test_clauses():
    text = "Well, if you come; then: yes, 1,000 (more) of it — now，好"
    assert parts(split_clauses, text) == [
        "Well,", "if you come;", "then:", "yes,", "1,000 (more)", "of it —", "now，", "好",
    ]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text(alphabet="aB.!? \n\"'…。,;—)(1", max_size=40)))
def test_only_white_space_is_lost(text):
    for split in (split_sentences, split_clauses):
        spans = split(text)
        place = 0
        for start, end in spans:
            assert place <= start < end <= len(text)
            assert not text[place:start].strip()
            assert text[start:end] == text[start:end].strip()
            place = end
        assert not text[place:].strip()
