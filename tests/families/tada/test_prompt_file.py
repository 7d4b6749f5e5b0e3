"""A published prompt on disk: what comes back is what was saved, and other files are refused."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from unisono.errors import CheckpointError
from unisono.families.tada import EncoderOutput
from unisono.files import save_tensors


def a_prompt() -> EncoderOutput:
    torch.manual_seed(0)
    return EncoderOutput(
        audio=torch.randn(1, 960),
        audio_len=torch.tensor([960.0]),
        text=["one two"],
        text_tokens=torch.tensor([[5, 6]]),
        text_tokens_len=torch.tensor([2]),
        token_positions=torch.tensor([[1, 2]]),
        token_masks=torch.ones(1, 2, dtype=torch.long),
        token_values=torch.randn(1, 2, 4),
        encoded_expanded=torch.randn(1, 2, 4),
    )


@pytest.mark.parametrize("made", [a_prompt(), EncoderOutput.empty(4)], ids=["full", "empty"])
def test_a_saved_prompt_comes_back(tmp_path, made):
    made.save(tmp_path / "p.safetensors")
    back = EncoderOutput.load(tmp_path / "p.safetensors")
    for field in fields(EncoderOutput):
        value, other = getattr(made, field.name), getattr(back, field.name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other) and value.dtype == other.dtype, field.name
        else:
            assert value == other, field.name


@pytest.mark.parametrize("header", [{}, {"text": "a"}, {"text": "a", "sample_rate": "high"}])
def test_a_foreign_file_is_refused(tmp_path, header):
    save_tensors(tmp_path / "x.safetensors", {"x": torch.zeros(2)}, header)
    with pytest.raises(CheckpointError, match="holds no prompt"):
        EncoderOutput.load(tmp_path / "x.safetensors")


def test_a_prompt_without_one_of_its_tensors_is_refused(tmp_path):
    save_tensors(tmp_path / "x.safetensors", {"audio": torch.zeros(1, 2)}, {"text": "a", "sample_rate": "24000"})
    with pytest.raises(CheckpointError, match="holds no prompt"):
        EncoderOutput.load(tmp_path / "x.safetensors")
