"""The phase of the harmonic source: a piece knows it without what came long before; it can be bent to meet another."""

import torch

from unisono.codec.pulses import UNVOICED, Anchor, phase_track, pull, pulses, restarts

HOP, RATE = 240, 24000


def some_pitch(frames: int, seed: int = 0) -> torch.Tensor:
    """f0 [1, M] in Hz that wanders about 200."""
    steps = torch.randn(1, frames, generator=torch.Generator().manual_seed(seed)).cumsum(-1)
    return 200 * (0.01 * steps).exp()


def part_of(phase: torch.Tensor) -> torch.Tensor:
    """Distance of a phase from the nearest whole cycle."""
    return (phase - phase.round()).abs()


def test_restarts_are_the_edges_of_silence() -> None:
    voicing = torch.tensor([[0.9, 0.0, 0.0, 0.0, 0.9, UNVOICED / 2, 0.9, 0.0]])
    assert restarts(voicing)[0].tolist() == [False, True, False, True, False, True, False, True]
    assert not restarts(torch.ones(1, 5)).any()


def test_a_piece_with_an_anchor_is_the_whole() -> None:
    f0, restart = some_pitch(60), torch.zeros(1, 60, dtype=torch.bool)
    restart[0, [20, 41]] = True
    whole = phase_track(f0, restart, HOP, RATE, None).phase
    for first in (10, 30, 50):
        at = 3 * HOP
        anchor = Anchor(at, whole[:, first * HOP + at - 1])
        piece = phase_track(f0[:, first:], restart[:, first:], HOP, RATE, anchor).phase
        assert float(part_of(piece - whole[:, first * HOP :])[:, at:].max()) < 1e-9


def test_after_a_restart_the_past_plays_no_part() -> None:
    f0, restart = some_pitch(60), torch.zeros(1, 60, dtype=torch.bool)
    restart[0, 30] = True
    other = f0.clone()
    other[0, :20] += 7
    first, second = (phase_track(x, restart, HOP, RATE, None).phase for x in (f0, other))
    assert float(part_of(first - second)[:, 25 * HOP : 30 * HOP].max()) > 1e-3
    assert float(part_of(first - second)[:, 30 * HOP :].max()) < 1e-9


def test_pull_meets_the_anchor_by_half_a_cycle_at_most() -> None:
    track = phase_track(some_pitch(40), torch.zeros(1, 40, dtype=torch.bool), HOP, RATE, None)
    for wanted in (0.0, 0.3, 0.5, 0.99):
        anchor = Anchor(30 * HOP, torch.tensor([wanted], dtype=torch.float64))
        bent = pull(track, anchor, start=5 * HOP)
        assert float(part_of(bent.phase[:, 30 * HOP - 1] - wanted)) < 1e-9
        change = bent.phase - track.phase
        assert float(change.abs().max()) <= 0.5 + 1e-9 and float(change[:, : 5 * HOP].abs().max()) == 0
        assert float((change[:, 30 * HOP :] - change[:, -1:]).abs().max()) < 1e-12  # and stays


def test_a_small_change_of_pitch_is_a_small_change_of_sound() -> None:
    """Also where one harmonic more fits below the limit, which is everywhere within a few tenths of a second."""
    f0, never = some_pitch(50), torch.zeros(1, 50, dtype=torch.bool)
    first, second = (pulses(phase_track(x, never, HOP, RATE, None), RATE) for x in (f0, f0 * (1 + 1e-9)))
    assert float((first - second).abs().max()) < 1e-2  # pulses are some 10 high
