"""TASTE's networks: against slow loops and the library, causality, states, both unit decoders."""

import pytest
import torch
from taste_folder import HEARD, tiny_taste

from unisono.errors import CheckpointError
from unisono.families.taste.canvas import UnitDigits, within_tokens
from unisono.families.taste.conditions import SeededDraws, UnitSampling
from unisono.families.taste.nearby import near_marks
from unisono.families.taste.relative import RelativeStack, StackState
from unisono.families.taste.tower import average_words, length_mask
from unisono.families.taste.whisper import AggregatorDecoder, WhisperEncoder

SIZES = {
    "d_model": 16,
    "num_mel_bins": 8,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 20,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 20,
    "max_source_positions": 12,
    "max_target_positions": 20,
}


def given(model, lengths=(6, 3), units=(20, 12), seed=0):
    """A batch for the unit decoders: ids, lengths, speakers, speech vectors, units, lengths."""
    make = torch.Generator().manual_seed(seed)
    batch, longest = len(lengths), max(lengths)
    ids = torch.randint(3, 40, (batch, longest), generator=make)
    speaker = torch.randn(batch, 60, generator=make)
    embeds = torch.randn(batch, longest, HEARD, generator=make)
    said = torch.randint(0, 64, (batch, max(units)), generator=make)
    return ids, torch.tensor(lengths), speaker, embeds, said, torch.tensor(units)


def test_word_averaging_is_what_a_slow_loop_gives():
    torch.manual_seed(1)
    states = torch.randn(3, 7, 4)
    words = torch.tensor([[0, 0, 1, 2, 2, 2, 3], [0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]])
    lengths = torch.tensor([7, 3, 2])
    wanted = states.clone()
    for row in range(3):
        count = int(lengths[row])
        for word in set(words[row, :count].tolist()):
            places = [place for place in range(count) if words[row, place] == word]
            wanted[row, places] = states[row, places].mean(0)
    torch.testing.assert_close(average_words(states, words, lengths), wanted)


