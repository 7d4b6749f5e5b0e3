"""Sentences, words and tokens of scripts without spaces, from right to left, and mixed."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.families.spelling import spell
from unisono.text import CharacterTokenizer, shown_words, split_clauses, split_sentences


def parts(split, text):
    return [text[start:end] for start, end in split(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("私は行く。君は？はい！「そう。」と言った。", ["私は行く。", "君は？", "はい！", "「そう。」", "と言った。"]),
        ("今日は3.5度です。OK! 次はWi-Fi。", ["今日は3.5度です。", "OK!", "次はWi-Fi。"]),
        ("你好，世界！你好吗？很好。", ["你好，世界！", "你好吗？", "很好。"]),
        ("مرحبا يا صديقي. كيف حالك؟ أنا بخير، شكرا۔ نعم", ["مرحبا يا صديقي.", "كيف حالك؟", "أنا بخير، شكرا۔", "نعم"]),
        ("كيف حالك؟\u200f أنا بخير.", ["كيف حالك؟\u200f", "أنا بخير."]),
        ("Hello. 你好。World! مرحبا؟ Да.", ["Hello.", "你好。", "World!", "مرحبا؟", "Да."]),
        ("Wow‼️次。So 👍🏽. Next.", ["Wow‼️", "次。", "So 👍🏽.", "Next."]),
        ("好。[pause:1s]行。", ["好。", "[pause:1s]行。"]),
        ("नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
    ],
)
def test_sentences(text, sentences):
    assert parts(split_sentences, text) == sentences


def test_clauses():
    assert parts(split_clauses, "私は、東京、大阪へ行く；さあ") == ["私は、", "東京、", "大阪へ行く；", "さあ"]
    assert parts(split_clauses, "نعم، أنا؛ هنا") == ["نعم،", "أنا؛", "هنا"]


def test_tokens_of_scripts_without_spaces_belong_to_their_words():
    source = "私は[pause:1s]東京へ行く。"
    tokenizer = CharacterTokenizer("私は東京へ行く。 ")
    spelled = spell(source, tokenizer, style="plain", language="ja", leading_space=False)
    assert [source[start:end] for start, end in spelled.spans if source[start] not in "["] == list("私は東京へ行く。")
    assert [word.text for word in shown_words(source)] == ["私", "は", "東京", "へ", "行", "く"]
    assert spelled.pauses == {"".join(spelled.texts).index("東"): 1.0}


PIECES = [
    "e\u0301",
    "東",
    "कि",
    "👍🏽",
    "👨‍👩‍👧",
    "❤️",
    "。",
    ".",
    "؟",
    "！",
    " ",
    "a",
    "ب\u064f",
    "‼️",
    "\n\n",
    "、",
    ", ",
    "が",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_nothing_begins_with_a_mark_that_belongs_to_the_character_before(text):
    starts = [span.start for split in (split_sentences, split_clauses) for span in split(text)]
    for start in [*starts, *(word.span.start for word in shown_words(text))]:
        assert not unicodedata.combining(text[start])
        assert text[start] not in "\u200d\ufe0f🏽"
