"""The source-filter head: sources, phase, shapes and determinism."""

import math

import numpy as np
import torch

from unisono.audio.mel import istft, stft
from unisono.codec.vocoder import SourceFilterVocoder, minimum_phase, pulse_train


def test_stft_inverts() -> None:
    wave = torch.randn(2, 24 * 240, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(1024)
    spectrum = stft(wave, 1024, 240, window)
    assert spectrum.shape == (2, 513, 24)
    torch.testing.assert_close(istft(spectrum, 1024, 240, window), wave, atol=1e-5, rtol=0)


def test_pulses_have_the_pitch_and_unit_power() -> None:
    pulses = pulse_train(torch.full((1, 100), 200.0), 240, 24000)[0]
    spectrum = np.abs(np.fft.rfft(pulses.numpy()))
    peaks = np.flatnonzero(spectrum > 0.5 * spectrum.max())
    assert (peaks % 200 == 0).all() and len(peaks) > 50
    assert abs(float(pulses.square().mean()) - 1) < 0.05


def test_minimum_phase_keeps_the_magnitude_and_is_causal() -> None:
    frequency = torch.linspace(0, math.pi, 513)
    log_magnitude = (1.5 * torch.cos(frequency) - 0.7 * torch.cos(3 * frequency))[None, :, None]
    spectrum = minimum_phase(log_magnitude, 1024)
    torch.testing.assert_close(spectrum.abs().log(), log_magnitude, atol=1e-4, rtol=0)
    impulse = torch.fft.irfft(spectrum[0, :, 0])
    assert float(impulse[512:].square().sum()) < 1e-6 * float(impulse.square().sum())


def test_vocoder_shape_and_same_bytes() -> None:
    torch.manual_seed(0)
    vocoder = SourceFilterVocoder(bands=20, channels=16, blocks=1, inner=16).eval()
    features = torch.randn(2, 20, 12), torch.full((2, 12), 5.0), torch.ones(2, 12)
    with torch.no_grad():
        first, second = vocoder(*features), vocoder(*features)
    assert first.shape == (2, 12 * 240) and torch.equal(first, second) and torch.isfinite(first).all()
