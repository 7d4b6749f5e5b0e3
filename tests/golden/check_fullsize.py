"""Golden `fullsize_hashed`: the published dimensions, with weights made from their names instead of stored."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from golden_harness import FULLSIZE_TOLERANCE, Golden, checker
from torch import nn
from torch.nn import functional

from unisono.families.tada import Decoder, Encoder, TadaConfig, TadaForCausalLM
from unisono.families.tada.encoder import TAIL_SAMPLES
from unisono.families.tada.prompt import PromptTables, read_inputs
from unisono.files.checkpoint import without_init
from unisono.lm.flow import FlowRecipe, flow_table, solve_flow

Module = TypeVar("Module", bound=nn.Module)
BLOCK = 1 << 21  # numbers hashed at a time, to bound memory
PREFIX = 7  # positions without a column, beside the prompt's (README of the golden files)


def hashed_uniform(name: str, count: int) -> np.ndarray:
    """float64 [count] in [0, 1): the published integer hash of a name and an index."""
    numbers = np.empty(count)
    seed = np.uint32(zlib.crc32(name.encode()))
    for start in range(0, count, BLOCK):
        x = np.arange(start, min(start + BLOCK, count), dtype=np.uint32) * np.uint32(0x9E3779B1) + seed
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x ^= x >> np.uint32(shift)
            x *= np.uint32(factor)
        x ^= x >> np.uint32(16)
        numbers[start : start + BLOCK] = x / 2**32
    return numbers


def hashed_centred(name: str, shape: Sequence[int]) -> torch.Tensor:
    """r(name): zero mean, unit variance, float32 of a shape."""
    uniform = hashed_uniform(name, int(np.prod(shape)))
    return torch.from_numpy((2 * uniform - 1) * np.sqrt(3)).reshape(tuple(shape)).float()


def hashed_weight(name: str, shape: Sequence[int]) -> torch.Tensor:
    """The value of a checkpoint tensor."""
    uniform = hashed_uniform(name, int(np.prod(shape)))
    centred = (2 * uniform - 1) * np.sqrt(3)
    if name.endswith("alpha"):
        values = 0.5 + uniform
    elif name.endswith("original0"):
        values = 0.4 + 0.6 * uniform
    elif len(shape) == 1:
        values = 1 + 0.2 * centred if name.endswith("weight") else 0.1 * centred
    elif len(shape) == 2 and "emb" in name and "adaLN" not in name and "t_embedder" not in name:
        values = 0.3 * centred
    else:
        values = centred / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(values).reshape(tuple(shape)).float()


def hashed(module: Module) -> Module:
    """Fill every parameter of a module."""
    for name, parameter in module.named_parameters():
        parameter.data.copy_(hashed_weight(name, parameter.shape))
    return module.eval()


@checker("fullsize_hashed")
def check_fullsize(golden: Golden) -> None:
    _check_encoder(golden)
    _check_decoder(golden)
    _check_language_model(golden)


def _check_encoder(golden: Golden) -> None:
    with without_init():
        encoder = Encoder()
    hashed(encoder)
    padded = functional.pad(golden["enc.audio"][:, None], (0, TAIL_SAMPLES))
    name = next(name for name in golden.tensors if name.startswith("enc.wav_encoder_out"))
    golden.close(encoder.wav_encoder(padded)[:, : golden[name].shape[1]], name, FULLSIZE_TOLERANCE)
    made = encoder(
        golden["enc.audio"], token_positions=golden["enc.positions"], token_masks=golden["enc.masks"], sample=False
    )
    golden.close(made.token_values, "enc.token_values", FULLSIZE_TOLERANCE)


def _check_decoder(golden: Golden) -> None:
    with without_init():
        decoder = Decoder()
    golden.close(hashed(decoder)(golden["dec.x"], golden["dec.masks"]), "dec.wav", FULLSIZE_TOLERANCE)


def _check_language_model(golden: Golden) -> None:
    config, tag = TadaConfig(**golden.meta["lm_config"]), golden.meta["tag"]
    with without_init():
        model = TadaForCausalLM(config)
    hashed(model)
    positions = torch.arange(golden.meta["lm_len"])[None]
    columns = positions[:, : positions.shape[1] - PREFIX]
    tables = PromptTables(
        hashed_centred(f"{tag}ac", (*columns.shape, config.acoustic_dim)),
        torch.ones_like(columns),
        11 * columns % config.num_time_classes,
        13 * columns % config.num_time_classes,
    )
    read = read_inputs(tables, positions.shape[1], config.shift_acoustic)
    ids = 37 * positions % config.vocab_size
    hidden, logits = model.forward_train(ids, read.vectors, read.masks, read.before, read.after)
    golden.close(hidden[:, -golden["lm.hidden_last4"].shape[1] :], "lm.hidden_last4", FULLSIZE_TOLERANCE)
    golden.close(logits[:, -1], "lm.logits_last", FULLSIZE_TOLERANCE)
    recipe = FlowRecipe(config.acoustic_dim, 4, "logsnr", "cosine", 1.6, 1.0)
    solved = solve_flow(
        model.prediction_head,
        flow_table(model.prediction_head, recipe),
        hashed_centred(f"{tag}noise", (1, config.vector_width)),
        model.condition(hidden[:, -1]),
        model.condition(hidden[:, -2]),
    )
    golden.close(solved, "lm.flow_out", FULLSIZE_TOLERANCE)
