"""Distances between sounds."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.audio import read_audio
from unisono.evaluate import sound
from unisono.evaluate.pictures import save_spectrogram
from unisono.evaluate.sound import Spectrum, compare, profile, spectrum_distance, warp
from unisono.interface import Audio

RATE = 24000


def noise(seconds=0.7, seed=0, rate=RATE):
    rng = np.random.default_rng(seed)
    envelope = 0.1 + np.abs(np.sin(np.arange(int(seconds * rate)) / rate * 9 + seed))
    return Audio((0.1 * envelope * rng.standard_normal(len(envelope))).astype(np.float32), rate)


def slow_warp(costs):
    """Sum of costs and number of steps of the judge's way, cell by cell."""
    rows, columns = costs.shape
    sums, steps = np.full((rows + 1, columns + 1), np.inf), np.zeros((rows + 1, columns + 1), int)
    sums[0, 0] = 0
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            best = min((sums[i - 1, j - 1], 0), (sums[i - 1, j], 1), (sums[i, j - 1], 2))
            came = ((i - 1, j - 1), (i - 1, j), (i, j - 1))[best[1]]
            sums[i, j], steps[i, j] = best[0] + costs[i - 1, j - 1], steps[came] + 1
    return sums[-1, -1], steps[-1, -1]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
@settings(deadline=None)
def test_warping_is_the_cell_by_cell_one(rows, columns, seed):
    costs = np.random.default_rng(seed).integers(0, 4, (rows, columns)).astype(float)  # whole numbers: many ties
    path = warp(costs)
    total, steps = slow_warp(costs)
    assert costs[path[:, 0], path[:, 1]].sum() == total and len(path) == steps
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [rows - 1, columns - 1]
    assert {tuple(step) for step in np.diff(path, axis=0)} <= {(1, 1), (1, 0), (0, 1)}


def test_a_sound_has_no_distance_to_itself_at_any_level():
    one = noise()
    same = compare(profile(one), profile(Audio(one.samples * 0.5, RATE)))
    assert same.spectrum_db < 0.01 and same.cepstral_db < 0.01 and same.mel_db < 0.01 and same.duration_ratio == 1.0


def test_a_slower_copy_is_warped_back_and_a_duller_one_is_not_the_same():
    one = noise(1.0)
    slower = Audio(np.repeat(one.samples.reshape(-1, 240), 2, axis=0).ravel(), RATE)  # every 10 ms twice
    duller = Audio(np.convolve(one.samples, np.ones(9) / 9, "same").astype(np.float32), RATE)
    warped, dull = compare(profile(slower), profile(one)), compare(profile(duller), profile(one))
    assert warped.duration_ratio == pytest.approx(2.0)
    assert warped.spectrum_db < 0.3 * dull.spectrum_db and warped.cepstral_db < dull.cepstral_db
    assert dull.spectrum_db > 3 and dull.mel_db > 3


def test_spectra_add_up_over_sounds():
    parts = [profile(noise(seed=seed)).spectrum() for seed in (1, 2)]
    whole = Spectrum(parts[0].total + parts[1].total, parts[0].frames + parts[1].frames)
    assert whole.shape().mean() == pytest.approx(0, abs=1e-9)
    assert spectrum_distance(whole, parts[0]) < spectrum_distance(parts[1], parts[0])


def test_very_long_sounds_are_not_warped(monkeypatch):
    monkeypatch.setattr(sound, "MOST_CELLS", 100)
    found = compare(profile(noise()), profile(noise(seed=1)))
    assert found.cepstral_db is None and found.mel_db is None and found.spectrum_db > 0


def test_a_spectrogram_has_a_column_every_ten_milliseconds(tmp_path):
    from matplotlib.image import imread

    save_spectrogram(tmp_path / "a.png", noise(0.7))
    height, width, _ = imread(tmp_path / "a.png").shape
    assert height == 128 and width == pytest.approx(70, abs=2)
    save_spectrogram(tmp_path / "b.png", Audio(np.zeros(2000, np.float32), 8000))


def test_numbers_are_those_of_the_judge(shared, tmp_path):
    """Two speakers, other rates, three sentences each: the three figures within 1e-3."""
    ours = sorted((shared / "speech" / "ljspeech_en" / "audio").glob("*.flac"))[:3]
    theirs = sorted((shared / "speech" / "kathleen_en" / "audio").glob("*.flac"))[:3]
    for name, paths in (("a", ours), ("b", theirs)):
        rows = [json.dumps({"audio": str(path), "text": "x"}) + "\n" for path in paths]
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    code = f"import sys; sys.path.insert(0, {str(shared)!r}); import judge; print(*judge.sound('a.jsonl', 'b.jsonl'))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    judged = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split()

    profiles = [[profile(read_audio(path)) for path in paths] for paths in (ours, theirs)]
    spectra = [Spectrum(sum(p.spectrum().total for p in side), sum(len(p.mel) for p in side)) for side in profiles]
    cepstral = np.mean([compare(*pair).cepstral_db for pair in zip(*profiles, strict=True)])
    ratio = sum(p.seconds for p in profiles[0]) / sum(p.seconds for p in profiles[1])
    assert [spectrum_distance(*spectra), cepstral, ratio] == pytest.approx([float(x) for x in judged], abs=1e-3)
