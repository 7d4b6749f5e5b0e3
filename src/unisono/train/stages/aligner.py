"""Aligner stage: CTC over the tokenizer's vocabulary on augmented log-mel features.

Axes: B batch, F bands, L frames, T tokens, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional

from unisono.align.mel_ctc import remove_mean
from unisono.train.corpus import Clip, Selection
from unisono.train.stages.base import Context, Stage, clip_order, from_config, options_of, padded_waves, spoken_text


class AlignerTask:
    """CTC training of the small aligner; blank is id 0."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.stage = context, stage
        self.critic = None
        selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
        config = {"frontend": "log_mel", "score": "log_softmax", "vocab_size": context.tokenizer.vocab_size}
        config["eos_token_id"] = context.tokenizer.eos_id
        self.module = from_config(context.part("aligner"), config | stage.model).to(context.device)
        self.ids = {}
        self.clips = self._aligned(selection.pick(context.corpus.clips))
        self.order = clip_order(context, stage, self.clips, [clip.frames for clip in self.clips])
        held = options_of(Selection, stage.data | {"split": "heldout"}, "data")
        self.held_out = self._aligned(held.pick(context.corpus.clips))[: int(stage.options.get("held_out_clips", 64))]

    def _aligned(self, clips: list[Clip]) -> list[Clip]:
        """Clips whose tokens fit into their frames; their ids are kept."""
        kept = []
        for clip in clips:
            ids = self.context.tokenizer.encode(spoken_text(clip.text))
            if 0 < len(ids) < 0.8 * clip.frames:
                self.ids[clip.index] = ids
                kept.append(clip)
        return kept

    def batch(self, step: int) -> list[Clip]:
        """The clips of a step."""
        return [self.clips[i] for i in self.order.batch(step)]

    def loss(self, batch: list[Clip]) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean CTC loss per token."""
        waves, frames = padded_waves(self.context.corpus, batch)
        net = self.module.encoder
        with torch.no_grad():
            mel = net.front(waves.to(self.context.device))
            mel, frames = augment(mel, frames)
        logits = net.classify(remove_mean(mel, frames.to(mel.device)))
        return self._ctc(logits, frames, batch), {}

    def _ctc(self, logits: torch.Tensor, frames: torch.Tensor, batch: list[Clip]) -> torch.Tensor:
        rows = [self.ids[clip.index] for clip in batch]
        targets = torch.tensor([token for row in rows for token in row])
        lengths = torch.tensor([len(row) for row in rows])
        scores = logits.float().log_softmax(-1).transpose(0, 1)  # [L, B, V]
        total = functional.ctc_loss(scores, targets, frames, lengths, reduction="sum", zero_infinity=True)
        return total / lengths.sum()

    def validate(self) -> dict[str, float]:
        """CTC loss per token and greedy token error rate on held-out clips."""
        waves, frames = padded_waves(self.context.corpus, self.held_out)
        net = self.module.encoder
        mel = remove_mean(net.front(waves.to(self.context.device)), frames.to(self.context.device))
        logits = net.classify(mel)
        errors = total = 0
        for row, clip in enumerate(self.held_out):
            heard = logits[row, : frames[row]].argmax(-1).unique_consecutive().tolist()
            wanted = self.ids[clip.index]
            errors += edit_distance([token for token in heard if token], wanted)
            total += len(wanted)
        return {"loss": float(self._ctc(logits, frames, self.held_out)), "token_error_rate": errors / total}

    def samples(self, folder: Path, step: int) -> None:
        """Nothing to hear: the posteriors are judged by `validate`."""

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        self.module.save_pretrained(folder)


def augment(mel: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Other voices, rates, rooms and telephones, on standardised stacked log-mel [B, 2F, L].

    Warps bands (vocal tract length) and time, adds a noise floor, a random tilt, a low-pass and masked stripes.
    """
    batch, width, length = mel.shape
    stretch = float(torch.empty(1).uniform_(0.85, 1.2))
    new_length = max(int(length * stretch), 8)
    mel = functional.interpolate(mel, size=new_length, mode="linear", align_corners=False)
    frames = (frames * new_length / length).long().clamp(max=new_length)
    bands = width // 2
    mel = mel.view(batch, 2, bands, new_length)
    warp = torch.empty(batch, 1).uniform_(0.88, 1.12)
    index = (torch.arange(bands) * warp).round().long().clamp(max=bands - 1).to(mel.device)
    mel = mel.gather(2, index[:, None, :, None].expand(-1, 2, -1, new_length))
    scale = 2.5  # nats per standardised unit, see StackedMel
    floor = torch.empty(batch, 1, 1, 1).uniform_(-2.8, -0.6) + 0.15 * torch.randn(batch, 1, bands, 1)
    noise = floor.to(mel) + 0.25 * torch.randn_like(mel)
    mel = torch.logaddexp(mel * scale, noise * scale) / scale
    ramp = torch.linspace(-1, 1, bands)[None, :] * torch.empty(batch, 1).uniform_(-0.8, 0.8)
    mel = mel + ramp[:, None, :, None].to(mel)
    cut = torch.randint(70, 2 * bands, (batch, 1))
    keep = (torch.arange(bands)[None, :] < cut)[:, None, :, None].to(mel)
    mel = mel * keep - 2.6 * (1 - keep)
    start = torch.randint(0, bands - 8, (1,))
    mel[:, :, start : start + int(torch.randint(0, 8, (1,)))] = 0
    return mel.reshape(batch, width, new_length), frames


def edit_distance(a: list[int], b: list[int]) -> int:
    """Levenshtein distance between two id lists."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]
