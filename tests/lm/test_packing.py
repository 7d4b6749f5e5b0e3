"""Products with fixed weights give the numbers of the plain one, however many rows come."""

import pytest
import torch
from torch.nn import functional

from unisono.lm import packing
from unisono.lm.packing import PACKINGS, feed_forward, product

ERRORS = {"none": 1e-6, "half": 5e-4, "int8": 0.02}


@pytest.mark.parametrize("kind", PACKINGS)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 33])
@pytest.mark.parametrize("large", [False, True])
def test_a_product_gives_the_numbers_of_the_plain_one(monkeypatch, kernels, kind, rows, large):
    monkeypatch.setattr(packing, "LARGE", 0 if large else 10**9)
    torch.manual_seed(0)
    weight, x = torch.randn(48, 64), torch.randn(rows, 64)
    made = product(weight, kind)(x.to(packing.row_format(weight, kind))).float()
    exact = functional.linear(x, weight)
    assert made.shape == exact.shape and (made - exact).norm() < ERRORS[kind] * exact.norm()


@pytest.mark.parametrize("kind", ["none", "half"])
@pytest.mark.parametrize("large", [False, True])
def test_a_row_does_not_depend_on_the_rows_beside_it(monkeypatch, kernels, kind, large):
    monkeypatch.setattr(packing, "LARGE", 0 if large else 10**9)
    torch.manual_seed(0)
    run = feed_forward(torch.randn(96, 64), torch.randn(96, 64), torch.randn(64, 96), kind)
    rows = torch.randn(3, 64)
    together = run(rows)
    for index in range(3):
        torch.testing.assert_close(together[index], run(rows[index : index + 1])[0], atol=1e-3, rtol=1e-5)


def test_half_weights_lose_nothing_that_was_stored_in_half_precision(monkeypatch, kernels):
    torch.manual_seed(0)
    weight, x = torch.randn(48, 64).half().float(), torch.randn(33, 64)
    exact = functional.linear(x, weight)
    kernel = product(weight, "half")
    torch.testing.assert_close(kernel(x), exact, atol=1e-4, rtol=0)
    assert all(torch.equal(kernel(x[: rows + 1])[rows], kernel(x)[rows]) for rows in range(33))
    monkeypatch.setattr(packing, "_reads_half", lambda: False)  # another machine, or a torch without the kernel
    torch.testing.assert_close(product(weight, "half")(x), exact, atol=1e-4, rtol=0)
