"""The words of a source text, and which tokens speak them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.interface import Span
from unisono.text import load_tokenizer, normalize, shown_words, source_words, words_of_tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('Hello there, friend — it\'s "here." …', ["Hello", "there,", "friend", "it's", '"here."']),
        ("[pause:0.8s] go [rate:1.3]slow now[/rate]! -", ["go", "slow", "now!"]),
        ("[say:naɪki|Nike] runs [sic]", ["Nike", "runs", "[sic]"]),
        ("[say:nu jork|New York]!", ["New", "York!"]),
        ("Go[pause:1s]on, [rate:2]un[/rate]usual [say:x|Nike]'s.", ["Go", "on,", "unusual", "Nike's."]),
        ("It's $3.50 & 5%", ["It's", "$3.50", "5%"]),
        ("私は東京タワーへ行く。", ["私", "は", "東京", "タワー", "へ", "行", "く"]),
        ("你好，世界！2024年", ["你好", "世界", "2024", "年"]),
        ("iPhone15を買う", ["iPhone15", "を", "買", "う"]),
        ("مرحبا، كيف؟", ["مرحبا،", "كيف؟"]),
        ("สวัสดีครับ ทดสอบ", ["สวัสดีครับ", "ทดสอบ"]),
        ("안녕하세요 여러분.", ["안녕하세요", "여러분."]),
        ("... - 🎉 !", []),
        ("", []),
    ],
)
def test_source_words(text, words):
    assert [word.text for word in shown_words(text)] == words
    assert [word.span for word in shown_words(text)] == source_words(text)


def test_every_word_gets_its_tokens():
    words = [Span(0, 2), Span(3, 5)]
    tokens = [Span(0, 1), Span(1, 2), Span(2, 3), Span(3, 4), Span(4, 5)]
    assert words_of_tokens(words, tokens) == [Span(0, 2), Span(3, 5)]


def test_tokens_of_one_piece_are_shared_by_its_words():
    words = [Span(0, 3), Span(4, 7)]
    assert words_of_tokens(words, [Span(0, 7)] * 4) == [Span(0, 2), Span(2, 4)]
    assert words_of_tokens(words, [Span(0, 7)]) == [Span(0, 1), Span(0, 1)]


def test_a_word_that_no_token_speaks_has_an_empty_range():
    words = [Span(0, 1), Span(2, 3), Span(4, 5)]
    assert words_of_tokens(words, [Span(0, 1), Span(4, 5)]) == [Span(0, 1), Span(1, 1), Span(1, 2)]
    assert words_of_tokens(words, []) == [Span(0, 0)] * 3


def test_expanded_words_keep_all_their_tokens():
    text = "Dr. Smith owes $3.50 on 5 May 2024."
    normalized, tokenizer = normalize(text), load_tokenizer()
    tokenized = tokenizer.tokenize(normalized.spoken)
    words = source_words(text)
    ranges = words_of_tokens(words, normalized.map_spans(tokenized.spans))
    spoken = ["".join(tokenized.texts[start:end]).strip() for start, end in ranges]
    assert spoken == [
        "Doctor", "Smith", "owes", "three dollars and fifty cents", "on", "the fifth", "May", "twenty twenty-four.",
    ]  # fmt: skip


SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(SPANS, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20))
def test_ranges_are_in_order_and_in_range(gaps, steps):
    words, place = [], 0
    for gap, width in gaps:
        words.append(Span(place + gap, place + gap + width))
        place += gap + width + 1
    tokens, place = [], 0
    for step, width in steps:
        place += step
        tokens.append(Span(place, place + width))
    ranges = words_of_tokens(words, tokens)
    assert len(ranges) == len(words)
    last = 0
    for start, end in ranges:
        assert 0 <= start <= end <= len(tokens)
        assert start >= last
        last = start


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_words_lie_in_the_text_in_order_and_hold_a_letter_or_digit(text):
    place = 0
    for start, end in source_words(text):
        assert place <= start < end <= len(text)
        assert any(character.isalnum() for character in text[start:end])
        assert not any(character.isspace() for character in text[start:end])
        place = end
