"""TASTE's spoken language model: where things stand, when codes are due, caches, adapters, likelihoods."""

import math

import pytest
import torch
from taste_folder import LEVELS, tiny_taste

from unisono.errors import CheckpointError, InputError
from unisono.families.taste import TasteConfig, TasteForCausalLM
from unisono.families.taste.adapters import AdaptedBackbone, merge_adapters
from unisono.families.taste.choosing import Choosing, GeneratorDraws, choose_text, keep_mass
from unisono.families.taste.completion import write
from unisono.families.taste.generate import Prompt, Writer
from unisono.families.taste.pacing import Action, Heard, Pacing
from unisono.families.taste.sequence import codes_at_tokens, lay_codes, text_labels
from unisono.families.taste.spoken import trainable_names
from unisono.families.taste.vocabulary import read_vocabulary
from unisono.files import load_tensors, save_tensors

TEXTS = [
    "",
    "\n",
    *(f" {letter}" for letter in "abcdefghijklm"),
    *"nopqrstuvwxyz",
    ".",
    "?",
    *(f" {n}" for n in range(10)),
]


class Words:
    """Every token is one of TEXTS."""

    vocab_size = len(TEXTS)

    def encode(self, text):
        """Ids."""
        ids = []
        while text:
            index = next(i for i, piece in enumerate(TEXTS) if piece and text.startswith(piece))
            ids.append(index)
            text = text[len(TEXTS[index]) :]
        return ids

    def decode(self, ids):
        """Text."""
        return "".join(TEXTS[index] for index in ids)


def speaking(**changes):
    """A tiny model with a vocabulary."""
    model = tiny_taste(len(TEXTS), **changes)
    return model.attach(Words(), Words(), read_vocabulary(TEXTS, first_special=len(TEXTS)))


def prompt(mode="audio", seed=0):
    make = torch.Generator().manual_seed(seed)
    ids, words = torch.tensor([2, 16, 3, 17, 18, 4]), torch.tensor([0, 0, 1, 1, 1, 2])
    codes = torch.randint(0, 8, (6, LEVELS), generator=make)
    codes[[1, 3, 4]] = -1
    return Prompt(mode, ids, words, codes, (1, 5), (6,))


def batch(seed=0):
    make = torch.Generator().manual_seed(seed)
    ids, lengths = torch.randint(2, 40, (3, 7), generator=make), torch.tensor([7, 4, 1])
    words = torch.tensor([[0, 0, 1, 2, 2, 3, 3], [0, 1, 1, 2, 0, 0, 0], [0] * 7])
    return ids, lengths, words, torch.randint(0, 8, (3, 7, LEVELS), generator=make)


class Whole:
    """A backbone without a cache: it reads everything again at every step, as the published one does."""

    def __init__(self, model):
        self.model, self.calls = model, 0

    def start(self, embeds, branches, capacity):
        """The state is all that was read."""
        return self.model(embeds), [embeds]

    def step(self, embeds, cache):
        """Read all again."""
        cache[0] = torch.cat([cache[0], embeds[:, None]], 1)
        return self.model(cache[0])[:, -1]


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("out", ["continue_latent_linear_last", "linear_last"])
@pytest.mark.parametrize("mode", ["audio", "text", "zero", "instruct"])
def test_cached_generation_equals_uncached(lora, out, mode):
    model = speaking(lora=lora, out_llm_module=out)
    seen = []
    for backbone in (None, Whole(model.spoken_lm.language_model)):
        steps = []
        writer = Writer(
            model.spoken_lm,
            model.audio_tower.quantiser,
            model.vocabulary,
            prompt(mode),
            Choosing(0.9, 0.5, 0.8, 1.2),
            GeneratorDraws(3),
            backbone,
        )
        starts, ends = model.vocabulary.starts.tolist(), model.vocabulary.ends.tolist()
        writer.write(Pacing(1, 3, starts, ends, len(writer.pending)), 12, steps.append)
        seen.append(steps)
    assert [step.text_id for step in seen[0]] == [step.text_id for step in seen[1]] and len(seen[0]) > 3
    for cached, whole in zip(*seen, strict=True):
        torch.testing.assert_close(cached.text_logits, whole.text_logits, atol=1e-4, rtol=1e-4)
        assert (cached.codes is None) == (whole.codes is None)


def test_rows_of_a_batch_are_what_they_are_alone():
    model = speaking()
    ids, lengths, words, codes = batch()
    together = model.spoken_lm(ids, lengths, words, codes, model.audio_tower.quantiser)
    for row, count in enumerate(lengths.tolist()):
        one = (ids[row : row + 1, :count], lengths[row : row + 1], words[row : row + 1, :count])
        alone = model.spoken_lm(*one, codes[row : row + 1, :count], model.audio_tower.quantiser)
        size = count + 2
        for name in ("hidden", "text_logits"):
            torch.testing.assert_close(
                together.parts[name][row, :size], alone.parts[name][0, :size], atol=1e-5, rtol=1e-5
            )
        assert torch.equal(together.text_labels[row, :size], alone.text_labels[0])


