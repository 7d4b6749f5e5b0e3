"""Running the backbone step by step equals running it whole."""

import pytest
import torch

from unisono.lm.backbone import LibraryBackbone, LlamaBackbone
from unisono.lm.llama import Llama, LlamaSizes, rope_frequencies
from unisono.lm.packing import product, row_format

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SIZES = LlamaSizes(
    vocabulary=16, hidden=24, inner=40, layers=2, heads=4, kv_heads=2, head_dim=8, rope=LLAMA3, initial_std=0.3
)


@pytest.fixture(scope="module")
def llama():
    torch.manual_seed(0)
    return Llama(SIZES).eval()


@pytest.fixture(scope="module")
def library(llama):
    """The same model in transformers."""
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        vocab_size=16,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        rms_norm_eps=1e-5,
        rope_parameters=LLAMA3,
    )
    model = LlamaModel(config).eval()
    model.load_state_dict(llama.state_dict())  # strict: the names are the library's
    return model


def runner(kind, llama, library, monkeypatch):
    if kind == "library":
        return LibraryBackbone(library)
    monkeypatch.setattr("unisono.lm.backbone.FUSED_LIMIT", 0 if kind == "shared" else 10**9)
    return LlamaBackbone(llama)


@pytest.mark.parametrize("kind", ["library", "fused", "shared"])
@pytest.mark.parametrize("past", [0, 6])
@torch.inference_mode()
def test_cached_equals_uncached_and_branches_share_their_past(llama, library, monkeypatch, kind, past):
    history, steps = torch.randn(2, past, 24), torch.randn(9, 3, 24)
    branches = torch.tensor([0, 0, 1])
    backbone = runner(kind, llama, library, monkeypatch)
    hidden, cache = backbone.start(history, branches, past + 4)  # the cache must grow beyond its capacity
    made = torch.stack([backbone.step(step, cache) for step in steps], 1)  # [3, 9, H]
    whole = library(inputs_embeds=torch.cat([history[branches], steps.transpose(0, 1)], 1)).last_hidden_state
    torch.testing.assert_close(made, whole[:, past:], atol=2e-5, rtol=0)
    if past:
        torch.testing.assert_close(hidden, whole[[0, 2], :past], atol=2e-5, rtol=0)


@torch.inference_mode()
def test_a_shared_beginning_changes_nothing_and_is_run_once(llama, monkeypatch):
    embeds, rows = torch.randn(1, 9, 24), torch.zeros(1, dtype=torch.long)
    embeds_after, lengths = torch.cat([embeds[:, :6], torch.randn(1, 4, 24)], 1), []
    forward = Llama.forward
    monkeypatch.setattr(
        Llama, "forward", lambda self, x, past=None: lengths.append(x.shape[1]) or forward(self, x, past)
    )
    runner = LlamaBackbone(llama)
    with torch.inference_mode():
        first, _ = runner.start(embeds, rows, 12, shared=6)
        second, cache = runner.start(embeds_after, rows, 12, shared=6)
        again, _ = LlamaBackbone(llama).start(embeds_after, rows, 12, shared=6)
        whole, _ = LlamaBackbone(llama).start(embeds_after, rows, 12)
        stepped = runner.step(torch.ones(1, 24), cache)
        expected, _ = forward(llama, torch.cat([embeds_after, torch.ones(1, 1, 24)], 1))
    assert lengths == [6, 3, 4, 6, 4, 10]
    assert torch.equal(second, again) and torch.equal(first[:, :6], second[:, :6])
    torch.testing.assert_close(second, whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(stepped, expected[:, -1], atol=1e-5, rtol=0)


def test_half_precision_runs_where_the_library_does(llama, library):
    embeds = torch.randn(1, 7, 24).bfloat16()
    ours, _ = Llama(SIZES).eval().bfloat16().requires_grad_(False)(embeds)
    assert ours.dtype == torch.bfloat16
    backbone = LlamaBackbone(Llama(SIZES).bfloat16())
    _, cache = backbone.start(embeds, torch.zeros(2, dtype=torch.long), 9)
    stepped = backbone.step(torch.randn(2, 24).bfloat16(), cache)
    assert stepped.isfinite().all() and stepped.dtype == torch.bfloat16


def test_long_waves_are_stretched_and_short_ones_kept():
    plain, scaled = (rope_frequencies(64, {**LLAMA3, "rope_type": kind}) for kind in ("default", "llama3"))
    assert scaled[0] == plain[0] and scaled[-1] == pytest.approx(plain[-1] / 8)
    assert (scaled.diff() < 0).all()
    assert rope_frequencies(64, {"rope_type": "linear", "factor": 4.0})[0] == 0.25
    with pytest.raises(ValueError, match="yarn"):
        Llama(LlamaSizes(8, 8, 8, 1, 1, 1, 8, rope={"rope_type": "yarn"}))


def test_biases_are_kept_and_cannot_be_packed():
    model = Llama(LlamaSizes(8, 8, 8, 1, 1, 1, 8, attention_bias=True, mlp_bias=True))
    assert "layers.0.mlp.down_proj.bias" in model.state_dict()
    with pytest.raises(ValueError, match="without biases"):
        LlamaBackbone(model, "int8")
    with torch.inference_mode():
        embeds = torch.randn(1, 3, 8)
        backbone = LlamaBackbone(model)
        _, cache = backbone.start(embeds[:, :2], torch.zeros(1, dtype=torch.long), 3)
        torch.testing.assert_close(backbone.step(embeds[:, 2], cache), model(embeds)[0][:, 2], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_int8_steps_are_near(llama):
    history, branches = torch.randn(1, 5, 24), torch.zeros(2, dtype=torch.long)
    results = []
    for packing in ("none", "int8"):
        backbone = LlamaBackbone(llama, packing)
        _, cache = backbone.start(history, branches, 8)
        results.append(backbone.step(torch.ones(2, 24), cache))
    assert (results[0] - results[1]).norm() < 0.05 * results[0].norm()


@pytest.mark.parametrize("inputs", [8, 24, 32, 80])  # the kernel itself cannot take every width
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_int8_products_are_near(rows, inputs):
    weight, x = torch.randn(19, inputs), torch.randn(rows, inputs)
    near = product(weight, "int8")(x.to(row_format(weight, "int8"))).float()
    exact = x @ weight.t()
    assert near.shape == exact.shape and (near - exact).norm() < 0.03 * exact.norm()


def test_an_unknown_packing_is_refused():
    with pytest.raises(ValueError, match="unknown packing"):
        product(torch.randn(2, 2), "int3")
