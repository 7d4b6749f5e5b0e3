"""Drafted codes: the exact modes keep the codes and the distribution, the group mode keeps that of groups only."""

import itertools

import pytest
import torch

from unisono.errors import InputError
from unisono.families.llasa.accelerate import PassCounter, code_groups
from unisono.lm.seeded import SeededChoice
from unisono.lm.speculative import Draft, accept, look_up, speculate, sum_groups

pytestmark = pytest.mark.filterwarnings("ignore::unisono.errors.GenerationWarning")
TEXT = "Hello there, how are you today?"
V = 6
WANTED = torch.tensor([0.30, 0.05, 0.25, 0.10, 0.20, 0.10], dtype=torch.float64)
PROPOSED = torch.tensor([0.10, 0.30, 0.05, 0.25, 0.10, 0.20], dtype=torch.float64)
GROUPS = torch.tensor([0, 0, 1, 1, 2, 2])
DRAWS = 6000


def chi_square(counts, chances):
    """Pearson's statistic; entries that cannot occur must not have."""
    total, possible = counts.sum(), chances > 0
    assert counts[~possible].sum() == 0
    expected = total * chances[possible]
    return float(((counts[possible] - expected) ** 2 / expected).sum())


# 99.9 % quantiles of the distribution, by degrees of freedom
LIMIT = {2: 13.82, 5: 20.52, 8: 26.12, 24: 51.18}


def standing(proposed, groups):
    """How often each token stands after drafting from `PROPOSED` (or always token 1) and `accept`."""
    generator = torch.Generator().manual_seed(5)
    counts = torch.zeros(V, dtype=torch.float64)
    for _ in range(DRAWS):
        token = 1 if proposed is None else int(torch.multinomial(proposed, 1, generator=generator))
        counts[accept(token, WANTED, proposed, groups, generator)[1]] += 1
    return counts


@pytest.mark.parametrize("proposed", [PROPOSED, None], ids=["assistant", "lookup"])
def test_exact_acceptance_keeps_the_distribution(proposed):
    assert chi_square(standing(proposed, torch.arange(V)), WANTED) < LIMIT[5]


@pytest.mark.parametrize("proposed", [PROPOSED, None], ids=["assistant", "lookup"])
def test_group_acceptance_keeps_that_of_groups_and_not_of_tokens(proposed):
    counts = standing(proposed, GROUPS)
    assert chi_square(sum_groups(counts, GROUPS), sum_groups(WANTED, GROUPS)) < LIMIT[2]
    assert chi_square(counts, WANTED) > 10 * LIMIT[5], "an approximation that this test cannot see is none"


def test_speculation_with_a_small_model_keeps_the_distribution_of_sequences():
    size, end = 5, 4
    table = torch.rand(size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    table[:, end] = 0  # all sequences are as long
    table /= table.sum(1, keepdim=True)

    def model(ids, count):
        return table[torch.tensor([ids[place] for place in range(len(ids) - count - 1, len(ids))])]

    generator = torch.Generator().manual_seed(2)

    def drafter(ids):
        return Draft([(ids[-1] + 1) % 4, 2])

    counts, passes = torch.zeros(size, size, dtype=torch.float64), 0
    for _ in range(DRAWS):
        new, tally = speculate(model, drafter, [0], length=2, end=end, groups=torch.arange(size), generator=generator)
        counts[new[0], new[1]] += 1
        passes += tally.passes
    chances = torch.tensor([[table[0, a] * table[a, b] for b in range(size)] for a in range(size)])
    assert chi_square(counts.flatten(), chances.flatten()) < LIMIT[24]
    assert passes < 2 * DRAWS


def test_seeded_noise_draws_from_the_distribution():
    counts = torch.zeros(V, dtype=torch.float64)
    for row in range(DRAWS):
        scores = SeededChoice([(7, row)], 0)(torch.zeros(1, row % 3, dtype=torch.long), WANTED.log()[None].float())
        counts[scores.argmax()] += 1
    assert chi_square(counts, WANTED) < LIMIT[5]


def test_look_up_proposes_what_followed_last_time():
    assert look_up([1, 2, 3, 9, 1, 2, 3, 7, 8, 1, 2, 3], 2).tokens == [7, 8]
    assert look_up([1, 2, 3], 2).tokens == []


@pytest.mark.parametrize("how", ["lookup", "assistant"])
def test_exact_modes_give_the_very_same_codes(toy, how):
    for seed in range(3):
        plain = toy.say(TEXT, seed=seed)
        assert [t.id for t in toy.say(TEXT, seed=seed, accelerate=how).tokens] == [t.id for t in plain.tokens]


def test_an_assistant_saves_passes(toy):
    pieces, keys, options = toy.prepare(TEXT, None, 3, {"accelerate": "assistant"})
    generated = toy.engine.accelerated(pieces[0], keys[0], options)
    with PassCounter(toy.engine.model) as counter:
        plain = torch.cat(list(toy.engine.codes(pieces[0], keys[0], toy.prepare(TEXT, None, 3, {})[2])))
    assert toy.engine.as_codes(generated.ids).equal(plain)
    assert generated.passes < counter.passes


def test_group_mode_speaks_and_is_reproducible(toy):
    one, two = (toy.say(TEXT, seed=3, accelerate="group") for _ in range(2))
    assert [t.id for t in one.tokens] == [t.id for t in two.tokens] and len(one.tokens) > 0


def test_groups_are_neighbours_in_the_grid(toy):
    vocabulary = toy.engine.vocabulary
    groups = code_groups(vocabulary, [4, 4, 4], toy.engine.model.config.vocab_size)
    digits = list(itertools.product(range(4), repeat=3))
    for one, other in itertools.product(digits[::7], digits[::5]):
        same = all(a // 2 == b // 2 for a, b in zip(one, other, strict=True))
        places = [vocabulary.first + d[0] + 4 * d[1] + 16 * d[2] for d in (one, other)]
        assert (groups[places[0]] == groups[places[1]]) == same
    assert (groups == groups[vocabulary.speech_end]).sum() == 1 and groups.max() == 9


def test_an_assistant_that_is_not_there_is_asked_for(toy_folder):
    import unisono

    with pytest.raises(InputError, match="name its folder with --assistant"):
        unisono.load(toy_folder, device="cpu").say("Hello.", accelerate="assistant")