def test_likelihood_scores_are_the_loss_of_an_item_and_fall_in_training():
    model = speaking(lora=True).train()
    items = batch()
    names = set(trainable_names(model.spoken_lm))
    assert any("lora_A" in name for name in names) and not any("base_layer" in name for name in names)
    for name, value in model.spoken_lm.named_parameters():
        value.requires_grad_(name in names)
    optimizer = torch.optim.Adam([p for p in model.spoken_lm.parameters() if p.requires_grad], lr=0.02)
    before = model.score(*items)
    for _ in range(25):
        optimizer.zero_grad()
        model.spoken_lm(*items, model.audio_tower.quantiser).loss.backward()
        optimizer.step()
    after = model.score(*items)
    assert after.shape == (3,) and (after < before).all()


def test_merged_adapters_speak_the_same_without_peft():
    model = speaking(lora=True)
    items, quantiser = batch(), model.audio_tower.quantiser
    with torch.no_grad():
        adapted = model.spoken_lm(*items, quantiser)
        stepper = AdaptedBackbone(model.spoken_lm.causal_lm.model)
        embeds = torch.randn(1, 6, 16)
        hidden, cache = stepper.start(embeds[:, :4], torch.zeros(1, dtype=torch.int64), 8)
        steps = [stepper.step(embeds[:, place], cache) for place in (4, 5)]
        whole = model.spoken_lm.language_model(embeds)
        torch.testing.assert_close(torch.cat([hidden[0], *steps]), whole[0], atol=1e-5, rtol=1e-5)
        model.spoken_lm.language_model = merge_adapters(model.spoken_lm.language_model)
        merged = model.spoken_lm(*items, quantiser)
    torch.testing.assert_close(merged.loss, adapted.loss, atol=1e-5, rtol=1e-5)
    assert not any("lora" in name for name in model.state_dict())


def test_codes_stand_one_word_after_their_text():
    words = torch.tensor([0, 0, 1, 2, 2])
    streams = lay_codes(words, 1, "word")
    assert streams.heard.tolist() == [-1, -1, 0, 2, 2, 3]
    assert streams.labels.tolist() == [-1, -1, 0, 2, -1, 3, -1]
    assert lay_codes(words[:2], 3, "word").labels.tolist() == [-1, -1, -1, -1, 0, -1]
    assert lay_codes(words, 2, "token").labels.tolist() == [-1, -1, 0, -1, 2, 3, -1, -1]


def test_text_labels_stop_at_the_end_unless_asked_for_as_published():
    ids, lengths = torch.tensor([[5, 6, 7, 8], [9, 0, 0, 0]]), torch.tensor([4, 1])
    assert text_labels(ids, lengths, 1).tolist() == [[5, 6, 7, 8, -1, -1], [9, -1, -1, -1, -1, -1]]
    assert text_labels(ids, lengths, 1, published=True)[1].tolist() == [9, 0, 0, -1, -1, -1]


def test_pacing_waits_for_the_codes_of_the_last_words():
    pacing = Pacing(delay=2, extra_words=1, starts=[True, False], ends=[False, False], pending=2)
    moves = [pacing.take(token) for token in (0, 1, 0, 0, 0, 0, 0, 0)]
    assert [move.action for move in moves[:2]] == [Action.START, Action.INSIDE]
    assert [move.heard for move in moves] == [
        Heard.NEXT, Heard.KEEP, Heard.NEXT, Heard.OWN, Heard.OWN, Heard.OWN, Heard.OWN, Heard.OWN,
    ]  # fmt: skip
    assert [move.codes for move in moves] == [False, False, False, True, True, True, True, False]
    assert [move.action for move in moves[5:7]] == [Action.WAIT, Action.STOP] and pacing.coded == pacing.words == 4


def test_pacing_of_fewer_words_than_the_delay():
    pacing = Pacing(delay=3, extra_words=9, starts=[True], ends=[False])
    pacing.take(0)
    pacing.stopping = True
    moves = [pacing.take(0) for _ in range(3)]
    assert [move.codes for move in moves] == [False, False, True] and moves[-1].action is Action.STOP


def test_a_stop_id_ends_at_once_and_a_full_stop_after_enough_words():
    starts, ends = [True, True, False], [False, False, True]
    pacing = Pacing(delay=1, extra_words=9, starts=starts, ends=ends, stop_id=1)
    assert [pacing.take(token).action for token in (0, 0, 1)] == [Action.START, Action.START, Action.STOP]
    pacing = Pacing(delay=1, extra_words=2, starts=starts, ends=ends)
    actions = [pacing.take(token).action for token in (0, 2, 0, 0, 2, 0)]
    assert actions == [Action.START, Action.INSIDE, Action.START, Action.START, Action.INSIDE, Action.STOP]


