"""The generation loop: what must hold for any weights."""

import inspect
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import unisono.families.tada as tada
from unisono.errors import GenerationError, InputError
from unisono.families.tada import EncoderOutput, InferenceOptions, TadaConfig, TadaForCausalLM
from unisono.families.tada.generate import generate_slots
from unisono.families.tada.plan import PromptTokens, make_plan, plan_tokens
from unisono.families.tada.prompt import PromptTables, read_inputs
from unisono.families.tada.score import score_speech
from unisono.families.tada.state import Stepped
from unisono.lm.backbone import LlamaBackbone
from unisono.lm.draws import GeneratorDraws
from unisono.text import CharacterTokenizer

OPTIONS = InferenceOptions(num_flow_matching_steps=3, text_do_sample=False)


class Boxes:
    """A decoder that answers with as many samples as it should."""

    def parameters(self):
        yield torch.zeros(1)

    def __call__(self, expanded, masks):
        return expanded.sum(-1).repeat_interleave(480, 1)[:, None]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    tokenizer = CharacterTokenizer()
    config = TadaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
        acoustic_dim=6,
        num_time_classes=12,
        head_layers=2,
        shift_acoustic=3,
    )
    model = TadaForCausalLM(config).eval()
    for name, value in model.named_parameters():  # the head starts at zero, which would hide mistakes
        if "prediction_head" in name:
            torch.nn.init.normal_(value, std=0.15)
    return model.attach(tokenizer, Boxes())


def voice(tokens=8, seed=0):
    torch.manual_seed(seed)
    ids = CharacterTokenizer().encode("abcdefgh"[:tokens])
    return PromptTokens(ids, torch.randn(tokens, 6), torch.arange(1, tokens + 1) * 3)


def prompt(tokens=8):
    made = EncoderOutput.empty(6)
    spoken = voice(tokens)
    made.text, made.text_tokens_len = ["abcdefgh"[:tokens]], torch.tensor([tokens])
    made.token_values, made.token_positions = spoken.vectors[None], spoken.positions[None]
    return made


def slots(model, options=OPTIONS, seed=0, target="hello", tokens=8, **more):
    plan = plan_tokens(model, voice(tokens), model.tokenizer.encode(target), options, **more)
    return plan, generate_slots(model, plan, GeneratorDraws.seeded([seed]))


def test_the_same_seed_makes_the_same_slots_and_another_seed_others(model):
    _, first = slots(model, seed=4)
    _, again = slots(model, seed=4)
    _, other = slots(model, seed=5)
    assert torch.equal(first.vectors, again.vectors) and torch.equal(first.before, again.before)
    assert not torch.equal(first.vectors, other.vectors)


def test_there_is_one_slot_for_each_token_and_prompt_slots_are_kept(model):
    plan, made = slots(model)
    assert made.vectors.shape[1] == plan.steps - model.config.shift_acoustic == made.before.shape[1] - 1
    assert torch.equal(made.vectors[:, : plan.tables.width], plan.tables.vectors)
    assert made.before[0, -1] == made.before[0, -2]
    assert int(made.before.max()) < model.config.num_time_classes and int(made.before.min()) >= 0


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        replace(OPTIONS, text_only_logit_scale=1.0),
        replace(OPTIONS, acoustic_cfg_scale=1.0),
        replace(OPTIONS, num_acoustic_candidates=3),
        replace(OPTIONS, negative_condition_source="prompt"),
    ],
    ids=["guided", "text-only", "plain", "candidates", "prompt"],
)
def test_a_row_of_a_batch_is_what_it_is_alone(model, options):
    plans = [plan_tokens(model, voice(seed=seed), model.tokenizer.encode("hello"), options) for seed in (0, 1)]
    tables = [plan.tables for plan in plans]
    joined = PromptTables(
        *(torch.cat(parts) for parts in zip(*(vars(table).values() for table in tables), strict=True))
    )
    both = make_plan(model, model.tokenizer, torch.cat([plan.raw_ids for plan in plans]), joined, options)
    together = generate_slots(model, both, GeneratorDraws.seeded([7, 8]))
    for row, plan in enumerate(plans):
        alone = generate_slots(model, plan, GeneratorDraws.seeded([7 + row]))
        torch.testing.assert_close(together.vectors[row : row + 1], alone.vectors, atol=1e-5, rtol=0)
        assert torch.equal(together.before[row : row + 1], alone.before)


@torch.inference_mode()
def test_steps_see_what_one_whole_pass_sees(model):
    plan = plan_tokens(model, voice(), model.tokenizer.encode("hello"), OPTIONS)
    seen = []
    made = generate_slots(model, plan, GeneratorDraws.seeded([0]), observer=seen.append)
    steps = [record for record in seen if isinstance(record, Stepped)]
    before = torch.cat([torch.zeros(1, 1, dtype=torch.long), made.before], 1)
    after = torch.zeros_like(before)
    known = torch.stack([record.after for record in steps], 1)
    after[:, : plan.tables.times] = plan.tables.after
    first = steps[0].position - model.config.shift_acoustic  # the column of the first step's durations
    after[:, first : first + known.shape[1]] = known
    masks = torch.ones_like(made.before[:, :-1])
    masks[:, : plan.tables.width] = plan.tables.masks
    read = read_inputs(PromptTables(made.vectors, masks, before, after), plan.steps, model.config.shift_acoustic)
    hidden, _ = model.forward_train(plan.shown_ids, read.vectors, read.masks, read.before, read.after)
    stepped = torch.stack([record.hidden[0] for record in steps], 1)
    torch.testing.assert_close(stepped, hidden[:, steps[0].position :], atol=1e-5, rtol=0)


