"""The reference loop equals the engine: same plans, same draws, same vectors, durations and sound."""

from dataclasses import replace

import pytest
import torch

from unisono.bench.reference import reference_slots, reference_sound
from unisono.bench.reference_say import reference_say
from unisono.errors import InputError
from unisono.families.tada import Decoder, InferenceOptions, TadaConfig, TadaForCausalLM
from unisono.families.tada.decoder import DecoderConfig
from unisono.families.tada.generate import generate_slots
from unisono.families.tada.plan import PromptTokens, plan_tokens
from unisono.families.tada.render import render
from unisono.lm.draws import GeneratorDraws
from unisono.text import CharacterTokenizer

CLOSE = 1e-4
OPTIONS = InferenceOptions(num_flow_matching_steps=4, text_do_sample=False)
OPTION_SETS = {
    "published": OPTIONS,
    "ten-steps": replace(OPTIONS, num_flow_matching_steps=10, time_schedule="uniform", cfg_schedule="linear"),
    "unguided": replace(OPTIONS, acoustic_cfg_scale=1.0, time_schedule="cosine"),
    "both-guided": replace(OPTIONS, acoustic_cfg_scale=2.0, duration_cfg_scale=1.5, cfg_schedule="constant"),
    "prompt": replace(OPTIONS, negative_condition_source="prompt"),
    "zero": replace(OPTIONS, negative_condition_source="zero"),
    "text-only": replace(OPTIONS, text_only_logit_scale=1.0),
    "bits": replace(OPTIONS, noise_temperature=0.3, duration_noise_temperature=0.6),
}


def build(bottleneck=None):
    torch.manual_seed(3)
    tokenizer = CharacterTokenizer()
    config = TadaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        tie_word_embeddings=True,
        acoustic_dim=12,
        num_time_classes=16,
        head_layers=2,
        bottleneck_dim=bottleneck,
    )
    model = TadaForCausalLM(config).eval()
    for name, value in model.named_parameters():  # heads start at zero, norms at one, which would hide mistakes
        if "prediction_head" in name or "norm" in name:
            torch.nn.init.normal_(value, mean=float("norm" in name), std=0.15)
    return model.attach(tokenizer)


@pytest.fixture(scope="module")
def model():
    return build()


def plan_of(model, options, tokens=8, **more):
    torch.manual_seed(0)
    ids = model.tokenizer.encode("abcdefgh"[:tokens])
    prompt = PromptTokens(ids, torch.randn(tokens, 12), torch.arange(1, tokens + 1) * 3)
    return plan_tokens(model, prompt, model.tokenizer.encode("hello there"), options, **more)


def assert_equal(model, plan, **more):
    ours = generate_slots(model, plan, GeneratorDraws.seeded([5]))
    reference = reference_slots(model, plan, GeneratorDraws.seeded([5]), **more)
    torch.testing.assert_close(ours.vectors, reference.vectors, atol=CLOSE, rtol=0)
    assert torch.equal(ours.before, reference.before)
    assert torch.equal(ours.text_ids[:, : reference.text_ids.shape[1]], reference.text_ids)  # an unused one follows
    return ours


@pytest.mark.parametrize("options", OPTION_SETS.values(), ids=OPTION_SETS)
@pytest.mark.parametrize("separate", [False, True], ids=["joint", "separate"])
def test_vectors_and_durations_equal_the_engine_s(model, options, separate):
    made = assert_equal(model, plan_of(model, options), separate=separate)
    assert made.vectors[:, -5:].std() > 0.1 and made.before.float().std() > 0  # something was drawn


@pytest.mark.parametrize("tokens", [0, 1, 8])
@pytest.mark.parametrize("draw_all", [False, True])
def test_prompts_of_any_length_and_discarded_draws_agree(model, tokens, draw_all):
    plan = plan_of(model, OPTIONS, tokens, num_transition_steps=min(2, tokens), draw_all=draw_all)
    assert_equal(model, plan)


def test_a_bottleneck_agrees():
    model = build(bottleneck=16)
    assert_equal(model, plan_of(model, OPTIONS))


@pytest.mark.parametrize("small", [False, True], ids=["large", "small"])
def test_every_float32_path_of_the_engine_agrees(monkeypatch, kernels, small):
    monkeypatch.setattr("unisono.lm.packing.LARGE", 10**9 if small else 0)
    monkeypatch.setattr("unisono.lm.backbone.FUSED_LIMIT", 10**9 if small else 0)
    model = build()
    assert_equal(model, plan_of(model, OPTIONS))


def test_its_own_number_of_steps_is_that_of_the_options(model):
    ten = reference_slots(model, plan_of(model, OPTION_SETS["published"]), GeneratorDraws.seeded([5]), steps=10)
    same = replace(OPTION_SETS["published"], num_flow_matching_steps=10)
    torch.testing.assert_close(
        ten.vectors,
        generate_slots(model, plan_of(model, same), GeneratorDraws.seeded([5])).vectors,
        atol=CLOSE,
        rtol=0,
    )


@pytest.mark.parametrize("head", ["dac", "source_filter"])
def test_sound_equals_the_engine_s(head):
    torch.manual_seed(1)
    sizes = {"hidden_dim": 16, "embed_dim": 12, "num_attn_layers": 2, "num_attn_heads": 2, "attn_dim_feedforward": 24}
    small = {"wav_decoder_channels": 32, "vocoder_channels": 16, "vocoder_blocks": 1, "vocoder_inner": 16}
    decoder = Decoder(DecoderConfig(**sizes, **small, head=head, mark_context=head != "dac")).eval()
    vectors, before = torch.randn(5, 12), torch.tensor([4, 3, 0, 6, 2, 5])
    with torch.inference_mode():
        ours = render(decoder, vectors, before).audio
    reference = reference_sound(decoder, vectors, before)
    torch.testing.assert_close(ours, reference, atol=CLOSE, rtol=0)


@pytest.mark.parametrize("text", ["Hello there.", "One, two and three."])
def test_a_whole_call_equals_say(tiny_model, text):
    spoken = tiny_model.say(text, seed=3, steps=4)
    reference = torch.from_numpy(reference_say(tiny_model, text, seed=3, steps=4))
    torch.testing.assert_close(torch.from_numpy(spoken.audio), reference, atol=CLOSE, rtol=0)


def test_what_the_plain_loop_cannot_do_is_refused(model, tiny_model):
    with pytest.raises(InputError, match="one candidate"):
        plan = plan_of(model, replace(OPTIONS, num_acoustic_candidates=2))
        reference_slots(model, plan, GeneratorDraws.seeded([0]))
    with pytest.raises(InputError, match="one known text"):
        reference_slots(model, plan_of(model, OPTIONS, num_extra_steps=2), GeneratorDraws.seeded([0]))
    with pytest.raises(InputError, match="speed"):
        reference_say(tiny_model, "hello", options={"speed": 2.0})
    half = build().to(torch.bfloat16)
    with pytest.raises(InputError, match="float32"):
        reference_slots(half, plan_of(half, OPTIONS), GeneratorDraws.seeded([0]))