def test_a_forced_text_is_read_and_gets_codes_for_every_word():
    model = speaking()
    ids = Words().encode(" anop dn e")
    written = write(model, prompt(), Choosing(), GeneratorDraws(0), 1, forced=ids)
    assert written.ids == ids and len(written.codes) == written.word_ids[-1] + 1
    rows = written.rows(LEVELS)
    assert codes_at_tokens(rows, torch.tensor(written.word_ids)).min() >= 0


def test_an_end_before_the_first_word_is_an_error():
    model = speaking()
    with pytest.raises(Exception, match="not a word"):
        write(model, prompt(), Choosing(), GeneratorDraws(0), 5, limit=0)


def test_published_call_and_its_refusals():
    model = speaking()
    ids, words = prompt().ids[None], prompt().word_ids[None]
    made = model.inference_completion(
        speaker_embeds=torch.randn(1, 60), llm_token_ids=ids, llm_word_ids=words, conditional_mode="text",
        extra_words=2, text_top_p=0.9, text_temperature=0.5, repetition_penalty=1.1, seed=1,
    )  # fmt: skip
    assert made["speech_token_ids"].shape == (1, int(made["speech_token_lengths"])) and made["generated_text"]
    again = model.inference_completion(
        llm_token_ids=ids, llm_word_ids=words, conditional_mode="text", extra_words=2, text_top_p=0.9,
        text_temperature=0.5, repetition_penalty=1.1, seed=1, output_text_only=True,
    )  # fmt: skip
    assert again == {"generated_text": made["generated_text"]}
    for mode, said in (("left", "conditional_mode"), ("audio", "recording")):
        with pytest.raises(InputError, match=said):
            model.inference_completion(llm_token_ids=ids, llm_word_ids=words, conditional_mode=mode)


def test_top_p_is_stricter_than_usual_and_keeps_the_best():
    logits = torch.tensor([math.log(0.5), math.log(0.3), math.log(0.2)])
    assert (keep_mass(logits, 0.7) > -1000).tolist() == [True, False, False]
    assert (keep_mass(logits, 0.81) > -1000).tolist() == [True, True, False]
    assert (keep_mass(logits, 0.1) > -1000).tolist() == [True, False, False]


def test_banned_ids_are_never_taken():
    logits, banned = torch.tensor([9.0, 1.0, 0.0]), torch.tensor([True, False, False])
    assert choose_text(logits, banned, [], Choosing(), GeneratorDraws(0))[0] == 1
    drawn = {choose_text(logits, banned, [1], Choosing(0.99), GeneratorDraws(seed))[0] for seed in range(20)}
    assert 0 not in drawn


def test_files_may_hold_what_nothing_uses(tmp_path):
    """Published files hold the quantiser's `mlps` and may hold the tied head (spec section 5), and nothing else."""
    model = speaking()
    model.save_pretrained(tmp_path / "m")
    tensors, _ = load_tensors(tmp_path / "m" / "model.safetensors")
    extra = {
        "audio_tower.vq.rvq.mlps.0.proj_in.weight": torch.zeros(2, 2),
        "spoken_lm.language_model.lm_head.weight": torch.zeros(2, 2),
    }
    save_tensors(tmp_path / "m" / "model.safetensors", {**tensors, **extra}, {})
    back = TasteForCausalLM.from_pretrained(tmp_path / "m")
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in model.state_dict().items())
    save_tensors(tmp_path / "m" / "model.safetensors", {**tensors, "other.weight": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=r"other\.weight"):
        TasteForCausalLM.from_pretrained(tmp_path / "m")


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("spoken_lm_config", {"loss_weights": "0.5-0.2"}, "loss_weights"),
        ("spoken_lm_config", {"delays": 1}, "delays"),
        ("audio_tower_config", {"kwargs_for_quantizer": {"quantizer_class": "pq"}}, "quantizer_class"),
        ("speech_decoder_config", {"encoder__input_layer": "conv2d"}, "encoder__input_layer"),
        ("speech_decoder_config", {"encoder__blocks": 2}, "blocks"),
    ],
)
def test_configurations_that_mean_another_network_are_refused(section, values, said):
    with pytest.raises(CheckpointError, match=said):
        TasteConfig(**{section: values})


def test_a_configuration_comes_back_as_it_was_given(tmp_path):
    model = speaking(kind="masked_diffusion", quantiser="fsq")
    model.save_pretrained(tmp_path / "m")
    back = TasteForCausalLM.from_pretrained(tmp_path / "m")
    assert back.config.units == model.config.units and back.config.tower == model.config.tower
    assert back.config.spoken == model.config.spoken
