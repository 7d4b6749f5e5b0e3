"""Builders the TASTE checkers share: tiny tokenizers, the tiny model, recorded draws."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from golden_harness import Golden

from unisono.families.taste.loading import from_tensors
from unisono.families.taste.model import TasteForCausalLM
from unisono.families.taste.units import UnitStep

SPARSE = (".rows", ".row_ids")


class TinyWords:
    """One of the two tokenizers of `tokenizer.json`: the longest fitting piece, else one byte (README there)."""

    def __init__(self, pieces: Sequence[str], size: int, specials: Mapping[int, str]) -> None:
        self.pieces = [piece.encode() for piece in pieces]
        self.vocab_size, self.specials = size, dict(specials)

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        rest, ids = text.encode(), []
        while rest:
            fitting = [(len(piece), index) for index, piece in enumerate(self.pieces) if rest.startswith(piece)]
            length, index = max(fitting, default=(1, rest[0] - 256))
            ids.append(256 + index)
            rest = rest[length:]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; ids of nothing are "§"."""
        made = b""
        for index in ids:
            if index < 256:
                made += bytes([index])
            elif index - 256 < len(self.pieces):
                made += self.pieces[index - 256]
            else:
                made += self.specials.get(index, "§").encode()
        return made.decode(errors="replace")


@cache
def tiny_tokenizers(folder: Path) -> tuple[TinyWords, TinyWords]:
    """The recogniser's and the language model's."""
    values = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    specials = {int(key): text for key, text in values["llm_specials"].items()}
    return TinyWords(values["asr_pieces"], values["asr_size"], {}), TinyWords(
        values["llm_pieces"], values["llm_size"], specials
    )


def dense(golden: Golden, sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """All tensors, sparse tables filled up to their full number of rows (the key's part that fits says how many)."""
    made = {}
    for name, value in golden.tensors.items():
        base = name.removesuffix(".rows")
        if name.endswith(".rows"):
            rows = next(size for part, size in sizes.items() if part in base)
            table = torch.zeros(rows, value.shape[1])
            table[golden[f"{base}.row_ids"]] = value
            made[base] = table
        elif not name.endswith(".row_ids"):
            made[name] = value
    return made


def table_sizes(config: Mapping[str, Any]) -> dict[str, int]:
    """Rows of the sparse tables."""
    return {
        "audio_tower": config["audio_tower_config"]["text_token_size"],
        "speech_decoder": config["speech_decoder_config"]["text_token_size"],
        "spoken_lm": config["text_config"]["vocab_size"],
        "model.embed_tokens": config["text_config"]["vocab_size"],
    }


def tiny_model(
    golden: Golden,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    parts: Mapping[str, torch.Tensor] | None = None,
) -> TasteForCausalLM:
    """A new model with the weights that a golden file names.

    Args:
        changes: sections of the configuration with other values. parts: tensors below `spoken_lm.` that take the place
            of the extracting bridge.
    """
    weights_file = golden if golden.stem == "model_weights" else golden.sibling(golden.meta["weights"])
    config = {key: dict(value) for key, value in weights_file.meta["config"].items()}
    for section, values in (changes or {}).items():
        config[section].update(values)
    weights = dense(weights_file, table_sizes(config))
    if parts is not None:
        weights = {name: value for name, value in weights.items() if "extract_for_bridge" not in name}
        weights |= {f"spoken_lm.{name}": value for name, value in parts.items()}
    return from_tensors(config, {name: value.clone() for name, value in weights.items()})


class RecordedUnits:
    """Hands out recorded units; as an observer keeps what it is shown."""

    generators: Sequence[torch.Generator] = ()

    def __init__(self, chosen: torch.Tensor) -> None:
        self.left, self.seen, self.impossible = chosen.tolist(), [], 0

    def unit(self, row: int, probabilities: torch.Tensor) -> int:
        """The next recorded unit."""
        chosen = self.left.pop(0)
        self.impossible += int(probabilities[chosen] <= 0)
        return chosen

    def __call__(self, step: UnitStep) -> None:
        self.seen.append(step)

    def check(self, golden: Golden, prefix: str, tolerance: float) -> None:
        """Compare every step with the recording below a prefix."""
        unused, impossible = len(self.left), self.impossible
        assert not unused, f"{golden.stem} {prefix}: {unused} units were not drawn"
        golden.close(torch.stack([step.logp for step in self.seen]), f"{prefix}logp", tolerance)
        golden.close(torch.stack([step.probabilities for step in self.seen]), f"{prefix}topk_probs", tolerance)
        golden.equal(torch.stack([step.candidates for step in self.seen]), f"{prefix}topk_ids")
        assert not impossible, f"{golden.stem} {prefix}: {impossible} recorded units could not be drawn"
