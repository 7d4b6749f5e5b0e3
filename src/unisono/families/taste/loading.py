"""A TASTE model from its files, strictly; depths that no configuration key names are read off the tensor names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from unisono.families.taste.config import TasteConfig
from unisono.families.taste.model import TasteForCausalLM
from unisono.files import find_folder, read_json
from unisono.files.checkpoint import CONFIG, as_dtype, load_module, matches, weight_files, without_weights
from unisono.files.tensors import TensorFile


def load_model(
    name_or_path: str | Path,
    subfolder: str = "",
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    torch_dtype: str | torch.dtype | None = None,
    **overrides: Any,
) -> TasteForCausalLM:
    """As `Checkpoint.from_pretrained`, for the published layout and ours.

    Raises:
        CheckpointError: nothing there, damaged, foreign, or not fitting.
    """
    folder = find_folder(name_or_path, subfolder, revision)
    config = TasteConfig.from_dict({**read_json(folder / CONFIG), **overrides})
    names: list[str] = []
    for path in weight_files(folder):
        with TensorFile(path) as file:
            names += file.entries
    with without_weights():
        model = TasteForCausalLM(config.with_depths(names))
    load_module(model, folder, as_dtype(dtype or torch_dtype), device)
    return model.eval()


def from_tensors(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> TasteForCausalLM:
    """A model from tensors in memory, strictly. Raises RuntimeError where they do not fit."""
    with without_weights():
        model = TasteForCausalLM(TasteConfig.from_dict(config).with_depths(weights))
    kept = {name: value for name, value in weights.items() if not matches(name, TasteForCausalLM.ignored_keys)}
    model.load_state_dict(kept, assign=True)
    return model.eval()
