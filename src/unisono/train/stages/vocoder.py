"""Vocoder stage: the source-filter head on true log-mel, pitch and voicing of short random segments.

Axes: B batch, N samples, F bands, M mel frames (100 a second).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from unisono.audio import write_audio
from unisono.audio.mel import LogMel, StackedMel
from unisono.audio.pitch import continuous_log_pitch
from unisono.codec.vocoder import SourceFilterVocoder
from unisono.interface import Audio
from unisono.train.corpus import Clip, Selection
from unisono.train.critics import Adversary
from unisono.train.losses import MultiResolutionSTFT
from unisono.train.stages.base import Context, Stage, options_of

SAMPLE_RATE = 24000
HOP = 240


class VocoderTask:
    """Multi-resolution spectral training of `SourceFilterVocoder` (options: see __init__)."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.options = (
            context,
            {"segment_frames": 100, "batch_clips": 16, "jitter": 0.0, "adversarial": {}} | stage.options,
        )
        self.module = SourceFilterVocoder(**stage.model).to(context.device)
        bands = stage.model.get("bands", 100)
        self.mel = LogMel(SAMPLE_RATE, bands=bands).to(context.device)
        reference = StackedMel(SAMPLE_RATE, bands)
        self.center, self.scale = reference.center, reference.scale
        self.spectral = MultiResolutionSTFT().to(context.device)
        self.adversary = Adversary.of(self.options["adversarial"], context.device)
        self.critic = self.adversary.critics if self.adversary else None
        selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
        self.clips = selection.pick(context.corpus.clips)
        weights = np.array([selection.weight(clip.speaker) * clip.samples for clip in self.clips])
        self.chances = weights / weights.sum()
        held = options_of(Selection, stage.data | {"split": "heldout"}, "data")
        self.held_out = held.pick(context.corpus.clips)[:16]
        self.tracks: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def track(self, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
        """Log pitch and voicing [M] of a clip, kept after the first use."""
        if clip.index not in self.tracks:
            self.tracks[clip.index] = continuous_log_pitch(self.context.corpus.pitch(clip))
        return self.tracks[clip.index]

    def segment(self, clip: Clip, first: int, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Wave, log pitch and voicing of `frames` mel frames from `first`, zero-padded beyond the end."""
        wave = self.context.corpus.wave(clip, first * HOP, min((first + frames) * HOP, clip.samples))
        log_f0, voiced = (x[first : first + frames] for x in self.track(clip))
        wave = np.pad(wave, (0, frames * HOP - len(wave)))
        log_f0 = (
            np.pad(log_f0, (0, frames - len(log_f0)), mode="edge") if len(log_f0) else np.full(frames, 5.3, np.float32)
        )
        return wave, log_f0, np.pad(voiced, (0, frames - len(voiced)))

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Waves [B, N], log pitch [B, M], voicing [B, M]."""
        rng = np.random.default_rng([self.context.seed, step])
        frames = int(self.options["segment_frames"])
        rows = []
        for index in rng.choice(len(self.clips), int(self.options["batch_clips"]), p=self.chances):
            clip = self.clips[index]
            last = max(clip.samples // HOP - frames, 0)
            rows.append(self.segment(clip, int(rng.integers(0, last + 1)), frames))
        return tuple(torch.from_numpy(np.stack(column)).to(self.context.device) for column in zip(*rows, strict=True))

    def synthesise(
        self, wave: torch.Tensor, log_f0: torch.Tensor, voiced: torch.Tensor, jitter: float = 0.0
    ) -> torch.Tensor:
        """Copy synthesis: waves [B, N] through their own features; `jitter` blurs the mel as a decoder would."""
        mel = (self.mel(wave) - self.center) / self.scale
        if jitter:
            mel = mel + jitter * torch.rand(mel.shape[0], 1, 1, device=mel.device) * torch.randn_like(mel)
        noise = torch.randn_like(wave)
        return self.module(mel, log_f0, voiced, noise)

    def loss(self, batch: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, dict[str, float]]:
        """Multi-resolution spectral loss of copy synthesis."""
        wave, log_f0, voiced = batch
        made = self.synthesise(wave, log_f0, voiced, float(self.options["jitter"]))
        loss = self.spectral(made, wave)
        return self.adversary.add(loss, {}, made, wave) if self.adversary else (loss, {})

    def critic_loss(self) -> torch.Tensor:
        """What the discriminators minimise on the last sounds made."""
        return self.adversary.critic_loss()

    def validate(self) -> dict[str, float]:
        """Spectral loss and log-mel distance (nats) on held-out clips."""
        loss = mel = 0.0
        for clip in self.held_out:
            wave, log_f0, voiced = self._whole(clip)
            made = self.synthesise(wave, log_f0, voiced)
            loss += float(self.spectral(made, wave))
            mel += float((self.mel(made) - self.mel(wave)).abs().mean())
        return {"loss": loss / len(self.held_out), "mel": mel / len(self.held_out)}

    def _whole(self, clip: Clip) -> list[torch.Tensor]:
        parts = self.segment(clip, 0, -(-clip.samples // HOP))
        return [torch.from_numpy(part)[None].to(self.context.device) for part in parts]

    def samples(self, folder: Path, step: int) -> None:
        """Copy synthesis of two held-out clips."""
        for number, clip in enumerate(self.held_out[:2]):
            made = self.synthesise(*self._whole(clip))[0].cpu().numpy()
            write_audio(folder / f"{step:06d}-{number}.wav", Audio(np.clip(made, -1, 1), SAMPLE_RATE))

    def save(self, folder: Path) -> None:
        """Write the vocoder's weights; the codec stage takes them up into its decoder."""
        from unisono.files import save_tensors

        folder.mkdir(parents=True, exist_ok=True)
        save_tensors(folder / "model.safetensors", {k: v.contiguous() for k, v in self.module.state_dict().items()}, {})
