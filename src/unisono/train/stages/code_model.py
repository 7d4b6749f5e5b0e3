"""Language model of codes: cross-entropy on the codes of a corpus; whole, or LoRA adapters of it.

Axes: T frames, Q code books.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from unisono.errors import TrainingError
from unisono.train.corpus import Clip, Selection
from unisono.train.stages.base import Context, Stage, clip_order, options_of, spoken_text
from unisono.train.stages.codes import CODEC, FILE, Codes

GROUP = 8  # held-out clips of a batch


@dataclass
class Options:
    """What the stage can be told.

    Attributes:
        codec: run folder of the codec. held_out_clips: for validation.
        lora: fields of peft's `LoraConfig` (r, lora_alpha, ...); empty trains all weights.
        layout: what the family's `batch_of` can be told (Llasa: packed, longest; Dia: drop_text, longest).
    """

    codec: str = CODEC
    held_out_clips: int = 24
    lora: dict[str, Any] = field(default_factory=dict)
    layout: dict[str, Any] = field(default_factory=dict)


class CodeModelTask:
    """Training of the language model on extracted codes. Held-out texts are validated as they are, nothing dropped."""

    critic = None

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.trainer = context, context.family.passages
        self.options = options_of(Options, stage.options, f"options of {stage.folder_name}")
        self.codes = Codes.load(context.result(FILE))
        self.codec = self.trainer.load_codec(context.result(self.options.codec))
        codec = self.trainer.wrap_codec(self.codec)
        start = context.result(stage.init) if stage.init else None
        self.text = self.trainer.load_text(start, codec.size) if start else self.trainer.new_text(codec.size)
        model = self.trainer.load_model(start) if start else self.trainer.new_model(stage.model, self.text, codec)
        self.config = model
        self.module = (_adapted(model, self.options.lora, self.trainer) if self.options.lora else model).to(
            context.device
        )
        selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
        self.clips = [clip for clip in selection.pick(context.corpus.clips) if len(self.codes.of(clip))]
        self.order = clip_order(context, stage, self.clips, [len(self.codes.of(clip)) for clip in self.clips])
        held = options_of(Selection, stage.data | {"split": "heldout"}, "data")
        self.held_out = held.pick(context.corpus.clips)[: self.options.held_out_clips]

    def items(self, clips: list[Clip]) -> list[tuple[str, torch.Tensor]]:
        """Texts as the model reads them, and codes [T, Q]."""
        return [(spoken_text(clip.text).strip(), self.codes.of(clip)) for clip in clips]

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Rows of a step, on the device; what is dropped follows from torch's generator, which the loop has seeded."""
        clips = [self.clips[index] for index in self.order.batch(step)]
        return self._rows(clips, self.options.layout)

    def _rows(self, clips: list[Clip], layout: dict[str, Any]) -> dict[str, torch.Tensor]:
        rows = self.trainer.batch_of(self.items(clips), self.text, self.config, layout)
        return {name: value.to(self.context.device) for name, value in rows.items()}

    def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross-entropy of the codes."""
        return self.trainer.loss(self.module, batch), {}

    def validate(self) -> dict[str, float]:
        """Cross-entropy on held-out clips."""
        layout = {name: value for name, value in self.options.layout.items() if name != "drop_text"}
        total = 0.0
        for start in range(0, len(self.held_out), GROUP):
            clips = self.held_out[start : start + GROUP]
            total += float(self.loss(self._rows(clips, layout))[0]) * len(clips)
        return {"loss": total / len(self.held_out)}

    def samples(self, folder: Path, step: int) -> None:
        """Sound needs the whole chain: `unisono say --model RUN` after the package stage."""

    def save(self, folder: Path) -> None:
        """Write a model folder, codec included; adapters are merged into the weights."""
        model = copy.deepcopy(self.module).merge_and_unload() if self.options.lora else self.module
        self.trainer.save(folder, model, self.text, self.codec, self.trainer.card)


def _adapted(model: Any, options: dict[str, Any], trainer: Any) -> Any:
    """The model with LoRA adapters. Raises TrainingError for options that peft refuses, or without peft."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise TrainingError("LoRA needs the package peft: pip install 'unisono[train]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5.23 by an older name
            return get_peft_model(model, LoraConfig(**{"target_modules": trainer.lora_targets(), **options}))
    except (TypeError, ValueError) as problem:
        raise TrainingError(f"the recipe's lora cannot be used: {problem}") from problem
