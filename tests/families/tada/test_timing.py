"""Rates, pauses and the cap on gaps: decided on plain numbers."""

import itertools
import random

import pytest

from unisono.families.spelling import Spelled
from unisono.families.tada.breaks import MARK_GAP, line
from unisono.families.tada.timing import Allowance, Tempo, Timer
from unisono.interface import Span


def spoken(tempo, gaps):
    """Gaps as spoken and as read when gap k is drawn as `gaps[k]`, on both sides."""
    timer, out = Timer(tempo), []
    for token in range(-1, len(gaps)):
        before = gaps[token] if token >= 0 else 9
        after = gaps[token + 1] if token + 1 < len(gaps) else 9
        out.append(timer.decide(tempo.first + token, before, after))
    return out


@pytest.mark.parametrize("factor", [0.25, 0.7, 1.0, 1.2, 1.5, 2.0])
def test_what_rounding_takes_is_given_back(factor):
    random.seed(1)
    gaps = [random.randint(2, 9) for _ in range(200)]
    made = [row.before for row in spoken(Tempo(7, [factor] * 200), gaps)[1:]]
    assert abs(sum(made) - sum(gaps) / factor) <= 1
    if factor < 1:
        assert all(abs(a - b / factor) <= 1 for a, b in zip(made, gaps, strict=True))


def test_a_rate_is_spoken_but_not_read():
    rows = spoken(Tempo(0, [2.0] * 6), [8, 6, 4, 10, 2, 6])[1:]
    assert [row.before for row in rows] == [4, 3, 2, 5, 1, 3]
    assert [row.read_before for row in rows] == [8, 6, 4, 10, 2, 6]
    assert [row.after for row in rows[:-1]] == [3, 2, 5, 1, 3]


def test_a_pause_is_the_same_on_both_sides_and_is_read():
    rows = spoken(Tempo(3, [1.0] * 5, more={2: 40}), [3, 4, 5, 6, 7])
    slots = {token: row for token, row in zip(range(-1, 5), rows, strict=True)}
    assert slots[1].after == slots[2].before == 45 == slots[1].read_after == slots[2].read_before
    others = [slots[token].before for token in (0, 1, 3, 4)]
    assert others == [3, 4, 6, 7] and slots[2].after == 6


def test_pauses_are_not_scaled_but_what_was_drawn_is():
    rows = spoken(Tempo(0, [2.0] * 4, more={1: 30}), [4, 8, 4, 4])
    assert rows[2].before == 34 and rows[2].read_before == 38


def test_first_and_last_gap_can_be_forced():
    rows = spoken(Tempo(5, [1.0] * 4, more={0: 20, 3: 10}, least={1: 12}), [2, 3, 4, 5])
    assert [row.before for row in rows[1:]] == [22, 12, 4, 15]
    rows = spoken(Tempo(5, [1.0] * 4, exact={2: 1}), [2, 3, 40, 5])
    assert [row.before for row in rows[1:]] == [2, 3, 1, 5]


def test_slots_of_the_voice_stay_as_they_are():
    timer = Timer(Tempo(10, [4.0] * 3, more={0: 50}))
    assert timer.decide(8, 5, 6) == (5, 6, 5, 6)
    assert timer.decide(9, 5, 8) == (5, 52, 5, 58)


def test_nothing_asked_changes_nothing():
    assert (
        Tempo(0, [1.0] * 3).neutral and not Tempo(0, [1.0, 1.1]).neutral and not Tempo(0, [1.0], least={0: 1}).neutral
    )
    assert [row[:2] for row in spoken(Tempo(0, [1.0] * 3), [0, 5, 0])[1:]] == [(0, 5), (5, 0), (0, 9)]


