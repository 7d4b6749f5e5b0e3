"""TASTE's second stage: a small language model of text, then text and codes together (TASLM), with LoRA or without.

Published is Llama-3.2-1B with adapters. No such model is at hand here, so that `text_model` first trains a small one on
the corpus's texts; `taslm` then does what is published (spec section 2 and 3.1): adapters, bridges and pad vectors are
trained, the text stays close to the frozen language model. The adapters are merged into what is saved.

Axes: B batch, T text tokens, Q codes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from unisono.families.taste.adapters import CausalLM, add_adapters, merge_adapters
from unisono.families.taste.config import LoraSizes, TasteConfig
from unisono.families.taste.model import TasteForCausalLM
from unisono.families.taste.spoken import SpokenLoss, trainable_names
from unisono.files import load_tensors
from unisono.train.corpus import BucketedOrder, Clip, Selection
from unisono.train.marks import Marks
from unisono.train.stages.base import Context, Stage, clip_order, options_of
from unisono.train.stages.taste import word_starts

NOTHING = -1


@dataclass
class Options:
    """What the stages can be told.

    Attributes:
        marks, codes: files of the run that made the tokenizer. lora: fields of `LoraSizes`; {} = train the whole
            language model. reference: whether the text is held to the language model as it was (spec: 0.9 KL + 0.1 CE).
    """

    marks: str = "marks.safetensors"
    codes: str = "codes.safetensors"
    lora: dict[str, Any] = field(default_factory=dict)
    reference: bool = True
    held_out_clips: int = 64


class TextModelTask:
    """Next-token training of the language model inside a TASTE model on the corpus's texts (init: that model)."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.critic = context, None
        self.options = options_of(Options, stage.options, f"options of {stage.folder_name}")
        self.model = TasteForCausalLM.from_pretrained(context.result(stage.init), **stage.model).to(context.device)
        self.module = self.model.spoken_lm.causal_lm
        self.start = self.model.spoken_lm.own.sos_id
        self.marks = Marks.load(context.result(self.options.marks))
        self.clips, self.held_out, self.order = _chosen(context, stage, self.marks, self.options.held_out_clips)

    def batch(self, step: int) -> list[Clip]:
        """The clips of a step."""
        return [self.clips[i] for i in self.order.batch(step)]

    def loss(self, batch: list[Clip]) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean cross-entropy of a token."""
        rows = [torch.from_numpy(self.marks.tokens(clip)) for clip in batch]
        labels = pad_sequence(rows, batch_first=True, padding_value=NOTHING).to(self.context.device)
        read = functional.pad(labels.clamp_min(0), (1, 0), value=self.start)[:, :-1]
        logits = self.module.logits(self.module(self.module.model.embed_tokens(read)))
        loss = functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=NOTHING)
        return loss, {}

    def validate(self) -> dict[str, float]:
        """The loss on held-out texts."""
        return {"loss": float(self.loss(self.held_out)[0])}

    def samples(self, folder: Path, step: int) -> None:
        """Nothing to hear."""

    def save(self, folder: Path) -> None:
        """Write the whole TASTE model."""
        self.model.save_pretrained(folder)


class SpokenModelTask:
    """Training of `spoken_lm` on extracted codes (init: a TASTE model whose language model is trained)."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.critic = context, None
        self.options = options_of(Options, stage.options, f"options of {stage.folder_name}")
        self.model = TasteForCausalLM.from_pretrained(context.result(stage.init), **stage.model).to(context.device)
        self.reference = self._reference() if self.options.reference else None
        self.module = self.model.spoken_lm
        if self.options.lora:
            sizes = options_of(LoraSizes, self.options.lora, f"lora of {stage.folder_name}")
            self.module.language_model = add_adapters(self.module.causal_lm, sizes).to(context.device)
        chosen = set(trainable_names(self.module))
        for name, parameter in self.module.named_parameters():
            parameter.requires_grad_(name in chosen)
        self.quantiser = self.model.audio_tower.quantiser.requires_grad_(False).eval()
        self.marks = Marks.load(context.result(self.options.marks))
        tensors, _ = load_tensors(context.result(self.options.codes))
        self.codes, self.starts = tensors["codes"].long(), tensors["starts"].tolist()
        self.word_starts = word_starts(context.tokenizer)
        self.clips, self.held_out, self.order = _chosen(
            context, stage, self.marks, self.options.held_out_clips, has=self._has_codes
        )

    def _has_codes(self, clip: Clip) -> bool:
        return self.starts[clip.index + 1] > self.starts[clip.index]

    def _reference(self) -> CausalLM:
        """The language model as it was, its rotary table not rounded (spec section 2)."""
        reference = CausalLM(self.model.config.llama(), rounded=False)
        reference.load_state_dict(copy.deepcopy(self.model.spoken_lm.causal_lm.state_dict()))
        return reference.requires_grad_(False).eval().to(self.context.device)

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of a step, on the device."""
        return self.collate([self.clips[i] for i in self.order.batch(step)])

    def collate(self, clips: list[Clip]) -> dict[str, torch.Tensor]:
        """ids, word_ids [B, T], lengths [B], codes [B, T, Q] with -1 but at the first token of each word."""
        ids, words, codes = [], [], []
        for clip in clips:
            tokens = self.marks.tokens(clip)
            numbers = (self.word_starts[tokens].cumsum() - 1).clip(0)
            first = torch.from_numpy(np.diff(numbers, prepend=-1) != 0)
            rows = torch.full((len(tokens), self.codes.shape[1]), NOTHING)
            rows[first] = self.codes[self.starts[clip.index] : self.starts[clip.index + 1]]
            ids.append(torch.from_numpy(tokens))
            words.append(torch.from_numpy(numbers))
            codes.append(rows)
        parts = {
            "ids": pad_sequence(ids, batch_first=True),
            "lengths": torch.tensor([len(row) for row in ids]),
            "word_ids": pad_sequence(words, batch_first=True),
            "codes": pad_sequence(codes, batch_first=True, padding_value=NOTHING),
        }
        return {name: part.to(self.context.device) for name, part in parts.items()}

    def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Text and codes, weighed as `loss_weights` says."""
        made: SpokenLoss = self.module(**batch, quantiser=self.quantiser, reference=self.reference)
        numbers = {"text": float(made.text_ce.detach()), "taste": float(made.taste.detach())}
        return made.loss, numbers | self._accuracy(made)

    @torch.no_grad()
    def _accuracy(self, made: SpokenLoss) -> dict[str, float]:
        """The published metrics: text_accuracy, a0_accuracy and so on for the codes of each level."""
        kept = made.text_labels >= 0
        right = made.parts["text_logits"].argmax(-1)[kept] == made.text_labels[kept]
        told = (made.taste_labels >= 0).all(-1)
        guessed = self.module.codes(made.parts["hidden"][told], self.quantiser)
        levels = (guessed == made.taste_labels[told]).float().mean(0)
        found = {f"a{level}_accuracy": float(value) for level, value in enumerate(levels)}
        return {"text_accuracy": float(right.float().mean())} | found

    def validate(self) -> dict[str, float]:
        """Losses and accuracies on held-out clips."""
        loss, numbers = self.loss(self.collate(self.held_out))
        return numbers | {"loss": float(loss)}

    def samples(self, folder: Path, step: int) -> None:
        """Sound needs the whole chain: `unisono continue` after the package stage."""

    def save(self, folder: Path) -> None:
        """Write the whole TASTE model, adapters merged."""
        merged = copy.deepcopy(self.model)
        merged.spoken_lm.language_model = merge_adapters(merged.spoken_lm.language_model)
        merged.config = without_adapters(merged.config)
        merged.save_pretrained(folder)


def without_adapters(config: TasteConfig) -> TasteConfig:
    """The configuration of a model whose adapters are merged."""
    values = config.to_dict()
    values["spoken_lm_config"] = values["spoken_lm_config"] | {"use_lora": False}
    return TasteConfig.from_dict(values)


def _chosen(
    context: Context, stage: Stage, marks: Marks, held_out: int, has: Any = None
) -> tuple[list[Clip], list[Clip], BucketedOrder]:
    """Aligned clips to train on, held-out ones, and the order of batches by tokens."""
    kept = []
    for split in ("train", "heldout"):
        selection = options_of(Selection, stage.data | {"split": split}, f"data of {stage.folder_name}")
        found = marks.good(selection.pick(context.corpus.clips))
        kept.append([clip for clip in found if has is None or has(clip)])
    clips, held = kept
    return clips, held[:held_out], clip_order(context, stage, clips, [len(marks.tokens(clip)) for clip in clips])
