"""Candidates, text sampling and draws."""

import torch

from unisono.lm.candidates import choose, duration_median_scores, reference_embedding, repeat_rows
from unisono.lm.draws import GeneratorDraws
from unisono.lm.gray import encode_gray
from unisono.lm.sampling import TextSampling, keep_nucleus, penalise, text_probabilities


def test_rows_are_repeated_candidate_by_candidate():
    assert repeat_rows(torch.tensor([[1], [2]]), 2).flatten().tolist() == [1, 2, 1, 2]


def test_the_first_of_equally_good_candidates_is_kept():
    solved = torch.arange(12.0).view(6, 2)  # three candidates of two rows
    scores = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 2.0]])
    assert choose(solved, scores).tolist() == [[0, 1], [6, 7]]


def test_durations_are_scored_by_their_distance_to_the_lower_median():
    totals = torch.tensor([3, 9, 5, 6])
    vectors = torch.cat([torch.zeros(4, 2), encode_gray(totals, 4), encode_gray(torch.zeros(4), 4)], -1)
    assert duration_median_scores(vectors, 2, 4).flatten().tolist() == [-2, -4, 0, -1]


def test_silent_slots_do_not_count_for_the_reference_speaker():
    vectors = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]])
    reference = reference_embedding(lambda x: torch.nn.functional.normalize(x, dim=-1), vectors)
    torch.testing.assert_close(reference, torch.full((1, 2), 0.5**0.5))
    assert reference_embedding(lambda x: x, vectors[:, :1]) is None
    assert reference_embedding(lambda x: x, vectors[:, :0]) is None


def test_every_distinct_id_is_penalised_once():
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    assert penalise(logits, torch.tensor([[0, 1, 0, 0]]), 2.0).tolist() == [[1.0, -4.0, 1.0]]


def test_the_nucleus_keeps_the_likeliest_token_and_what_begins_below_the_mass():
    scores = torch.tensor([[0.1, 0.6, 0.3]]).log()
    assert keep_nucleus(scores, 0.6).isfinite().tolist() == [[False, True, False]]
    assert keep_nucleus(scores, 0.61).isfinite().tolist() == [[False, True, True]]
    assert keep_nucleus(scores, 0.0).isfinite().tolist() == [[False, False, False]]


def test_probabilities_sum_to_one_and_top_k_keeps_ties():
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.0]])
    none = torch.zeros(1, 0, dtype=torch.long)
    kept = text_probabilities(logits, none, TextSampling(top_k=1, top_p=1.0, temperature=1.0, repetition_penalty=1.0))
    torch.testing.assert_close(kept, torch.tensor([[0.0, 0.5, 0.5, 0.0]]))


def test_a_row_draws_what_it_would_draw_alone():
    both, alone = GeneratorDraws.seeded([3, 4]), GeneratorDraws.seeded([4])
    for candidates in (1, 3, 1):
        torch.testing.assert_close(both.noise(5, 4, candidates)[1::2], alone.noise(5, 4, candidates), atol=0, rtol=0)
    probabilities = torch.rand(2, 9).softmax(-1)
    assert both.token(probabilities)[1] == alone.token(probabilities[1:])[0]


def test_the_default_generator_draws_in_the_published_order():
    torch.manual_seed(5)
    acoustic, bits = torch.randn(1, 6), torch.randn(1, 4)
    torch.manual_seed(5)
    assert torch.equal(GeneratorDraws([None]).noise(6, 4, 1), torch.cat([acoustic, bits], -1))