@pytest.mark.parametrize("most", [6, 7, 30, 59, 500])
def test_an_allowance_cuts_only_what_would_be_too_long(most):
    gaps = [1, 40, 3, 9, 2, 5]
    allowed = Allowance(Tempo(0, [1.0] * 6), 6, most)
    spoken = [allowed.spend(index, gap) for index, gap in enumerate(gaps)]
    assert all(1 <= a <= b for a, b in zip(spoken, gaps, strict=True)) and sum(spoken) <= max(most, 6)
    assert allowed.drawn == 60 and allowed.spent == sum(spoken) and allowed.cut == (spoken != gaps)
    assert allowed.cut == (most < 60)
    assert [Allowance(Tempo(0, [1.0]), 1, 1).spend(0, gap) for gap in (0, 1, 9)] == [0, 1, 1]


def test_an_allowance_leaves_what_was_asked_for():
    allowed = Allowance(Tempo(0, [1.0] * 3, exact={1: 90}), 3, 10)
    assert [allowed.spend(index, gap) for index, gap in enumerate([2, 90, 3])] == [2, 90, 3] and not allowed.cut


def spelled(text, pauses=None, rates=()):
    spans = [Span(i, i + 1) for i in range(len(text))]
    return Spelled(text, text, [ord(c) for c in text], list(text), spans, pauses or {}, list(rates))


def test_a_pause_is_written_before_the_space_and_takes_the_asked_time():
    made = line(spelled(" ab cd", {4: 0.8}), 1.0, [1, 2, 3])  # before the c
    assert made.ids == [32, 97, 98, 1, 2, 3, 32, 99, 100] and made.shown == [0, 1, 2, 6, 7, 8]
    assert made.tempo.exact == {4: MARK_GAP, 5: MARK_GAP, 6: 40 - 2 * MARK_GAP} and not made.tempo.more
    assert sum(made.tempo.exact.values()) == 40 == made.asked
    assert len(made.tempo.factors) == len(made.ids) + 1


def test_pauses_at_the_ends():
    made = line(spelled(" ab", {1: 0.5}), 1.0, [1, 2])
    assert made.ids == [32, 1, 2, 97, 98] and made.shown == [0, 3, 4]
    start = line(spelled("ab", {0: 0.5}), 1.0, [1, 2])  # what the voice said last shall not go on sounding either
    assert start.ids == [1, 2, 97, 98] and start.tempo.exact == {1: MARK_GAP, 2: 25 - MARK_GAP}
    end = line(spelled("ab", {2: 0.5}), 1.0, [1, 2])
    assert end.ids == [97, 98, 1, 2] and end.tempo.exact == {3: MARK_GAP, 4: 25 - MARK_GAP}


def test_without_a_text_for_pauses_only_the_gap_is_longer():
    made = line(spelled("ab cd", {3: 0.4}), 1.0, [])
    assert made.ids == [97, 98, 32, 99, 100] and made.tempo.more == {2: 20} and made.tempo.exact == {}


def test_a_pause_too_short_for_its_text_only_lengthens_the_gap():
    made = line(spelled("ab cd", {3: 0.06}), 1.0, [1, 2, 3])
    assert made.shown == list(range(5)) and made.tempo.more == {2: 3}


def test_rates_multiply_with_the_speed_and_the_pause_keeps_the_rate_before_it():
    made = line(spelled("abc", {2: 1.0}, [1.0, 2.0, 0.5]), 1.5, [7])
    assert made.ids == [97, 98, 7, 99] and list(made.tempo.factors) == [1.5, 3.0, 3.0, 0.75, 0.75]


def test_every_token_of_the_text_is_shown_once():
    random.seed(2)
    for _ in range(50):
        text = "".join(random.choice("ab ") for _ in range(12))
        pauses = {random.randint(0, 12): random.random() for _ in range(4)}
        made = line(spelled(text, pauses), 1.0, [1, 2, 3])
        assert [made.ids[index] for index in made.shown] == [ord(c) for c in text]
        assert all(a < b for a, b in itertools.pairwise(made.shown))
        asked = sum(round(seconds * 50) for seconds in pauses.values())
        assert made.asked == asked