def test_padding_never_joins_a_word():
    """Word ids are padded with 0, which is the first word's id (spec section 7.5)."""
    torch.manual_seed(1)
    states, words = torch.randn(1, 4, 3), torch.zeros(1, 4, dtype=torch.int64)
    alone = average_words(states[:, :2], words[:, :2], torch.tensor([2]))
    torch.testing.assert_close(average_words(states, words, torch.tensor([2]))[:, :2], alone)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whisper_is_the_librarys():
    from transformers import WhisperConfig, WhisperModel

    torch.manual_seed(2)
    library = WhisperModel(
        WhisperConfig(**SIZES, vocab_size=30, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
    ).eval()
    encoder, decoder = WhisperEncoder(SIZES), AggregatorDecoder(SIZES, 30, 2)
    encoder.load_state_dict(library.encoder.state_dict())
    decoder.load_state_dict(library.decoder.state_dict())
    features, ids = torch.randn(2, 24, 8), torch.randint(0, 30, (2, 9))
    with torch.no_grad():
        theirs = library.encoder(features.transpose(1, 2), output_hidden_states=True)
        keys, values = encoder(features, 2)
        torch.testing.assert_close(keys, theirs.last_hidden_state, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(values, theirs.hidden_states[2], atol=1e-5, rtol=1e-5)
        read = library.decoder(input_ids=ids, encoder_hidden_states=keys).last_hidden_state
        torch.testing.assert_close(decoder(ids, keys, keys), read, atol=1e-5, rtol=1e-5)
        apart = decoder(ids, keys, values)
        assert (apart - read).abs().max() > 1e-3  # keys and values are two sources
        decoder.reset_values()
        assert torch.equal(decoder.layers[0].encoder_attn.v_proj(values), values)


def test_a_later_token_never_changes_an_earlier_unit():
    """Causality of the published decoder's encoders and language model (spec section 1.4)."""
    decoder = tiny_taste().speech_decoder
    ids, _, _, embeds, _, _ = given(decoder)
    before = decoder.condition(ids, embeds)
    ids[:, 4] = (ids[:, 4] + 1) % 40
    embeds[:, 4] += 1
    after = decoder.condition(ids, embeds)
    assert torch.equal(after[:, :4], before[:, :4]) and not torch.equal(after[:, 4:], before[:, 4:])
    inputs = torch.randn(1, 9, 16)
    whole = decoder.llm(inputs)
    torch.testing.assert_close(decoder.llm(inputs[:, :5]), whole[:, :5], atol=1e-5, rtol=1e-5)


def test_a_stack_goes_on_from_its_state():
    torch.manual_seed(3)
    stack = RelativeStack(6, 8, 2, 12, 2, lm=True).eval()
    inputs, state = torch.randn(2, 11, 6), StackState()
    parts = [stack(inputs[:, start:stop], state=state) for start, stop in ((0, 5), (5, 6), (6, 9), (9, 11))]
    torch.testing.assert_close(torch.cat(parts, 1), stack(inputs), atol=1e-5, rtol=1e-5)


def test_full_attention_ignores_padding():
    torch.manual_seed(3)
    stack = RelativeStack(6, 8, 2, 12, 2, causal=False).eval()
    inputs = torch.randn(2, 9, 6)
    both = stack(inputs, torch.tensor([9, 4]))
    torch.testing.assert_close(both[1:, :4], stack(inputs[1:, :4]), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="causal"):
        stack(inputs, state=StackState())


LOCAL = {"diffusion_blocks": 2, "diffusion_inner": 24, "diffusion_digits": (4, 4, 4)}
KINDS = {
    "autoregressive": {"kind": "autoregressive"},
    "masked_diffusion": {"kind": "masked_diffusion"},
    "local": {"kind": "masked_diffusion", "decoder": LOCAL},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("heard", [True, False])
def test_rows_of_a_batch_are_what_they_are_alone(kind, heard):
    decoder = tiny_taste(**KINDS[kind]).speech_decoder
    ids, lengths, speaker, embeds, _, _ = given(decoder)
    embeds = embeds if heard else None
    sampling = UnitSampling(steps=4)
    both = decoder.decode(ids, lengths, speaker, embeds, SeededDraws([7, 8]), sampling)
    for row, count in enumerate(lengths.tolist()):
        vectors = None if embeds is None else embeds[row : row + 1, :count]
        alone = decoder.decode(
            ids[row : row + 1, :count],
            lengths[row : row + 1],
            speaker[row : row + 1],
            vectors,
            SeededDraws([7 + row]),
            sampling,
        )
        assert torch.equal(both[row], alone[0]) and (both[row] < 64).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_given_length_is_kept_and_losses_train(kind):
    model = tiny_taste(**KINDS[kind])
    decoder = model.speech_decoder.train()
    batch = given(decoder)
    torch.manual_seed(0)
    losses = []
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
    for _ in range(30):
        made = decoder(*batch)
        optimizer.zero_grad()
        made.loss.backward()
        optimizer.step()
        losses.append(made.loss.item())
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    unreached = [name for name, value in decoder.named_parameters() if value.grad is None]
    assert unreached == []
    if kind == "autoregressive":
        units = decoder.eval().decode(*batch[:4], SeededDraws([1, 2]), UnitSampling(length=9))
        assert [len(row) for row in units] == [9, 9]


@pytest.mark.parametrize("steps", [1, 2, 50])
@pytest.mark.parametrize("order", ["confidence", "ancestral"])
def test_diffusion_takes_any_number_of_steps(steps, order):
    decoder = tiny_taste(kind="masked_diffusion").speech_decoder
    ids, lengths, speaker, embeds, _, _ = given(decoder)
    for length in (None, 11):
        units = decoder.decode(
            ids, lengths, speaker, embeds, SeededDraws([1, 2]), UnitSampling(steps=steps, order=order, length=length)
        )
        assert all(len(row) <= (length or 1000) and (row < 64).all() for row in units)


def test_tokens_share_the_canvas_by_duration():
    token, place = within_tokens(torch.tensor([1.0, 3.0]), wanted=8, size=10)
    assert token.tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]
    assert place[:, 0].tolist() == pytest.approx([0.25, 0.75, *((i + 0.5) / 6 for i in range(6)), 1, 1])
    assert place[0, 1:].expm1().tolist() == pytest.approx([0.5, 1.5])
    assert place[-1, 1:].expm1().tolist() == pytest.approx([7.5, 0])  # behind the speech


def test_units_that_share_digits_share_a_part_of_their_vectors():
    digits = UnitDigits((2, 3), 6, width=4, out=5)
    vectors, hidden = digits.vectors(), torch.randn(5)
    values = digits.embed.weight.T  # [F, H]
    assert torch.allclose(vectors[5], values[1] + values[2 + 2]) and torch.allclose(
        vectors[2], values[0] + values[2 + 1]
    )
    assert torch.allclose(digits.logits(hidden)[3], digits.decode(hidden)[[1, 2 + 1]].sum())
    with pytest.raises(CheckpointError, match="make 6 units, not 7"):
        UnitDigits((2, 3), 7, width=4, out=5)


def test_tokens_attend_near_their_marks_only():
    allowed = near_marks(torch.tensor([[2, 5]]), torch.tensor([2]), torch.tensor([9]), 10, 1)
    assert [row.nonzero()[:, 0].tolist() for row in allowed[0]] == [[0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7, 8]]


@pytest.mark.parametrize("quantiser", ["rvq", "fsq", "none"])
def test_a_whole_step_of_every_stage_trains(quantiser):
    model = tiny_taste(quantiser=quantiser).train()
    ids, lengths, speaker, _, units, counts = given(model.speech_decoder)
    words = torch.arange(6).expand(2, -1)
    features = torch.randn(2, 30, 200)
    for skip_audio, skip_vq in ((True, True), (False, True), (False, False)):
        model.zero_grad()
        made = model(ids, lengths, words, speaker, units, counts, features, skip_audio=skip_audio, skip_vq=skip_vq)
        made.loss.backward()
        reached = {name.split(".")[0] for name, value in model.named_parameters() if value.grad is not None}
        assert reached == ({"speech_decoder"} if skip_audio else {"speech_decoder", "audio_tower"})
        quantised = made.heard is not None and made.heard.codes is not None
        assert quantised == (not skip_vq and quantiser != "none")
    if quantised:
        assert (made.heard.codes[1, 3:] == -1).all() and (made.heard.codes[length_mask(lengths, 6)] >= 0).any()
