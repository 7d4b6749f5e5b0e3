"""Masked diffusion against the exact law of a small vocabulary: three symbols, three places, every sequence counted."""

import itertools
import math

import pytest
import torch

from unisono.lm.absorbing import HIDDEN, Finding, bound, find, hidden_share, hide

SYMBOLS, PLACES = 3, 3
EVERY = torch.tensor(list(itertools.product(range(SYMBOLS), repeat=PLACES)))  # [27, 3]
LAW = torch.rand(len(EVERY), generator=torch.Generator().manual_seed(4), dtype=torch.float64) ** 3
LAW = LAW / LAW.sum()


def exact(shown: torch.Tensor) -> torch.Tensor:
    """log p(symbol | what is shown) of the law itself: int64 [B, 3] -> [B, 3, 3]."""
    fits = ((EVERY[None] == shown[:, None]) | (shown[:, None] == HIDDEN)).all(-1)  # [B, 27]
    weights = fits * LAW
    chosen = torch.nn.functional.one_hot(EVERY, SYMBOLS).double()  # [27, 3, 3]
    return (torch.einsum("bn,nps->bps", weights, chosen) / weights.sum(-1)[:, None, None]).clamp_min(1e-30).log()


def law_of(rows: torch.Tensor) -> torch.Tensor:
    """How often each sequence occurs."""
    numbers = (rows * torch.tensor([SYMBOLS**2, SYMBOLS, 1])).sum(-1)
    return numbers.bincount(minlength=len(EVERY)).double() / len(rows)


def draws(count: int, finding: Finding) -> torch.Tensor:
    return torch.cat([find(exact, [PLACES], [torch.Generator().manual_seed(seed)], finding) for seed in range(count)])


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Total variation."""
    return float((one - other).abs().sum() / 2)


def noise(count: int, law: torch.Tensor) -> float:
    """Total variation that a sample of this size has by chance, on average, from its own law."""
    return float((2 * law * (1 - law) / (math.pi * count)).sqrt().sum() / 2)


def reverse_law(steps: int) -> torch.Tensor:
    """The law of ancestral drawing in so many steps, by following every state: exact, no draw."""
    states = {(HIDDEN,) * PLACES: 1.0}
    for step in range(steps):
        stay = hidden_share(1 - (step + 1) / steps, "linear") / hidden_share(1 - step / steps, "linear")
        after: dict[tuple[int, ...], float] = {}
        for state, mass in states.items():
            rows = exact(torch.tensor([state]))[0].exp()
            choices = [
                [(symbol, 1.0)]
                if symbol != HIDDEN
                else [(HIDDEN, stay), *((s, (1 - stay) * float(rows[place, s])) for s in range(SYMBOLS))]
                for place, symbol in enumerate(state)
            ]
            for path in itertools.product(*choices):
                chance = mass * math.prod(part[1] for part in path)
                if chance > 0:
                    key = tuple(part[0] for part in path)
                    after[key] = after.get(key, 0.0) + chance
        states = after
    return torch.tensor([states.get(tuple(row.tolist()), 0.0) for row in EVERY], dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_ancestral_draws_follow_the_reverse_process(steps):
    wanted, count = reverse_law(steps), 3000
    made = law_of(draws(count, Finding(steps=steps, order="ancestral")))
    assert distance(made, wanted) < 2 * noise(count, wanted)


def test_many_ancestral_steps_give_the_models_own_law():
    errors = [distance(reverse_law(steps), LAW) for steps in (1, 4, 16)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    marginals = torch.einsum("n,nps->ps", LAW, torch.nn.functional.one_hot(EVERY, SYMBOLS).double())
    independent = torch.stack([marginals[place, EVERY[:, place]] for place in range(PLACES)]).prod(0)
    torch.testing.assert_close(reverse_law(1), independent)  # one step draws every place by itself


def test_confidence_order_one_symbol_at_a_time_follows_some_order_of_the_law():
    """With one symbol a step, whatever place comes first: the surest draw is one of the law's own conditionals."""
    made = law_of(draws(400, Finding(steps=PLACES)))
    assert float(made[LAW < 1e-4].sum()) < 0.05
    assert float(made.sum()) == pytest.approx(1)


def test_the_bound_of_the_exact_model_is_the_entropy():
    """∫ over time of the weighted cross-entropy, all hidings counted, equals −log p averaged over all orders."""
    total = 0.0
    for row, mass in zip(EVERY, LAW, strict=True):
        for hidden in itertools.product((False, True), repeat=PLACES):
            count = sum(hidden)
            if not count:
                continue
            shown = row.masked_fill(torch.tensor(hidden), HIDDEN)[None]
            # ∫ t^(count) (1 − t)^(rest) / t dt is a beta function
            weight = math.gamma(count) * math.gamma(PLACES - count + 1) / math.gamma(PLACES + 1)
            total += float(mass * weight * bound(exact(shown), row[None], shown, torch.ones(1))[0])
    entropy = float(-(LAW * LAW.log()).sum())
    assert total == pytest.approx(entropy, rel=1e-6)


def test_hiding_is_unbiased_and_leaves_padding_alone():
    symbols, lengths = torch.zeros(4000, 3, dtype=torch.int64), torch.full((4000,), 2)
    shown, times = hide(symbols, lengths, torch.Generator().manual_seed(0))
    assert not (shown[:, 2] == HIDDEN).any() and 0 < float(times.min()) <= float(times.max()) <= 1
    share = ((shown[:, :2] == HIDDEN).float().mean(1) / times).mean()
    assert float(share) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("order", ["confidence", "ancestral"])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 3, 40])
def test_any_number_of_steps_finds_everything(order, schedule, steps):
    calls = []

    def predict(shown):
        calls.append(int((shown == HIDDEN).sum()))
        return torch.zeros(*shown.shape, 5)

    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    found = find(predict, [7, 3], generators, Finding(steps=steps, order=order, schedule=schedule, top_k=3, top_p=0.9))
    assert found.shape == (2, 7) and int(found.min()) >= 0 and not found[1, 3:].any()
    assert len(calls) == steps and calls[0] == 10 and calls == sorted(calls, reverse=True)


def test_a_row_is_what_it_would_be_alone():
    table = torch.randn(8, 5, generator=torch.Generator().manual_seed(3))

    def predict(shown):
        return table[: shown.shape[1]].expand(len(shown), -1, -1) + (shown[..., None] != HIDDEN).float()

    both = find(predict, [4, 8], [torch.Generator().manual_seed(seed) for seed in (5, 6)], Finding(steps=3))
    for row, length in ((0, 4), (1, 8)):
        alone = find(predict, [length], [torch.Generator().manual_seed(5 + row)], Finding(steps=3))
        assert torch.equal(both[row, :length], alone[0])


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"order": "left"}, {"schedule": "steep"}])
def test_what_cannot_be_done_is_refused(wrong):
    with pytest.raises(ValueError, match="steps"):
        find(exact, [3], [torch.Generator()], Finding(**wrong))
