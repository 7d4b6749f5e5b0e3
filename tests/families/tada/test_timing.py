"""Rates, pauses and the cap on gaps: decided on plain numbers."""

import itertools
import random

import numpy as np
import pytest
import torch

from unisono.families.spelling import Spelled
from unisono.families.tada.breaks import MARK_GAP, line
from unisono.families.tada.silences import MOST_ADDED, Silence, settle
from unisono.families.tada.timing import Allowance, Tempo, Timer
from unisono.interface import Span, Speech, Word


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
    made = line(spelled(" ab cd", {4: 0.36}), 1.0, [1, 2])  # before the c
    assert made.ids == [32, 97, 98, 1, 2, 2, 32, 99, 100] and made.shown == [0, 1, 2, 6, 7, 8]
    assert made.tempo.exact == {4: 6, 5: 6, 6: 6} and not made.tempo.more
    assert len(made.tempo.factors) == len(made.ids) + 1
    assert made.silences == [Silence(1, 18, range(4, 7), 2, 7)]


@pytest.mark.parametrize("seconds", [0.02, 0.16, 0.3, 0.8, 3.0, 10.0])
def test_no_gap_of_a_pause_is_long(seconds):
    made = line(spelled("ab cd", {3: seconds}), 1.0, [1, 2, 3])
    assert sum(made.tempo.exact.values()) == made.asked == round(seconds * 50)
    assert max(made.tempo.exact.values()) <= MARK_GAP
    assert made.ids[2:5] == [1, 2, 3][: len(made.tempo.exact)] + made.ids[2 + len(made.tempo.exact) : 5]


def test_pauses_at_the_ends():
    made = line(spelled(" ab", {1: 0.3}), 1.0, [1, 2])  # the space that a sentence begins with is the word's
    assert made.ids == [1, 2, 32, 97, 98] and made.shown == [2, 3, 4]
    assert made.silences == [Silence(0, 15, range(1, 3), -1, 3)]
    start = line(spelled("ab", {0: 0.3}), 1.0, [1, 2])  # what the voice said last shall not go on sounding either
    assert start.ids == [1, 2, 97, 98] and start.tempo.exact == {1: 8, 2: 7}
    end = line(spelled("ab", {2: 0.3}), 1.0, [1, 2])
    assert end.ids == [97, 98, 1, 2] and end.tempo.exact == {3: 8, 4: 7}
    assert end.silences == [Silence(1, 15, range(3, 5), 1, 4)]


def test_pauses_between_the_same_words_are_one_silence():
    made = line(spelled("ab, cd", {2: 0.2, 3: 0.3}), 1.0, [1])
    assert made.ids == [97, 98, 1, 1, 44, 1, 1, 32, 99, 100]
    assert made.silences == [Silence(1, 25, range(6, 8), 1, 8)]
    apart = line(spelled("a b c", {1: 0.2, 3: 0.3}), 1.0, [1])
    assert [silence[:2] for silence in apart.silences] == [(1, 10), (2, 15)]
    assert line(spelled("a b c", {1: 0.18}), 1.0, [1]).silences == []  # too short to be heard


def test_without_a_text_for_pauses_only_the_gap_is_longer():
    made = line(spelled("ab cd", {3: 0.4}), 1.0, [])
    assert made.ids == [97, 98, 32, 99, 100] and made.tempo.more == {2: 20} and made.tempo.exact == {}


def as_it_sounds(gaps, *, tail):
    """Two words of one token: frames of gaps [3] in, a speech with the silence between them out."""
    before, between, behind = gaps.tolist()[1:4]
    first, second = before, before + between
    frames = second + behind
    end, start = first + tail, second - 1
    words = [Word("a", 0.0, end / 50), Word("b", start / 50, frames / 50)] if end < start else []
    words = words or [Word("a", 0.0, second / 50), Word("b", second / 50, frames / 50)]
    return Speech(np.zeros(480 * frames, np.float32), 24000, "a b", words, []), [first, second]


@pytest.mark.parametrize("tail", [0, 3, 9, 15])
def test_a_pause_is_made_as_long_as_asked(tail):
    wanted, made = [Silence(1, 40, range(1, 2), 0, 1)], []
    speech, (first, second) = settle(
        lambda gaps: made.append(gaps.tolist()) or as_it_sounds(gaps, tail=tail),
        torch.tensor([9, 5, 48, 8]),
        wanted,
        0.0,
    )
    heard = round((speech.words[1].start - speech.words[0].end) * 50)
    assert heard == min(40, 48 + MOST_ADDED - tail - 1) and second - first >= 40
    assert len(made) <= 3 and all(gaps[:2] == [9, 5] and gaps[3] == 8 for gaps in made)


def test_a_pause_that_is_not_silent_or_not_asked_for_stays():
    gaps, made = torch.tensor([9, 5, 48, 8]), []

    def speak(gaps):
        made.append(gaps)
        return as_it_sounds(gaps, tail=60)

    settle(speak, gaps, [Silence(1, 40, range(1, 2), 0, 1)], 0.0)
    settle(speak, gaps, [], 0.0)
    assert len(made) == 2 and all(torch.equal(each, gaps) for each in made)


def test_marks_stay_as_far_apart_as_the_pause():
    _, (first, second) = settle(
        lambda gaps: as_it_sounds(gaps, tail=-4), torch.tensor([9, 6, 42, 8]), [Silence(1, 40, range(1, 2), 0, 1)], 0.0
    )
    assert second - first == 40


def test_what_was_silent_before_counts_at_the_beginning():
    def speak(gaps):
        start = gaps.tolist()[1]
        return Speech(np.zeros(480 * 60, np.float32), 24000, "a", [Word("a", start / 50, 1.2)], []), [start]

    for quiet in (0.0, 0.1):
        speech, _ = settle(speak, torch.tensor([9, 33, 8]), [Silence(0, 40, range(0, 1), -1, 0)], quiet)
        assert speech.words[0].start == pytest.approx(0.8 - quiet)


def test_rates_multiply_with_the_speed_and_the_pause_keeps_the_rate_before_it():
    made = line(spelled("abc", {2: 1.0}, [1.0, 2.0, 0.5]), 1.5, [7])
    assert made.ids == [97, 98, *[7] * 7, 99]
    assert list(made.tempo.factors) == [1.5, *[3.0] * 8, 0.75, 0.75]


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
