"""Which words an edit means, and the text that comes of it."""

import pytest

from unisono.errors import InputError
from unisono.families.edits import apply_edits, find_edits, split_pair

TEXT = "Well, the dog, a big dog, saw the dog's cat. The cat ran; it ran far."
CASES = [
    ({"replace": {"big dog": "small  fox"}}, TEXT.replace("big dog", "small fox")),
    ({"replace": {"WELL": "So"}}, TEXT.replace("Well", "So")),
    ({"replace": [("dog#1", "fox")]}, TEXT.replace("the dog,", "the fox,")),
    ({"delete": ["big"]}, TEXT.replace(" big", "")),
    ({"delete": ["a big dog"]}, TEXT.replace(" a big dog,", "")),
    ({"delete": ["Well"]}, TEXT.removeprefix("Well, ")),
    ({"delete": ["far"]}, TEXT.replace(" far", "")),
    ({"insert_after": {"far": "away"}}, TEXT.replace("far.", "far away.")),
    ({"insert_after": {"ran#1": "off"}}, TEXT.replace("ran;", "ran off;")),
    ({"replace": {"big": "red"}, "delete": ["far"], "insert_after": {"Well": "then"}}, None),
]


@pytest.mark.parametrize(("edits", "wanted"), CASES, ids=str)
def test_edits(edits, wanted):
    wanted = wanted or TEXT.replace("big", "red").replace(" far", "").replace("Well", "Well then")
    assert apply_edits(TEXT, find_edits(TEXT, **edits)) == wanted


def test_scripts_without_spaces():
    text = "今天天气很好。"
    assert apply_edits(text, find_edits(text, replace={"天气": "心情"})) == "今天心情很好。"
    assert apply_edits(text, find_edits(text, insert_after={"今天": "早上"})) == "今天早上天气很好。"


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({}, "nothing to edit"),
        ({"delete": ["cow"]}, "does not occur"),
        ({"delete": ["do"]}, "does not occur"),
        ({"delete": ["dog"]}, "2 times"),
        ({"delete": ["dog#3"]}, "2 times"),
        ({"delete": ["dog#0"]}, "2 times"),
        ({"delete": ["big#2"]}, "once"),
        ({"delete": ["..."]}, "no word"),
        ({"delete": [""]}, "no word"),
        ({"delete": [TEXT]}, "nothing would be left"),
        ({"replace": {"far": ""}}, "delete them"),
        ({"replace": {"far": "?!"}}, "no letter or digit"),
        ({"insert_after": {"far": " "}}, "no letter or digit"),
        ({"replace": {"big dog": "fox"}, "delete": ["big"]}, "two edits"),
        ({"insert_after": [("far", "a"), ("far", "b")]}, "two edits"),
    ],
    ids=str,
)
def test_edits_that_cannot_be_made(edits, said):
    with pytest.raises(InputError, match=said) as caught:
        find_edits(TEXT, **edits)
    assert "\n" not in str(caught.value)


def test_a_pair_needs_its_sign():
    assert split_pair("a=b=c", "--replace") == ("a", "b=c")
    with pytest.raises(InputError, match="--replace wants OLD=NEW"):
        split_pair("a", "--replace")
