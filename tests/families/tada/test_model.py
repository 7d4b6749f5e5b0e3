"""The language model as a module: configuration, names, checkpoints, teacher forcing."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from unisono.errors import CheckpointError, InputError
from unisono.families.tada import InferenceOptions, TadaConfig, TadaForCausalLM

TINY = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "tie_word_embeddings": True,
    "acoustic_dim": 6,
    "num_time_classes": 12,
    "head_layers": 2,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TadaForCausalLM(TadaConfig(**TINY)).eval()


def test_widths_follow_from_the_configuration():
    config = TadaConfig(**TINY, bottleneck_dim=8)
    assert (config.duration_bits, config.vector_width, config.head_width) == (4, 14, 8)
    assert TadaConfig.from_dict(config.to_dict()) == config


def test_published_bookkeeping_is_passed_over_and_unknown_keys_are_not():
    values = {
        **TINY,
        "architectures": ["X"],
        "torch_dtype": "bfloat16",
        "transformers_version": "4",
        "model_type": "llama",
    }
    assert TadaConfig.from_dict(values) == TadaConfig(**TINY)
    with pytest.raises(CheckpointError, match="head_width"):
        TadaConfig.from_dict({**TINY, "head_width": 3})


@pytest.mark.parametrize(
    "wrong", [{"model_type": "gpt2"}, {"num_time_classes": 1}, {"head_layers": 0}, {"acoustic_std": 0.0}]
)
def test_impossible_values_are_refused(wrong):
    with pytest.raises(CheckpointError):
        TadaConfig(**{**TINY, **wrong})


def test_both_spellings_of_rope_scaling_mean_the_same():
    scaling = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaling["original_max_position_embeddings"] = 8192
    older = TadaConfig(**TINY, rope_theta=500000.0, rope_scaling=scaling)
    newer = TadaConfig(**TINY, rope_parameters={**scaling, "rope_theta": 500000.0})
    assert older.backbone() == newer.backbone()


def test_saved_and_loaded_models_are_equal(model, tmp_path):
    model.save_pretrained(tmp_path / "m")
    again = TadaForCausalLM.from_pretrained(tmp_path / "m")
    assert again.config == model.config
    for (name, ours), theirs in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name
    assert json.loads((tmp_path / "m" / "config.json").read_text())["model_type"] == "llama"


def test_codec_tensors_and_tied_heads_in_a_file_are_dropped_and_strays_are_named(model, tmp_path):
    model.save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    weights = load_file(path)
    save_file({**weights, "_decoder.x": torch.ones(1), "lm_head.weight": torch.ones(40, 16)}, path)
    TadaForCausalLM.from_pretrained(tmp_path / "m")
    save_file({**weights, "stray": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="stray"):
        TadaForCausalLM.from_pretrained(tmp_path / "m")


def test_an_untied_model_keeps_its_own_head(tmp_path):
    model = TadaForCausalLM(TadaConfig(**{**TINY, "tie_word_embeddings": False}))
    assert "lm_head.weight" in model.state_dict()
    model.save_pretrained(tmp_path / "m")
    again = TadaForCausalLM.from_pretrained(tmp_path / "m")
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)


def inputs(batch, length, config):
    ids = torch.randint(0, config.vocab_size, (batch, length))
    durations = torch.randint(0, config.num_time_classes, (2, batch, length))
    return ids, torch.randn(batch, length, config.acoustic_dim), torch.randint(0, 2, (batch, length)), *durations


def test_teacher_forcing_is_causal(model):
    ids, vectors, masks, before, after = inputs(2, 9, model.config)
    hidden, logits = model.forward_train(ids, vectors, masks, before, after)
    assert hidden.shape == (2, 9, 16) and logits.shape == (2, 9, 40)
    alone, none = model.forward_train(
        ids[1:, :6], vectors[1:, :6], masks[1:, :6], before[1:, :6], after[1:, :6], with_logits=False
    )
    assert none is None
    torch.testing.assert_close(hidden[1:, :6], alone, atol=1e-5, rtol=0)


def test_gradients_reach_every_part(model):
    for module in model.modules():  # the published start, zeros, stops gradients at the head
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.1)
    ids, vectors, masks, before, after = inputs(2, 7, model.config)
    hidden, logits = model.forward_train(ids, vectors, masks, before, after)
    target = model.flow_target(vectors, before, after).flatten(0, 1)
    velocity = model.velocity(target, torch.rand(len(target)), hidden.flatten(0, 1))
    (velocity.square().mean() + logits.square().mean()).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_durations_beyond_the_tables_do_not_crash(model):
    zeros = torch.zeros(1, dtype=torch.long)
    sound = model.sound_embeddings(torch.zeros(1, 6), zeros, zeros + 99, zeros - 5)
    torch.testing.assert_close(sound, model.sound_embeddings(torch.zeros(1, 6), zeros, zeros + 11, zeros))


def test_prepared_weights_follow_the_model_s(model):
    assert model.runner() is model.runner()
    before = model.runner()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(2)
    assert model.runner() is not before
    plain = model.flow_head()
    assert plain is model.flow_head()
    packed = model.quantize("int8").flow_head()
    assert packed is model.flow_head() and packed is not plain
    with pytest.raises(InputError, match="int3"):
        model.quantize("int3")


def test_missing_parts_are_named(model):
    for name in ("tokenizer", "decoder", "speaker_scorer"):
        with pytest.raises(CheckpointError, match=name):
            getattr(model, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scorer", "guess"),
        ("negative_condition_source", "x"),
        ("solver", "x"),
        ("num_flow_matching_steps", 0),
        ("num_acoustic_candidates", 0),
        ("text_temperature", 0.0),
        ("speed_up_factor", -1.0),
        ("noise_temperature", -0.1),
        ("acoustic_cfg_scale", float("nan")),
        ("text_only_logit_scale", float("nan")),
    ],
)
def test_unusable_options_are_named(name, value):
    with pytest.raises(InputError, match=name):
        InferenceOptions(**{name: value}).check()
