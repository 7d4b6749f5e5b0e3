"""The published normaliser, rule by rule (spec/tada.md section 3.1); its table of 326 cases is run by tests/golden."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.text import normalize

CASES = [
    ("", ""),
    (" ", " "),
    ("a", "A"),
    ("“Well” – ‘so’…", "Well, so'..."),
    ("one; two;three", "One. Two;three"),
    ("a: b (c) d", "A, b c d"),
    ("a--b---c", "A, b,, c"),
    ("the dogs' bowls", "The dogs bowls"),
    ("two  spaces    four", "Two spaces  four"),
    ("wait \t .x", "Wait.X"),
    ("NASA met Mr. SMITH. ok", "Nasa met mr. Smith. Ok"),
    ("e.g. this", "E.G. This"),
    ("a! 'b", "A! B"),
    ("ΟΔΟΣ. ΟΔΟΣ", "Οδος. Οδος"),
    ("ß", "SS"),
    ("İx. y", "I\u0307x. Y"),
    ("« oui »", "<< oui >>"),
]


@pytest.mark.parametrize(("source", "spoken"), CASES)
def test_cases(source, spoken):
    assert normalize(source, style="tada").spoken == spoken


def test_copied_characters_keep_their_places():
    source = "He said — “Go” now"
    normalized = normalize(source, style="tada")
    assert normalized.spoken == "He said, go now"
    for word in ("He", "said", "now"):
        place = normalized.spoken.index(word)
        assert normalized.source_span(place, place + len(word)) == (source.index(word), source.index(word) + len(word))
    comma = normalized.spoken.index(",")
    assert source[slice(*normalized.source_span(comma, comma + 1))] == "—"


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=30), st.text(alphabet="aB .,;:-'\"()!?\t\n“”…ßİΣ", max_size=30)))
def test_spans_cover_and_never_go_back(text):
    normalized = normalize(text, style="tada")
    spoken_end = source_start = 0
    for piece in normalized.spans:
        assert piece.spoken_start == spoken_end < piece.spoken_end
        assert source_start <= piece.source_start <= piece.source_end <= len(text)
        spoken_end, source_start = piece.spoken_end, piece.source_start
    assert spoken_end == len(normalized.spoken)
