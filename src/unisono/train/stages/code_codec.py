"""Codec stage of families whose codec has a fixed rate: spectral losses on short random segments.

Axes: B batch, N samples at the codec's rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unisono.audio import resample, write_audio
from unisono.interface import Audio
from unisono.train.corpus import SAMPLE_RATE, Clip, Selection
from unisono.train.losses import MultiResolutionSTFT
from unisono.train.stages.base import Context, Stage, options_of

HELD_OUT = 8  # clips


@dataclass
class Options:
    """What the stage can be told.

    Attributes:
        segment_frames: frames of a segment. batch_clips: segments of a batch.
        freeze_encoder: only the decoder learns. A small codec that learns both ends by spectra alone soon writes the
            same code everywhere; random features, spread over the codes, say more.
    """

    segment_frames: int = 32
    batch_clips: int = 8
    freeze_encoder: bool = False


class CodeCodecTask:
    """Training of a codec by reconstruction."""

    critic = None

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.trainer = context, context.family.passages
        self.options = options_of(Options, stage.options, f"options of {stage.folder_name}")
        selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
        self.clips = selection.pick(context.corpus.clips)
        held = options_of(Selection, stage.data | {"split": "heldout"}, "data")
        self.held_out = held.pick(context.corpus.clips)[:HELD_OUT]
        self.spectral = MultiResolutionSTFT().to(context.device)
        if stage.init:
            self.module = self.trainer.load_codec(context.result(stage.init)).to(context.device)
        else:
            self.module = self.trainer.new_codec(stage.model).to(context.device)
            codec = self.trainer.wrap_codec(self.module)
            self.trainer.spread_codes(self.module, clip_wave(context, self.clips[0], codec.sample_rate))
        if self.options.freeze_encoder:
            for name, weight in self.module.named_parameters():
                weight.requires_grad_(name.startswith(self.trainer.DECODER))
        codec = self.trainer.wrap_codec(self.module)
        self.rate, self.samples_of_segment = codec.sample_rate, codec.hop * self.options.segment_frames

    def batch(self, step: int) -> torch.Tensor:
        """Waves [B, N] of a step."""
        rng = np.random.default_rng([self.context.seed, step])
        chosen = rng.integers(0, len(self.clips), self.options.batch_clips)
        return torch.stack([self.segment(self.clips[index], rng) for index in chosen]).to(self.context.device)

    def segment(self, clip: Clip, rng: np.random.Generator) -> torch.Tensor:
        """A wave [N] from anywhere in a clip, with zeros behind a short one."""
        wanted = -(-self.samples_of_segment * SAMPLE_RATE // self.rate) + 2
        start = int(rng.integers(0, max(clip.samples - wanted, 0) + 1))
        wave = self.context.corpus.wave(clip, start, min(start + wanted, clip.samples))
        wave = resample(Audio(wave, SAMPLE_RATE), self.rate).samples[: self.samples_of_segment]
        return torch.from_numpy(np.pad(wave, (0, self.samples_of_segment - len(wave))))

    def loss(self, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
        """Multi-resolution spectral loss, and the quantiser's own."""
        made, own = self.trainer.reconstruct(self.module, batch)
        length = min(made.shape[-1], batch.shape[-1])
        spectral = self.spectral(made[..., :length], batch[..., :length])
        return spectral + own, {"spectral": float(spectral.detach()), "quantiser": float(own.detach())}

    def validate(self) -> dict[str, float]:
        """Spectral loss on held-out segments."""
        rng = np.random.default_rng(1)
        waves = torch.stack([self.segment(clip, rng) for clip in self.held_out]).to(self.context.device)
        return {"loss": float(self.loss(waves)[0])}

    def samples(self, folder: Path, step: int) -> None:
        """A held-out clip through the codec."""
        codec = self.trainer.wrap_codec(self.module)
        wave = codec.decode(codec.encode(clip_wave(self.context, self.held_out[0], self.rate)))
        write_audio(folder / f"{step:06d}.wav", Audio(np.clip(wave.numpy(), -1, 1), self.rate))

    def save(self, folder: Path) -> None:
        """Write the codec as transformers does."""
        from unisono.families.fixed_rate.loading import quietly

        with quietly():
            self.module.save_pretrained(folder)


def clip_wave(context: Context, clip: Clip, rate: int) -> torch.Tensor:
    """The wave [N] of a clip at another rate."""
    return torch.from_numpy(resample(Audio(context.corpus.wave(clip), SAMPLE_RATE), rate).samples)
