"""Slots on the frame grid."""

import pytest
import torch

from unisono.errors import GenerationError
from unisono.families.tada.render import HOP, expand, render


def ones(expanded, masks):
    """A decoder whose samples say which frame they belong to."""
    frames = torch.arange(1.0, masks.shape[1] + 1).repeat_interleave(HOP)
    return frames[None, None]


def test_a_slot_ends_its_gap_and_a_gap_of_zero_still_takes_a_frame():
    expanded, masks = expand(torch.tensor([[1.0], [2.0], [0.0]]), torch.tensor([2, 0, 3, 1]))
    assert expanded[0, :, 0].tolist() == [0, 1, 2, 0, 0, 0, 0]
    assert masks.tolist() == [[0, 1, 1, 0, 0, 0, 0]]  # a zero vector is no mark


def test_the_first_slot_and_its_silence_are_cut_away():
    rendered = render(ones, torch.ones(3, 2), torch.tensor([4, 2, 3, 3]))
    assert len(rendered.audio) == HOP * (2 + 3 + 3) and rendered.audio[0] == 5
    assert rendered.positions.tolist() == [0, 2, 5]


def test_nothing_and_too_few_durations_are_refused():
    for vectors, before in ((torch.ones(0, 2), torch.tensor([1])), (torch.ones(2, 2), torch.tensor([1, 1]))):
        with pytest.raises(GenerationError, match="need n and n"):
            render(ones, vectors, before)


def test_a_decoder_that_makes_no_numbers_is_an_error():
    with pytest.raises(GenerationError, match="not a finite number"):
        render(lambda expanded, masks: ones(expanded, masks) / 0, torch.ones(1, 2), torch.tensor([1, 1]))
