"""Language-model stage: flow matching on vectors and duration bits, text cross-entropy, hidden prompts.

TADA, spec section 17. Axes: B batch, P positions, H hidden width, A vector width, b bits, K draws a state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from unisono.files import load_tensors
from unisono.lm.flow import flow_loss
from unisono.train.corpus import Clip, Selection
from unisono.train.marks import Marks
from unisono.train.stages.base import Context, Stage, clip_order, from_config, options_of


@dataclass
class Options:
    """What the stage can be told beside the model's config.

    Attributes:
        draws: flow draws K for each state. logit_normal: t = sigmoid(N(0,1)) instead of uniform.
        text_weight, regression_weight: of text cross-entropy and of the auxiliary regression head.
        time_weight: weight of a duration bit beside a vector entry. vector_noise: deviation of noise on input vectors.
        speaker_in_system: chance that the system turn names the speaker.
        join: chance that the next utterance of the speaker follows in the same sequence; at most `max_tokens`.
        hiding: fields of `Hiding`.
    """

    draws: int = 2
    logit_normal: bool = True
    text_weight: float = 0.05
    regression_weight: float = 0.2
    time_weight: float = 1.0
    vector_noise: float = 0.2
    speaker_in_system: float = 0.8
    join: float = 0.3
    max_tokens: int = 400
    held_out_clips: int = 64
    hiding: dict[str, Any] = field(default_factory=dict)


class LanguageModelTask:
    """Training of `TadaForCausalLM` on the extracted marks and vectors of a corpus."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.passages = context, context.family.passages
        self.critic = None
        self.options = options_of(Options, stage.options, f"options of {stage.folder_name}")
        self.hiding = options_of(self.passages.Hiding, self.options.hiding, f"hiding of {stage.folder_name}")
        self.marks = Marks.load(context.result("marks.safetensors"))
        self.vectors = load_tensors(context.result("vectors.safetensors"))[0]["vectors"].numpy()
        model = self._model(stage)
        wide = model.config.vector_width
        # The auxiliary regression head only shapes the hidden states; it is not part of the saved model.
        self.module = nn.ModuleDict({"model": model, "regression": nn.Linear(model.config.hidden_size, wide)})
        self.module.to(context.device)
        selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
        self.clips = self._fitting(selection.pick(context.corpus.clips))
        self.order = clip_order(context, stage, self.clips, [len(self.marks.tokens(c)) for c in self.clips])
        held = options_of(Selection, stage.data | {"split": "heldout"}, "data")
        self.held_out = self._fitting(held.pick(context.corpus.clips))[: self.options.held_out_clips]
        self.by_speaker: dict[str, list[Clip]] = {}
        for clip in self.clips:
            self.by_speaker.setdefault(clip.speaker, []).append(clip)

    def _model(self, stage: Stage) -> nn.Module:
        if stage.init:
            return self.context.part("").from_pretrained(self.context.result(stage.init))
        tokenizer = self.context.tokenizer
        ids = {"vocab_size": tokenizer.vocab_size, "bos_token_id": tokenizer.bos_id, "eos_token_id": tokenizer.eos_id}
        # Vectors are standardised by what the encoder really gives, so that the flow starts at the right scale.
        flat = self.vectors[:: max(1, len(self.vectors) // 50000)].astype(np.float32)
        scale = {"acoustic_mean": 0.0, "acoustic_std": round(float(flat.std()), 4), "acoustic_dim": flat.shape[1]}
        return from_config(self.context.part(""), ids | scale | stage.model)

    def _fitting(self, clips: list[Clip]) -> list[Clip]:
        """Aligned clips without a gap beyond the model's longest duration."""
        longest = self.module["model"].config.num_time_classes if hasattr(self, "module") else 256
        kept = self.marks.good(clips)
        return [c for c in kept if np.diff(self.marks.positions(c), prepend=1, append=c.frames).max() < longest]

    def passage(self, clips: list[Clip], named: bool) -> Any:
        """Utterances in a row as one passage."""
        config = self.module["model"].config
        ids, vectors, positions, frames = [], [], [], 0
        for clip in clips:
            ids.append(self.marks.tokens(clip))
            vectors.append(self.vectors[self.marks.span(clip)].astype(np.float32))
            positions.append(self.marks.positions(clip) + frames)
            frames += clip.frames
        scaled = (np.concatenate(vectors) - config.acoustic_mean) / config.acoustic_std
        system = clips[0].speaker if named else ""
        return self.passages.Passage(np.concatenate(ids), scaled, np.concatenate(positions), frames, system)

    def layout(self, passage: Any) -> Any:
        """Tables of one passage."""
        config = self.module["model"].config
        return self.passages.lay_out(passage, self.context.tokenizer, config.shift_acoustic, config.num_time_classes)

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Laid out, partly hidden sequences of a step, on the device."""
        rng = np.random.default_rng([self.context.seed, step])
        layouts = []
        for index in self.order.batch(step):
            clips = [self.clips[index]]
            tokens = len(self.marks.tokens(clips[0]))
            while rng.random() < self.options.join:
                siblings = self.by_speaker[clips[0].speaker]
                extra = siblings[int(rng.integers(len(siblings)))]
                tokens += len(self.marks.tokens(extra))
                if tokens > self.options.max_tokens:
                    break
                clips.append(extra)
            layout = self.layout(self.passage(clips, rng.random() < self.options.speaker_in_system))
            self.passages.hide_text(layout, self.context.tokenizer.pad_id, self.hiding, rng)
            layouts.append(layout)
        return self._to_device(layouts)

    def _to_device(self, layouts: list[Any]) -> dict[str, torch.Tensor]:
        tensors = self.passages.collate(layouts, self.context.tokenizer.pad_id)
        return {name: value.to(self.context.device) for name, value in tensors.items()}

    def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Flow loss + weighted text and regression losses."""
        vectors, masks = batch["vectors"], batch["masks"]
        if self.module.training:
            dropped = torch.rand(masks.shape, device=masks.device) < self.hiding.vector
            masks = torch.where(dropped, torch.zeros_like(masks), masks)
            noisy = vectors + self.options.vector_noise * torch.randn_like(vectors)
            vectors = torch.where((masks > 0)[..., None], noisy, torch.zeros_like(vectors))
        model = self.module["model"]
        hidden, logits = model.forward_train(batch["ids"], vectors, masks, batch["before"], batch["after"])
        return self._losses(batch, hidden, logits)

    def _losses(
        self, batch: dict[str, torch.Tensor], hidden: torch.Tensor, logits: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, float]]:
        model = self.module["model"]
        chosen = batch["time_loss"] > 0
        tables = (batch[name][chosen] for name in ("target_vectors", "target_before", "target_after"))
        target = model.flow_target(*tables)  # [S, A + 2b]
        weight = torch.ones_like(target)
        weight[:, : model.config.acoustic_dim] = batch["vector_loss"][chosen][:, None]
        weight[:, model.config.acoustic_dim :] = self.options.time_weight
        states = hidden[chosen]
        flow = self._flow(states, target, weight)
        regression = self.module["regression"](states).float()
        guess = (weight * (regression - target).square()).sum() / weight.sum()
        text = self._text(batch, logits)
        loss = flow + self.options.regression_weight * guess + self.options.text_weight * text
        return loss, {"flow": float(flow.detach()), "regression": float(guess.detach()), "text": float(text.detach())}

    def _flow(self, states: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Squared error of the velocity at K random times of each state."""
        draws = self.options.draws
        states, target, weight = (x.repeat_interleave(draws, 0) for x in (states, target, weight))
        shape = (len(target),)
        t = torch.randn(shape).sigmoid() if self.options.logit_normal else torch.rand(shape)
        errors = flow_loss(self.module["model"].velocity, states, target, t.to(target), torch.randn_like(target))
        return (weight * errors).sum() / weight.sum()

    def _text(self, batch: dict[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        losses = functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), batch["ids"][:, 1:].flatten(), reduction="none"
        )
        keep = batch["text_loss"][:, :-1].flatten()
        return (losses * keep).sum() / keep.sum().clamp_min(1)

    def validate(self) -> dict[str, float]:
        """Losses on held-out utterances with all text shown, at fixed noise."""
        totals: dict[str, float] = {}
        with torch.random.fork_rng():
            torch.manual_seed(1)
            for start in range(0, len(self.held_out), 16):
                clips = self.held_out[start : start + 16]
                batch = self._to_device([self.layout(self.passage([clip], True)) for clip in clips])
                loss, numbers = self.loss(batch)
                for key, value in (numbers | {"loss": float(loss)}).items():
                    totals[key] = totals.get(key, 0.0) + value * len(clips) / len(self.held_out)
        return totals

    def samples(self, folder: Path, step: int) -> None:
        """Sound needs the whole chain: `unisono say --model RUN/package` after the package stage."""

    def save(self, folder: Path) -> None:
        """Write the language model without the regression head."""
        self.module["model"].save_pretrained(folder)
