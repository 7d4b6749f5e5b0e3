"""Checks of the golden files that concern alignment: the search, and the aligner with a tiny wav2vec2.

Each function takes the path of one `.safetensors` file; case names, sizes and options come from its header.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from unisono.align.search import search_tokens
from unisono.families.tada.aligner import Aligner, AlignerConfig

LOGIT_TOLERANCE = 1e-3


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """All tensors of a golden file and the JSON of its header."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["json"])  # noqa: SIM118


def check_align_dp(path: Path) -> None:
    """Section 5.2: `<case>.logits` [L, V] and `.tokens` [T] -> `.positions`, equal."""
    tensors, header = _read(path)
    assert header["cases"]
    for case in header["cases"]:
        rows = search_tokens(tensors[f"{case}.logits"].numpy(), tensors[f"{case}.tokens"].numpy())
        np.testing.assert_array_equal(rows, tensors[f"{case}.positions"].numpy(), err_msg=case)


def tiny_aligner(tensors: dict[str, torch.Tensor], header: dict[str, Any], prefix: str = "") -> Aligner:
    """The aligner of a golden file: weights under `prefix` + `encoder.`, eos of the tiny tokenizer."""
    sizes = dict(header["wav2vec2_config"])
    config = AlignerConfig(
        vocab_size=sizes.pop("vocab_size"), eos_token_id=header["tokenizer_base"] + 1, wav2vec2_config=sizes
    )
    aligner = Aligner(config)
    mark = prefix + "encoder."
    weights = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(mark)}
    aligner.load_state_dict(weights, strict=True)
    return aligner


def check_aligner(path: Path) -> None:
    """Section 5: logits within 1e-3, positions and masks equal."""
    tensors, header = _read(path)
    aligner = tiny_aligner(tensors, header)
    assert header["cases"]
    for case, options in header["cases"].items():
        given = {key.removeprefix(case + "."): value for key, value in tensors.items() if key.startswith(case + ".")}
        size, stride = options.get("inference_window_size"), options.get("inference_window_stride")
        window = None if size is None else (size, stride)
        logits = aligner.logits(given["audio"][0], options["sample_rate"], window=window)
        assert [1, *logits.shape] == options["logits_shape"], case
        got = logits[:, given["logits_columns"]]
        torch.testing.assert_close(got, given["logits_at_columns"][0], atol=LOGIT_TOLERANCE, rtol=0, msg=case)
        out = aligner(
            given["audio"],
            text_tokens=given["text_tokens"],
            audio_length=given["audio_length"],
            sample_rate=options["sample_rate"],
            inference_window_size=size,
            inference_window_stride=stride,
        )
        torch.testing.assert_close(out.token_positions, given["token_positions"], atol=0, rtol=0, msg=case)
        torch.testing.assert_close(out.token_masks, given["token_masks"], atol=0, rtol=0, msg=case)
