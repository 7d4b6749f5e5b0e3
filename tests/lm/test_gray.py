"""Gray-coded durations."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unisono.lm.gray import bit_width, decode_gray, digits, encode_gray


@pytest.mark.parametrize(("classes", "bits"), [(2, 1), (3, 2), (12, 4), (16, 4), (17, 5), (256, 8), (1024, 10)])
def test_bit_width_holds_every_class(classes, bits):
    assert bit_width(classes) == bits


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        bit_width(1)


@given(st.integers(1, 12), st.data())
def test_decoding_undoes_encoding_within_the_margin(bits, data):
    value = data.draw(st.integers(0, 2**bits - 1))
    coded = encode_gray(torch.tensor([value]), bits)
    margin = data.draw(st.floats(-0.99, 0.99))
    assert decode_gray(coded + margin).tolist() == [value]


def test_neighbours_differ_in_one_bit():
    coded = encode_gray(torch.arange(256), 8)
    assert ((coded[1:] != coded[:-1]).sum(-1) == 1).all()


def test_the_most_significant_bit_comes_first_and_values_are_clamped():
    assert encode_gray(torch.tensor([8, 15, 99, -5]), 4).tolist() == [
        [1, 1, -1, -1],
        [1, -1, -1, -1],
        [1, -1, -1, -1],
        [-1, -1, -1, -1],
    ]


def test_digits_round_ties_to_even_and_are_not_clamped():
    assert digits(torch.tensor([-2.0, 0.0, 1e-6, 2.0, 2.1, -2.1, 5.0])).tolist() == [0, 0, 1, 2, 2, -1, 3]
