"""A TASTE model from its files, strictly; depths that no configuration key names are read off the tensor names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from unisono.errors import CheckpointError
from unisono.families.taste.config import TasteConfig
from unisono.families.taste.model import TasteForCausalLM
from unisono.families.taste.slots import part_folder
from unisono.files import find_folder, load_tensors, read_json
from unisono.files.checkpoint import (
    CONFIG,
    WEIGHTS,
    as_dtype,
    few,
    load_module,
    matches,
    weight_files,
    without_weights,
)
from unisono.files.tensors import TensorFile

ENCODER = "audio_tower.audio_joint_encoder_segmenter.audio_encoder."


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
    if config.tower.segmenter.encoder_from:
        return _with_encoder(model, folder, as_dtype(dtype or torch_dtype), device)
    load_module(model, folder, as_dtype(dtype or torch_dtype), device)
    return model.eval()


def _with_encoder(
    model: TasteForCausalLM, folder: Path, dtype: torch.dtype | None, device: str | torch.device | None
) -> TasteForCausalLM:
    """A model whose file leaves out the encoder, which is that of the aligner; tensors named `ENCODER`.

    Raises:
        CheckpointError: the aligner is missing, or either does not fit.
    """
    tensors, _ = load_tensors(folder / WEIGHTS)
    heard, _ = load_tensors(part_folder(folder, "aligner") / WEIGHTS)
    tensors |= {ENCODER + name: value for name, value in heard.items() if name.startswith("encoder.")}
    tensors.pop(ENCODER + "encoder.lm_head.weight", None)
    tensors.pop(ENCODER + "encoder.lm_head.bias", None)
    wanted = model.state_dict()
    kept = {name: value for name, value in tensors.items() if not matches(name, model.ignored_keys)}
    problems = [name for name in {*wanted, *kept} if name not in wanted or name not in kept]
    problems += [name for name in set(wanted) & set(kept) if wanted[name].shape != kept[name].shape]
    if problems:
        raise CheckpointError(f"{folder} and its aligner do not fit TasteForCausalLM: {few(sorted(problems))}")
    for name, value in kept.items():
        kept[name] = value.to(device, (dtype or torch.float32) if value.is_floating_point() else None)
    model.load_state_dict(kept, assign=True)
    return (model if device is None else model.to(device)).eval()


def from_tensors(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> TasteForCausalLM:
    """A model from tensors in memory, strictly. Raises RuntimeError where they do not fit."""
    with without_weights():
        model = TasteForCausalLM(TasteConfig.from_dict(config).with_depths(weights))
    kept = {name: value for name, value in weights.items() if not matches(name, TasteForCausalLM.ignored_keys)}
    model.load_state_dict(kept, assign=True)
    return model.eval()
