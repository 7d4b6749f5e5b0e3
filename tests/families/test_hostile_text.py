"""Any text is read or refused with one sentence, and ten times the text never takes a hundred times as long."""

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.errors import InputError
from unisono.families.checks import check_text
from unisono.families.spelling import spell_sentences
from unisono.text import CharacterTokenizer, load_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::unisono.errors.TextWarning")  # of characters that are left out
TOKENIZERS = [load_tokenizer(), CharacterTokenizer("abcdefghijklmnopqrstuvwxyz .,!?東京私はة")]
UNITS = [
    "a",
    "A.",
    "1",
    "1,",
    "word ",
    "One. ",
    "$1",
    "1x",
    "1/",
    "a@",
    "www.",
    "😀",
    "e\u0301",
    "東",
    "؟ ",
    "\u202eb",
    "½",
]


def read(text, tokenizer):
    """The tokens of a text as a model reads it."""
    options = dict(style="plain", language="en", leading_space=True)
    return spell_sentences(check_text(text), tokenizer, **options)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "...!?", "😀🎉", "\x00\x1b", "\ud83d", "\u202e\u200f", "[pause:1s]", "\u0301"]
)
def test_what_says_nothing_is_refused(text):
    for tokenizer in TOKENIZERS:
        with pytest.raises(InputError) as caught:
            read(text, tokenizer)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a\x00b",
        "a\x1b[31mb",
        "he\u200fllo \u202eworld\u202c",
        "Hello 世界 مرحبا 😀!",
        "a\r\nb",
        "a" * 500,
        "[[[a",
        "]a[",
    ],
)
def test_odd_characters_are_passed_over(text):
    assert all(spelled.ids for spelled in read(text, TOKENIZERS[0]))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    for tokenizer in TOKENIZERS:
        try:
            sentences = read(text, tokenizer)
        except InputError:
            continue
        for spelled in sentences:
            assert len(spelled.ids) == len(spelled.texts) == len(spelled.spans) == len(spelled.rates)
            assert all(0 <= start <= end <= len(spelled.source) for start, end in spelled.spans)
            assert spelled.spans == sorted(spelled.spans, key=lambda span: span.start)


@pytest.mark.parametrize("unit", UNITS)
def test_the_time_grows_with_the_length(unit):
    def seconds(size):
        began = time.process_time()
        with suppress(InputError):
            read((unit * size)[:size] + " a", TOKENIZERS[0])
        return time.process_time() - began

    seconds(100)
    small = min(seconds(1_000) for _ in range(3))
    assert min(seconds(10_000) for _ in range(2)) < 40 * small + 0.05
