"""What was said against what was heard."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.evaluate.words import (
    Counts,
    Divergence,
    character_counts,
    diverge,
    mark_differences,
    stretches,
    word_counts,
)

SAID = "one two three four five six"
SENTENCES = st.lists(st.sampled_from("abcd"), min_size=1, max_size=8).map(" ".join)


def edit_distance(one, other):
    row = list(range(len(other) + 1))
    for i, x in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


@settings(deadline=None)
@given(SENTENCES, st.one_of(st.just(""), SENTENCES))
def test_counts_are_edit_distances(said, heard):
    assert word_counts(said, heard) == Counts(edit_distance(said.split(), heard.split()), len(said.split()))
    assert character_counts(said, heard) == Counts(edit_distance(said, heard), len(said))


@settings(deadline=None)
@given(SENTENCES, st.one_of(st.just(""), SENTENCES))
def test_stretches_cover_both_sides_in_order(said, heard):
    found = stretches(said, heard)
    assert [(s.start, s.heard_start) for s in found[1:]] == [(s.stop, s.heard_stop) for s in found[:-1]]
    assert (found[0].start, found[0].heard_start) == (0, 0)
    assert (found[-1].stop, found[-1].heard_stop) == (len(said.split()), len(heard.split()))
    for s in found:
        assert s.equal == (said.split()[s.start : s.stop] == heard.split()[s.heard_start : s.heard_stop])


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (SAID, Divergence(0, 0, 0, 0, 0, 0, 0)),
        ("one two five six", Divergence(2, 0, 0, 0, 2, 0, 2)),
        ("three four five six", Divergence(2, 0, 0, 0, 2, 0, 2)),
        ("one two three four", Divergence(0, 2, 0, 0, 0, 0, 2)),
        ("", Divergence(0, 6, 0, 0, 0, 0, 6)),
        ("one two x y three four five six", Divergence(0, 0, 2, 0, 0, 2, 2)),
        ("one two one two three four five six", Divergence(0, 0, 2, 2, 0, 2, 2)),
        ("one two three three four five six", Divergence(0, 0, 1, 1, 0, 1, 1)),
        ("one two three four five six five six", Divergence(0, 0, 2, 2, 0, 2, 2)),
        ("one x three y five six", Divergence(0, 0, 0, 0, 0, 0, 1)),
        ("one x y z five six", Divergence(0, 0, 0, 0, 0, 0, 3)),
    ],
)
def test_kinds_of_divergence(heard, expected):
    assert diverge(SAID, heard) == expected


def test_differences_are_marked_for_display():
    pieces = mark_differences("One, two three!", "one too three four")
    assert pieces == [
        ("equal", "one", "one"),
        ("apart", "two", "too"),
        ("equal", "three", "three"),
        ("apart", "", "four"),
    ]
    assert mark_differences("1905!", "nothing") == []
