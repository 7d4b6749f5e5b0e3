"""New Dia models of any size: what training starts from, and what tests speak with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError
from unisono.families.fixed_rate.card import FILE, Card
from unisono.families.fixed_rate.loading import quietly


def new_codec(values: Mapping[str, Any]) -> Any:
    """A new DAC from configuration keys. Raises CheckpointError for values that none can be built from."""
    from transformers import DacConfig, DacModel

    try:
        return DacModel(DacConfig(**values)).eval()
    except (ValueError, TypeError, RuntimeError) as problem:
        raise CheckpointError(f"no DAC can be built from these values: {problem}") from problem


def new_model(values: Mapping[str, Any]) -> Any:
    """A new Dia from the keys of its encoder (`encoder`) and decoder (`decoder`).

    Raises:
        CheckpointError: values that no Dia can be built from.
    """
    from transformers import DiaConfig, DiaDecoderConfig, DiaEncoderConfig

    from unisono.families.dia.model import SeededDia

    given = dict(values)
    encoder, decoder = given.pop("encoder", {}), given.pop("decoder", {})
    try:
        config = DiaConfig(
            encoder_config=DiaEncoderConfig(**encoder), decoder_config=DiaDecoderConfig(**decoder), **given
        )
        return SeededDia(config).eval()
    except (ValueError, TypeError, RuntimeError) as problem:
        raise CheckpointError(f"no Dia can be built from these values: {problem}") from problem


def save_folder(folder: Path, model: Any, codec: Any, card: Card) -> None:
    """Write a model folder that `unisono.load` reads."""
    with quietly():
        model.save_pretrained(folder)
        codec.save_pretrained(folder / "codec")
    (folder / FILE).write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")
