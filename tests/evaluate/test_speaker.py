"""Speaker similarity."""

import numpy as np
import pytest

from unisono.audio import read_audio
from unisono.audio.speaker import MEAN, SPREAD, similarity, voice_print
from unisono.interface import Audio


def test_constants_fit_the_print():
    sound = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    print_of = voice_print(Audio(sound, 16000))
    assert print_of.shape == MEAN.shape == SPREAD.shape == (60,) and np.isfinite(print_of).all() and SPREAD.min() > 0
    assert np.allclose(print_of, voice_print(Audio(0.3 * sound, 16000)), atol=0.05)  # the level is of no account


def test_similarity_is_a_cosine():
    one = np.array([1.0, 0.0])
    assert similarity(one, [one]) == pytest.approx(1.0)
    assert similarity(one, [-one]) == pytest.approx(-1.0)
    assert similarity(one, [np.array([0.0, 2.0])]) == pytest.approx(0.0)
    assert similarity(one, []) is None
    assert similarity(np.zeros(2), [one]) == 0.0


def test_tells_speakers_of_one_collection_apart(shared):
    prints = {}
    for speaker in ("p225", "p226", "p228"):
        rows = [line.split("|") for line in (shared / "speech/vctk_en/metadata.csv").read_text().splitlines()]
        files = [row[0] for row in rows if row[2] == f"vctk-{speaker}"][:6]
        prints[speaker] = [voice_print(read_audio(shared / "speech/vctk_en" / file)) for file in files]
    own = [similarity(x[i], x[:i] + x[i + 1 :]) for x in prints.values() for i in range(len(x))]
    other = [similarity(x, prints[b]) for a in prints for b in prints if a != b for x in prints[a]]
    assert np.median(own) > 0.7 and np.median(other) < 0.4
    assert np.mean([value > np.percentile(other, 90) for value in own]) > 0.8
