"""Quantisers: round trips, gradients, padding, levels left out, and no code books made up in evaluation."""

import math

import pytest
import torch
from torch.nn import functional

from unisono.codec.fsq import FiniteSQ
from unisono.codec.quantisers import ABSENT, ResidualVQ, kmeans, tuple_bits
from unisono.errors import CheckpointError


def trained_rvq(**changes):
    torch.manual_seed(0)
    quantiser = ResidualVQ(width=6, latent_width=4, size=8, levels=3, iterations=5, **changes)
    quantiser.train()
    quantiser(torch.randn(4, 20, 6), cutoff=2)
    return quantiser


def fsq():
    torch.manual_seed(0)
    return FiniteSQ(width=6, levels=(5, 4, 3), groups=2)


@pytest.mark.parametrize("make", [trained_rvq, fsq])
def test_codes_come_back_as_the_vectors_they_gave(make):
    quantiser = make().eval()
    made = quantiser(torch.randn(2, 7, 6))
    assert made.indices.shape == (2, 7, len(quantiser.sizes)) and made.indices.min() >= 0
    torch.testing.assert_close(quantiser.project(quantiser.latent(made.indices)), made.output)
    assert not made.losses.any()


@pytest.mark.parametrize("make", [trained_rvq, fsq])
def test_latents_of_codes_are_their_own_nearest(make):
    quantiser = make().eval()
    indices = quantiser(torch.randn(3, 50, 6)).indices
    latent = quantiser.latent(indices)
    again = quantiser.latent(quantiser.nearest(latent))
    if isinstance(quantiser, FiniteSQ):
        assert torch.equal(quantiser.nearest(latent), indices)
    else:  # level by level: never further away than the codes it came from
        assert ((again - latent).norm(dim=-1) <= latent.norm(dim=-1) + 1e-5).all()


@pytest.mark.parametrize("make", [trained_rvq, fsq])
def test_certain_logits_expect_the_latent_of_their_codes(make):
    quantiser = make().eval()
    indices = quantiser(torch.randn(2, 5, 6)).indices
    logits = functional.one_hot(indices, quantiser.sizes[0]).float() * 1e4
    torch.testing.assert_close(quantiser.expected(logits), quantiser.latent(indices), atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [trained_rvq, fsq])
def test_padding_has_no_codes_and_a_zero_latent(make):
    quantiser = make().eval()
    mask = torch.tensor([[True, True, False]])
    made = quantiser(torch.randn(1, 3, 6), mask)
    assert (made.indices[0, 2] == ABSENT).all() and (made.indices[0, :2] != ABSENT).all()
    torch.testing.assert_close(made.output[0, 2], quantiser.project_out.bias)
    assert not quantiser.latent(torch.full((1, len(quantiser.sizes)), ABSENT)).any()


def test_gradient_reaches_the_input_once_for_every_active_level():
    quantiser = trained_rvq()
    x, slopes = torch.randn(2, 4, 6), []
    for cutoff in range(3):
        given = x.clone().requires_grad_()
        quantiser(given, cutoff=cutoff).output.sum().backward()
        slopes.append(given.grad)
    torch.testing.assert_close(slopes[1], 2 * slopes[0])
    torch.testing.assert_close(slopes[2], 3 * slopes[0])


def test_gradient_of_finite_steps_is_that_of_the_bound():
    quantiser = fsq()
    given = torch.randn(1, 3, 6).requires_grad_()
    quantiser(given).output.sum().backward()
    scalars = quantiser.project_in(given).unflatten(-1, (2, 3))
    wanted = torch.autograd.grad(quantiser.project_out(quantiser._bound(scalars).flatten(-2)).sum(), given)[0]
    torch.testing.assert_close(given.grad, wanted)


def test_levels_left_out_have_no_codes_and_no_loss():
    made = trained_rvq()(torch.randn(2, 4, 6), cutoff=0)
    assert (made.indices[..., 1:] == ABSENT).all() and not made.losses[1:].any() and made.losses[0] > 0


def test_a_batch_draws_one_cutoff_in_training_only():
    quantiser = trained_rvq()
    x = torch.randn(2, 4, 6)
    used = {int((quantiser(x).indices[0, 0] >= 0).sum()) for _ in range(40)}
    assert used == {1, 2, 3}
    assert {int((quantiser.eval()(x).indices >= 0).all()) for _ in range(5)} == {1}


def test_code_books_are_never_made_up_in_evaluation():
    quantiser = ResidualVQ(width=6, latent_width=4, size=8, levels=2).eval()
    with pytest.raises(CheckpointError, match="never saw data"):
        quantiser(torch.randn(1, 30, 6))
    assert not any(bool(book.initted) for book in quantiser.books)


def test_code_books_move_in_training_only():
    quantiser = trained_rvq()
    before = quantiser.books[0].embed.clone()
    quantiser.eval()(torch.randn(2, 9, 6))
    assert torch.equal(quantiser.books[0].embed, before)
    quantiser.train()(torch.randn(2, 9, 6), cutoff=2)
    assert not torch.equal(quantiser.books[0].embed, before)


def test_means_of_clear_clusters_are_found():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    rows = torch.cat(
        [centre + 0.1 * torch.randn(20, 2, generator=torch.Generator().manual_seed(1)) for centre in centres]
    )
    means, counts = kmeans(rows, rows[[0, 20, 40]], 10)
    torch.testing.assert_close(means, torch.stack([part.mean(0) for part in rows.split(20)]))
    assert counts.tolist() == [20, 20, 20]


def test_a_mean_without_rows_stays():
    means, counts = kmeans(torch.zeros(3, 1), torch.tensor([[0.0], [5.0]]), 4)
    assert means.tolist() == [[0.0], [5.0]] and counts.tolist() == [3, 0]


def test_every_step_of_a_scalar_is_reached_and_about_as_wide():
    quantiser = FiniteSQ(width=1, levels=(5,), groups=1)
    scalars = torch.linspace(-0.999, 0.999, 4001)[:, None, None]
    steps = quantiser._number(quantiser._round(scalars * (1 + 0.999 / 4)))
    counts = steps.flatten().bincount(minlength=5)
    assert counts.min() > 0.95 * counts.max()


def test_bits_of_a_tuple():
    assert tuple_bits(FiniteSQ(levels=(8, 8, 8), groups=4)) == 36
    assert tuple_bits(ResidualVQ(6, 4, 512, 4)) == 4 * math.log2(512)


def test_rvq_code_books_follow_their_rows_under_autocast():
    torch.manual_seed(0)
    quantiser = ResidualVQ(width=6, latent_width=4, size=8, levels=2, iterations=3, dropout=False).train()
    x = torch.randn(3, 10, 6)
    before = quantiser(x).output.detach()
    with torch.autocast("cpu", torch.bfloat16):
        quantiser(x)
    book = quantiser.books[0]
    assert book.embed_avg.dtype == torch.float32 and not torch.equal(quantiser(x).output.detach(), before)
    assert float(book.cluster_size.sum()) == pytest.approx(30, rel=1e-4)
