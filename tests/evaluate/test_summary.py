"""Figures of a whole set, and the rules for failures."""

import numpy as np
import pytest

from unisono.evaluate.failures import RULES, find_failures, interval
from unisono.evaluate.measure import Heard, Measures
from unisono.evaluate.sound import Distances, Spectrum
from unisono.evaluate.summary import bootstrap, failure_summary, halves_distance, sound_summary, words_summary
from unisono.evaluate.tasks import Made
from unisono.evaluate.words import Counts, diverge

SAID = "one two three four five six seven eight"


def measured(heard=SAID, seconds=2.0, level=0.0, **more):
    spectrum = Spectrum(np.array([level, 1.0, 0.0]) * 10, 10)
    understood = Heard.of(SAID, heard)
    return Measures(seconds, False, understood, understood, diverge(SAID, heard), spectrum, **more)


def test_rates_are_over_all_words_and_the_tail_is_shown():
    figures = words_summary([measured(), measured("one two"), measured(SAID + " nine")])
    assert figures["wer"] == pytest.approx(7 / 24) and figures["wer_general"] == figures["wer"]
    assert figures["wer_worst"] == 0.75 and figures["wer_over_half"] == 1 and figures["wer_median"] == 0.125
    assert figures["exact_match"] == pytest.approx(1 / 3) and figures["longest_divergent_run"] == 6
    nobody = words_summary([Measures(1.0, False)])
    assert nobody["wer"] is None and nobody["exact_match"] is None and nobody["wer_over_half"] == 0


def test_sounds_are_compared_together():
    recordings = [measured(level=0.0), measured(level=4.0)]
    sounds = [
        measured(level=4.0, seconds=3.0, distances=Distances(1, 2.0, 3.0, 1.5)),
        measured(level=0.0, seconds=1.0, distances=Distances(1, 4.0, None, 0.5)),
    ]
    figures = sound_summary(sounds, recordings)
    assert figures == {"spectrum_db": 0.0, "cepstral_db": 3.0, "mel_db": 3.0, "duration_ratio": 1.0}
    assert halves_distance(recordings) > 0.5 and halves_distance(recordings[:1]) is None
    assert set(sound_summary([Measures(0.0, True)], recordings[:1]).values()) == {None}


def test_wilsons_interval():
    assert interval(0, 100) == pytest.approx((0.0, 0.0370), abs=1e-4)
    assert interval(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert interval(3, 3) == pytest.approx((0.4385, 1.0), abs=1e-4)


def test_the_difference_has_an_interval_around_it():
    ours, theirs = [Counts(2, 10)] * 30 + [Counts(0, 10)] * 30, [Counts(0, 10)] * 60
    low, high = bootstrap(ours, theirs, seed=0)
    assert 0.05 < low < 0.1 < high < 0.15 and bootstrap(ours, theirs, seed=0) == [low, high]
    assert bootstrap(ours[:1], theirs[:1], seed=0) is None


@pytest.mark.parametrize(
    ("heard", "seconds", "kinds"),
    [
        (SAID, 2.0, []),
        ("one two three four five six seven ate", 2.0, []),
        (SAID, 4.1, ["too long"]),
        (SAID, 0.9, ["too short"]),
        ("one four five six seven eight", 2.0, ["skipped"]),
        ("one two three four five six", 2.0, ["truncated"]),
        ("one two x y three four five six seven eight", 2.0, ["inserted"]),
        ("one two two three four five six seven eight", 2.0, ["repeated"]),
        ("one a b c d e seven eight", 2.0, ["divergent", "misheard"]),
        ("one", 2.0, ["truncated", "divergent", "misheard"]),
    ],
)
def test_rules_of_failure(heard, seconds, kinds):
    assert find_failures("say", measured(heard, seconds), measured(), Made("a.wav", seconds, 1.0)) == kinds
    assert set(kinds) <= RULES.keys()


def test_rules_for_sounds_that_are_not_there():
    assert find_failures("say", None, measured(), Made("", 0.0, 0.0, "it broke")) == ["error"]
    assert find_failures("say", None, measured(), Made("", 0.0, 0.1)) == ["no sound"]
    assert find_failures("say", Measures(2.0, True), measured(), Made("a.wav", 2.0, 0.1)) == ["no sound"]


def test_resynthesis_is_as_long_as_the_recording():
    made = Made("a.wav", 2.0, 0.1)
    assert find_failures("resynthesis", measured(seconds=2.02), measured(), made) == []
    assert find_failures("resynthesis", measured(seconds=2.03), measured(), made) == ["wrong length"]


def test_failures_per_thousand():
    figures = failure_summary([[], ["skipped"], ["skipped", "too long"], []])
    assert figures["failed"] == 2 and figures["failures_per_1000"] == 500
    assert figures["failures_by_kind"] == {"skipped": 2, "too long": 1}
    assert figures["failures_per_1000_interval"] == pytest.approx([150, 850], abs=1)