def test_steps_on_fused_and_on_shared_weights_agree(model, monkeypatch):
    plan = plan_tokens(model, voice(), model.tokenizer.encode("hello"), OPTIONS)
    fused = generate_slots(model, plan, GeneratorDraws.seeded([0]), backbone=LlamaBackbone(model.model))
    monkeypatch.setattr("unisono.lm.backbone.FUSED_LIMIT", 0)
    shared = generate_slots(model, plan, GeneratorDraws.seeded([0]), backbone=LlamaBackbone(model.model))
    torch.testing.assert_close(fused.vectors, shared.vectors, atol=1e-4, rtol=0)
    assert torch.equal(fused.before, shared.before)


def test_speaking_does_not_wait_for_transformers():
    code = (
        "import sys, torch\n"
        "from unisono.families.tada import TadaConfig, TadaForCausalLM\n"
        "sizes = {'vocab_size': 8, 'hidden_size': 8, 'num_hidden_layers': 1, 'num_attention_heads': 1}\n"
        "TadaForCausalLM(TadaConfig(**sizes)).runner()\n"
        "sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_leaving_out_unused_draws_changes_nothing_that_is_used(model):
    _, full = slots(model, replace(OPTIONS, text_do_sample=True))
    _, spare = slots(model, replace(OPTIONS, text_do_sample=True), draw_all=False)
    assert torch.equal(full.vectors, spare.vectors) and torch.equal(full.before, spare.before)
    assert full.raw_ids.shape[1] == spare.raw_ids.shape[1] + 1


@pytest.mark.parametrize("tokens", [0, 1, 8])
@pytest.mark.parametrize("target", ["", "a", "hello there"])
def test_prompts_and_texts_of_any_length_speak(model, tokens, target):
    transition = min(5, tokens)
    plan, made = slots(model, tokens=tokens, target=target, num_transition_steps=transition)
    assert made.vectors.isfinite().all() and made.vectors.shape[1] == plan.steps - model.config.shift_acoustic


def test_continuation_invents_text(model):
    plan, made = slots(model, target="", num_extra_steps=6)
    assert made.raw_ids.shape[1] == plan.raw_ids.shape[1] + 7  # the last one is never fed back
    assert model.tokenizer.pad_id not in made.raw_ids[0, plan.raw_ids.shape[1] :].tolist()


@pytest.mark.parametrize("factor", [0.1, 0.5, 2.0, 100.0])
def test_any_speed_ends_in_sound(model, factor):
    output = model.generate(prompt(), "hello", inference_options=replace(OPTIONS, speed_up_factor=factor))
    assert output.audio[0].isfinite().all() and len(output.audio[0]) > 0


def test_several_texts_are_spoken_one_after_the_other(model):
    output = model.generate(prompt(), ["one", "two and three"], inference_options=OPTIONS, verbose=True)
    assert output.text == ["One", "Two and three"] and len(output.audio) == 2
    lengths = [480 * int(before[0, 1:].clamp_min(1).sum()) for before in output.time_before]
    for audio, length, before in zip(output.audio, lengths, output.time_before, strict=True):
        assert abs(len(audio) - length) <= 480 and before.shape[1] >= 2


def test_the_published_call_follows_torch_s_generator(model):
    outputs = []
    for _ in range(2):
        torch.manual_seed(11)
        outputs.append(model.generate(prompt(), "hi", inference_options=OPTIONS))
    assert torch.equal(outputs[0].audio[0], outputs[1].audio[0])


def test_values_that_are_not_finite_name_the_step(model):
    plan = plan_tokens(model, voice(), model.tokenizer.encode("hello"), OPTIONS)

    class Broken(GeneratorDraws):
        left = 3

        def noise(self, acoustic, bits, candidates):
            self.left -= 1
            return super().noise(acoustic, bits, candidates) / (0 if self.left == 0 else 1)

    with pytest.raises(GenerationError, match=f"step {plan.prefill + 2} "):
        generate_slots(model, plan, Broken.seeded([0]))


def test_prompts_that_do_not_fit_are_refused(model):
    short = prompt()
    short.token_values = short.token_values[:, :5]
    with pytest.raises(InputError, match="8 tokens"):
        model.generate(short, "hi")
    for wrong in ({"num_transition_steps": -1}, {"num_extra_steps": -1}, {"num_transition_steps": 99}):
        with pytest.raises(InputError, match="num_"):
            model.generate(prompt(), "hi", **wrong)


def test_scoring_gives_one_value_per_scored_token(model):
    scored = score_speech(model, prompt(), OPTIONS, draws=GeneratorDraws.seeded([0]))
    assert scored.nll.shape == (7,) and (scored.nll > 0).all()
    assert scored.logits.shape[:2] == scored.ids.shape


def test_int8_weights_speak(model):
    exact = model.generate(prompt(), "hi", inference_options=OPTIONS, draws=GeneratorDraws.seeded([0]))
    model.quantize("int8")
    near = model.generate(prompt(), "hi", inference_options=OPTIONS, draws=GeneratorDraws.seeded([0]))
    model.quantize("none")
    assert near.acoustic_features[0].shape == exact.acoustic_features[0].shape
    assert not torch.equal(near.acoustic_features[0], exact.acoustic_features[0])


def test_the_published_names_and_signature():
    assert all(getattr(tada, name) is not None for name in tada.__all__) and len(tada.__all__) == 8
    names = list(inspect.signature(TadaForCausalLM.generate).parameters)
    assert names[:11] == [
        "self",
        "prompt",
        "text",
        "num_transition_steps",
        "num_extra_steps",
        "system_prompt",
        "user_turn_prompt",
        "inference_options",
        "use_text_in_prompt",
        "normalize_text",
        "verbose",
    ]
    with pytest.raises(AttributeError, match="Nothing"):
        _ = tada.Nothing
