"""Checks of the golden files on alignment: the search, the aligner with a tiny wav2vec2, its published tensor names."""

from __future__ import annotations

from typing import Any

import torch
from golden_harness import ALIGNER_TOLERANCE, Golden, checker

from unisono.align.search import search_tokens
from unisono.families.tada.aligner import Aligner, AlignerConfig


@checker("align_dp")
def check_align_dp(golden: Golden) -> None:
    """Section 5.2: `<case>.logits` [L, V] and `.tokens` [T] -> `.positions`, 0-based rows."""
    assert golden.meta["cases"]
    for case in golden.meta["cases"]:
        rows = search_tokens(golden[f"{case}.logits"].numpy(), golden[f"{case}.tokens"].numpy())
        golden.equal(torch.from_numpy(rows), f"{case}.positions")


def tiny_aligner(golden: Golden, prefix: str = "") -> Aligner:
    """The aligner whose weights lie under `prefix` + `encoder.`, with the eos of the tiny tokenizer."""
    sizes = dict(golden.meta["wav2vec2_config"])
    eos = golden.meta["tokenizer_base"] + 1
    config = AlignerConfig(vocab_size=sizes.pop("vocab_size"), eos_token_id=eos, wav2vec2_config=sizes)
    aligner = Aligner(config)
    weights = golden.part(f"{prefix}encoder.")
    aligner.load_state_dict({f"encoder.{name}": value for name, value in weights.items()}, strict=True)
    return aligner


@checker("aligner")
def check_aligner(golden: Golden) -> None:
    """Section 5: logits within tolerance, by the whole head and by columns; positions and masks equal."""
    aligner = tiny_aligner(golden)
    assert golden.meta["cases"]
    for case, options in golden.meta["cases"].items():
        _check_case(golden, aligner, case, options)


def _check_case(golden: Golden, aligner: Aligner, case: str, options: dict[str, Any]) -> None:
    size, stride = options.get("inference_window_size"), options.get("inference_window_stride")
    window = None if size is None else (size, stride)
    audio, rate, columns = golden[f"{case}.audio"], options["sample_rate"], golden[f"{case}.logits_columns"]
    whole = aligner.logits(audio[0], rate, window=window)
    assert [1, *whole.shape] == options["logits_shape"], case
    golden.close(whole[None, :, columns], f"{case}.logits_at_columns", ALIGNER_TOLERANCE)
    picked = aligner.logits(audio[0], rate, columns, window)
    golden.close(picked[None], f"{case}.logits_at_columns", ALIGNER_TOLERANCE, f"{case} columns only")
    out = aligner(
        audio,
        text_tokens=golden[f"{case}.text_tokens"],
        audio_length=golden[f"{case}.audio_length"],
        sample_rate=rate,
        inference_window_size=size,
        inference_window_stride=stride,
    )
    golden.equal(out.token_positions, f"{case}.token_positions")
    golden.equal(out.token_masks, f"{case}.token_masks")
