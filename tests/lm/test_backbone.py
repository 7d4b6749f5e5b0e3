"""Running the backbone step by step equals running it whole."""

import pytest
import torch

from unisono.lm.backbone import FusedLlama, LibraryBackbone, open_backbone
from unisono.lm.packing import packed_product

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@pytest.fixture(scope="module")
def llama():
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=0.3,
        rope_parameters=LLAMA3,
    )
    return LlamaModel(config).eval()


@pytest.mark.parametrize("kind", [LibraryBackbone, FusedLlama])
@pytest.mark.parametrize("past", [0, 6])
@torch.inference_mode()
def test_cached_equals_uncached_and_branches_share_their_past(llama, kind, past):
    history, steps = torch.randn(2, past, 24), torch.randn(9, 3, 24)
    branches = torch.tensor([0, 0, 1])
    backbone = kind(llama)
    hidden, cache = backbone.start(history, branches, past + 4)  # the cache must grow beyond its capacity
    made = torch.stack([backbone.step(step, cache) for step in steps], 1)  # [3, 9, H]
    whole = llama(inputs_embeds=torch.cat([history[branches], steps.transpose(0, 1)], 1)).last_hidden_state
    torch.testing.assert_close(made, whole[:, past:], atol=2e-5, rtol=0)
    if past:
        torch.testing.assert_close(hidden, whole[[0, 2], :past], atol=2e-5, rtol=0)


def test_the_quick_runner_is_chosen_where_it_can_be(llama):
    assert isinstance(open_backbone(llama), FusedLlama)
    assert isinstance(open_backbone(llama.bfloat16()), LibraryBackbone)
    with pytest.raises(ValueError, match="float32"):
        open_backbone(llama, "int8")
    llama.float()


@torch.inference_mode()
def test_int8_steps_are_near(llama):
    history, branches = torch.randn(1, 5, 24), torch.zeros(2, dtype=torch.long)
    results = []
    for packing in ("none", "int8"):
        backbone = open_backbone(llama, packing)
        _, cache = backbone.start(history, branches, 8)
        results.append(backbone.step(torch.ones(2, 24), cache))
    assert (results[0] - results[1]).norm() < 0.05 * results[0].norm()


@pytest.mark.parametrize("inputs", [8, 24, 32, 80])  # the kernel itself cannot take every width
@pytest.mark.parametrize("rows", [1, 5, 100])
def test_int8_products_keep_shape_and_format(rows, inputs):
    weight = torch.randn(19, inputs)
    product = packed_product(weight, "int8")
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(rows, 3, inputs, dtype=dtype)
        assert product(x).shape == (rows, 3, 19) and product(x).dtype == dtype
        exact = x.float() @ weight.t()
        assert (product(x).float() - exact).norm() < 0.03 * exact.norm()


def test_an_unknown_packing_is_refused():
    with pytest.raises(ValueError, match="unknown packing"):
        packed_product(torch.randn(2, 2), "int3")
