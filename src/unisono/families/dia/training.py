"""Training of Dia: what stages of `train` ask of a family of codes.

Axes: B rows, C bytes, S steps, T frames, Q channels, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from unisono.families.dia import building
from unisono.families.dia.codec import DacCodec
from unisono.families.dia.delay import training_rows
from unisono.families.dia.loading import PUBLISHED
from unisono.families.dia.script import read_turns, write_turns
from unisono.families.fixed_rate.card import Card
from unisono.families.fixed_rate.loading import load_strictly

DECODER = ("decoder",)  # weights of the codec between codes and sound
new_codec = building.new_codec
wrap_codec = DacCodec
card = PUBLISHED


class Text:
    """The text side: Dia reads bytes."""

    def __init__(self) -> None:
        from transformers import DiaTokenizer

        self.tokenizer = DiaTokenizer()

    def ids(self, text: str) -> list[int]:
        """Bytes of a text with its speakers, [S1] where it names none."""
        return self.tokenizer(write_turns(read_turns(text)), add_special_tokens=False)["input_ids"]


def spread_codes(codec: Any, wave: torch.Tensor) -> None:
    """Nothing: a new residual quantiser meets many codes."""


def new_text(codes: int) -> Text:
    """The text side, which does not depend on the codec."""
    return Text()


def load_text(folder: Path, codes: int) -> Text:
    """As `new_text`."""
    return Text()


def new_model(values: Mapping[str, Any], text: Text, codec: DacCodec) -> Any:
    """A new Dia."""
    return building.new_model(values)


def load_model(folder: Path) -> Any:
    """The Dia of a folder. Raises CheckpointError."""
    from unisono.families.dia.model import SeededDia

    return load_strictly(SeededDia, folder)


def load_codec(folder: Path) -> Any:
    """The DAC of a folder. Raises CheckpointError."""
    from transformers import DacModel

    return load_strictly(DacModel, folder)


def reconstruct(codec: Any, waves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Waves [B, N] through the codec and back, and the quantiser's own losses."""
    made = codec(waves[:, None])
    return made.audio_values.reshape(len(waves), -1), made.loss.mean()


def batch_of(
    items: Sequence[tuple[str, torch.Tensor]], text: Text, model: Any, options: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """What `loss` takes, from texts and their codes [T, Q].

    Args:
        options: `drop_text` (chance that a row is trained without its text, which guidance needs), `longest` (frames).
    """
    rows = [text.ids(said) for said, _ in items]
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = torch.tensor(values)
    mask = (ids != 0).long()
    # The mask stays, as in generation, where the unconditional row is zeros under the mask of its text.
    ids[torch.rand(len(rows)) < float(options.get("drop_text", 0.0))] = 0
    longest = int(options.get("longest", card.max_length))
    return {"input_ids": ids, "attention_mask": mask} | training_rows(
        [codes[:longest] for _, codes in items], model.config
    )


def loss(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy over channels; the labels are already those of the next step."""
    return model(**batch, use_cache=False).loss


def lora_targets() -> list[str]:
    """Modules of Dia that LoRA adapts."""
    return ["q_proj", "k_proj", "v_proj", "o_proj"]


def save(folder: Path, model: Any, text: Text, codec: Any, made: Card) -> None:
    """Write a model folder that `unisono.load` reads."""
    building.save_folder(folder, model, codec, made)
