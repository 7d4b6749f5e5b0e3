"""Attention of few rows in NumPy equals torch's, and a row is what it is alone."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from unisono.lm import few
from unisono.lm.llama import rotate


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("positions", [1, 7, 300, 5000])  # the last one goes to torch
def test_attention_of_few_rows_equals_that_of_torch(kv_heads, positions):
    torch.manual_seed(0)
    queries, past = torch.randn(3, 4, 8), torch.randn(3, 2 * kv_heads, positions, 8)
    keys, values = past.chunk(2, 1)
    wanted = functional.scaled_dot_product_attention(queries[:, :, None], keys, values, enable_gqa=True)
    made = few.attend(queries.numpy(), past.numpy())
    torch.testing.assert_close(torch.from_numpy(made), wanted.flatten(1), atol=1e-5, rtol=0)
    for row in range(3):
        one = slice(row, row + 1)
        assert np.array_equal(few.attend(queries[one].numpy(), past[one].numpy()), made[one])


def test_turning_equals_that_of_torch():
    x, cos, sin = torch.randn(5, 3, 8), torch.randn(3, 8), torch.randn(3, 8)
    made = few.turn(few.halves(x), few.halves(cos), few.halves(sin))
    torch.testing.assert_close(torch.from_numpy(made), rotate(x, cos, sin))


def test_a_product_of_each_row_does_not_depend_on_the_others():
    rows, weight = np.random.default_rng(0).standard_normal((2, 9, 16), dtype=np.float32)
    made = few.each(rows, weight)
    np.testing.assert_allclose(made, rows @ weight.T, atol=1e-5)
    assert all(np.array_equal(few.each(rows[[index]], weight)[0], made[index]) for index in range(9))
