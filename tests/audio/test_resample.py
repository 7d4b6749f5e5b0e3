"""Resampling: the published filter, and soxr."""

import numpy as np
import pytest
import torch

from unisono.audio import resample, resample_sinc
from unisono.errors import AudioError
from unisono.interface import Audio


def by_the_formula(x, orig, new):
    """spec/tada.md section 4, one output sample at a time in float64."""
    divisor = np.gcd(orig, new)
    o, n = orig // divisor, new // divisor
    base = 0.99 * min(o, n)
    wing = int(np.ceil(6 * o / base))
    padded = np.concatenate([np.zeros(wing), x, np.zeros(wing + o)])
    out = []
    for index in range(int(np.ceil(n * len(x) / o))):
        step, phase = divmod(index, n)
        tap = np.arange(-wing, wing + o)
        tau = np.clip(base * (tap / o - phase / n), -6, 6)
        kernel = np.sinc(tau) * np.cos(np.pi * tau / 12) ** 2 * base / o
        out.append((kernel * padded[step * o : step * o + len(kernel)]).sum())
    return np.array(out)


@pytest.mark.parametrize(
    ("orig", "new"), [(24000, 16000), (22050, 24000), (8000, 24000), (48000, 24000), (44100, 16000)]
)
@pytest.mark.parametrize("length", [1, 37, 800])
def test_the_published_filter(orig, new, length):
    x = np.random.default_rng(length).standard_normal(length)
    y = resample_sinc(torch.from_numpy(x).float(), orig, new)
    assert y.shape == (-(-new * length // orig),)
    np.testing.assert_allclose(y.numpy(), by_the_formula(x, orig, new), atol=2e-5)


def test_leading_axes_are_kept_and_rows_are_independent():
    x = torch.randn(2, 3, 500, generator=torch.Generator().manual_seed(0))
    y = resample_sinc(x, 22050, 16000)
    assert y.shape == (2, 3, 363)
    torch.testing.assert_close(y[1, 2], resample_sinc(x[1, 2], 22050, 16000), atol=1e-6, rtol=0)


def test_equal_rates_hand_back_the_same_tensor():
    x = torch.ones(5)
    assert resample_sinc(x, 24000, 24000) is x


@pytest.mark.parametrize("rates", [(0, 1), (-1, 5), (22050.5, 24000)])
def test_impossible_rates(rates):
    with pytest.raises(AudioError, match="positive whole numbers"):
        resample_sinc(torch.ones(5), *rates)


def test_soxr_keeps_a_tone():
    at = np.arange(22050) / 22050
    wave = np.sin(2 * np.pi * 440 * at).astype(np.float32)
    samples, rate = resample(Audio(wave, 22050), 24000)
    assert rate == 24000 and len(samples) == 24000 and samples.dtype == np.float32
    middle = slice(2400, -2400)
    np.testing.assert_allclose(samples[middle], np.sin(2 * np.pi * 440 * np.arange(24000) / 24000)[middle], atol=1e-3)
