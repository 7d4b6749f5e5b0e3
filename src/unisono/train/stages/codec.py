"""Codec stage: encoder and decoder as an autoencoder with latent noise, judged on log-mel, pitch and voicing.

With `options.waveform` the vocoder inside the decoder is trained too, on the decoded features ("decoder stage"), and
with `options.freeze_encoder` or `options.freeze_decoder` one half keeps its weights.

Axes: B batch, N samples, L codec frames, M = 2L mel frames, T tokens, D vector width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from unisono.audio import write_audio
from unisono.audio.pitch import continuous_log_pitch
from unisono.files import load_tensors, read_json
from unisono.interface import Audio
from unisono.train.corpus import Clip, Selection
from unisono.train.critics import Adversary
from unisono.train.losses import MultiResolutionSTFT, feature_loss
from unisono.train.marks import Marks
from unisono.train.stages.base import Context, Stage, clip_order, from_config, options_of, padded_waves

SAMPLE_RATE = 24000
HOP = 480


class CodecBatch(NamedTuple):
    """Waves [B, N], frames [B], marks [B, L], log pitch and voicing [B, M]."""

    waves: torch.Tensor
    frames: torch.Tensor
    marks: torch.Tensor
    log_f0: torch.Tensor
    voiced: torch.Tensor


class CodecTask:
    """Encoder + decoder training (model: {encoder, decoder}; options: see __init__)."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context = context
        self.options = {
            "waveform": False,
            "freeze_encoder": False,
            "freeze_decoder": False,
            "segment": 50,
            "grow": [],
            "adversarial": {},
            "vocoder": "",
            "held_out_clips": 24,
        }
        self.options |= stage.options
        encoder, decoder = self._modules(stage)
        self.module = nn.ModuleDict({"encoder": encoder, "decoder": decoder}).to(context.device)
        self._freeze()
        self.spectral = MultiResolutionSTFT().to(context.device)
        self.adversary = Adversary.of(self.options["adversarial"], context.device)
        self.critic = self.adversary.critics if self.adversary else None
        selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
        self.marks = Marks.load(context.result("marks.safetensors"))
        self.clips = self.marks.good(selection.pick(context.corpus.clips))
        self.order = clip_order(context, stage, self.clips, [clip.frames for clip in self.clips])
        held = options_of(Selection, stage.data | {"split": "heldout"}, "data")
        self.held_out = self.marks.good(held.pick(context.corpus.clips))[: int(self.options["held_out_clips"])]

    def _modules(self, stage: Stage) -> tuple[nn.Module, nn.Module]:
        names = ("encoder", "decoder")
        if stage.init:
            folder = self.context.result(stage.init)
            encoder, decoder = (self._grown(folder / name, name, stage.model.get(name, {})) for name in names)
        else:
            encoder, decoder = (from_config(self.context.part(name), stage.model.get(name, {})) for name in names)
        if self.options["vocoder"]:
            tensors, _ = load_tensors(self.context.result(self.options["vocoder"]) / "model.safetensors")
            decoder.wav_decoder.vocoder.load_state_dict(tensors)
        return encoder, decoder

    def _grown(self, folder: Path, name: str, changes: dict[str, Any]) -> nn.Module:
        """A part from its files; `changes` to its config may add blocks, named in `options.grow`, that no file has."""
        module = from_config(self.context.part(name), read_json(folder / "config.json") | changes)
        tensors, _ = load_tensors(folder / "model.safetensors")
        grown = [key for key in module.state_dict() if key.startswith(tuple(self.options["grow"]))]
        module.load_state_dict({key: module.state_dict()[key] for key in grown} | tensors)
        return module

    def _freeze(self) -> None:
        # Without a waveform loss the vocoder gets no gradient; the encoder may be frozen by the recipe.
        if not self.options["waveform"]:
            self.module["decoder"].wav_decoder.vocoder.requires_grad_(False)
        if self.options["freeze_encoder"]:
            self.module["encoder"].requires_grad_(False)
        if self.options["freeze_decoder"]:
            self.module["decoder"].requires_grad_(False)

    def batch(self, step: int) -> CodecBatch:
        """The batch of a step, on the device."""
        return self.collate([self.clips[i] for i in self.order.batch(step)])

    def collate(self, clips: list[Clip]) -> CodecBatch:
        """Clips to padded tensors."""
        waves, frames = padded_waves(self.context.corpus, clips)
        length = int(frames.max())
        marks = torch.zeros(len(clips), length, dtype=torch.long)
        tracks = np.full((2, len(clips), 2 * length), 5.3, np.float32)
        tracks[1] = 0
        for row, clip in enumerate(clips):
            marks[row, self.marks.positions(clip) - 1] = 1
            log_f0, voiced = continuous_log_pitch(self.context.corpus.pitch(clip))
            tracks[0, row, : len(log_f0)], tracks[1, row, : len(voiced)] = log_f0, voiced
        parts = waves, frames, marks, torch.from_numpy(tracks[0]), torch.from_numpy(tracks[1])
        return CodecBatch(*(part.to(self.context.device) for part in parts))

    def reconstruct(self, batch: CodecBatch, noise: bool) -> tuple[torch.Tensor, ...]:
        """Decoded (log-mel [B, F, M], log pitch [B, M], voicing logits [B, M]) of a batch."""
        encoder, decoder = self.module["encoder"], self.module["decoder"]
        length = batch.marks.shape[1]
        encoded = encoder.frames(batch.waves, batch.marks)[:, :length]
        expanded = encoded * batch.marks[..., None]
        if noise and encoder.config.std:
            expanded = expanded + encoder.config.std * torch.randn_like(expanded) * batch.marks[..., None]
        return decoder.wav_decoder.features(decoder.hidden(expanded, batch.marks))

    def wanted(self, batch: CodecBatch) -> tuple[torch.Tensor, ...]:
        """True (standardised log-mel, log pitch, voicing 0/1)."""
        stacked = self.module["encoder"].wav_encoder.mel
        mel = (stacked.mel(batch.waves) - stacked.center) / stacked.scale
        return mel, batch.log_f0, batch.voiced

    def loss(self, batch: CodecBatch) -> tuple[torch.Tensor, dict[str, float]]:
        """Feature loss, plus the spectral loss of random segments of decoded sound in the waveform stage."""
        made, wanted = self.reconstruct(batch, noise=True), self.wanted(batch)
        loss, numbers = feature_loss(made, wanted, self._inside(batch))
        if self.options["waveform"]:
            sound, wave = self._segments(batch, made)
            spectral = self.spectral(sound, wave)
            loss, numbers = loss + spectral, numbers | {"spectral": float(spectral.detach())}
            if self.adversary:
                loss, numbers = self.adversary.add(loss, numbers, sound, wave)
        return loss, numbers

    def critic_loss(self) -> torch.Tensor:
        """What the discriminators minimise on the last sounds made."""
        return self.adversary.critic_loss()

    def _inside(self, batch: CodecBatch) -> torch.Tensor:
        index = torch.arange(batch.log_f0.shape[1], device=batch.frames.device)
        return (index[None] < 2 * batch.frames[:, None]).float()

    def _segments(self, batch: CodecBatch, made: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """Vocode one random segment of each clip from decoded features (true pitch, so that harmonics line up)."""
        frames = 2 * min(int(self.options["segment"]), int(batch.frames.min()))
        hop = HOP // 2
        mels, waves, tones, gates = [], [], [], []
        for row in range(len(batch.frames)):
            first = int(torch.randint(0, 2 * int(batch.frames[row]) - frames + 1, (1,)))
            span = slice(first, first + frames)
            mels.append(made[0][row, :, span])
            gates.append(made[2][row, span].sigmoid())
            tones.append(batch.log_f0[row, span])
            waves.append(batch.waves[row, first * hop : (first + frames) * hop])
        wave = torch.stack(waves)
        vocoder = self.module["decoder"].wav_decoder.vocoder
        sound = vocoder(torch.stack(mels), torch.stack(tones), torch.stack(gates), torch.randn_like(wave))
        return sound, wave

    def validate(self) -> dict[str, float]:
        """Feature losses on held-out clips without latent noise; mel is in standardised units (× 2.5 = nats)."""
        totals: dict[str, float] = {}
        for start in range(0, len(self.held_out), 8):
            clips = self.held_out[start : start + 8]
            batch = self.collate(clips)
            loss, numbers = feature_loss(self.reconstruct(batch, noise=False), self.wanted(batch), self._inside(batch))
            for key, value in (numbers | {"loss": float(loss)}).items():
                totals[key] = totals.get(key, 0.0) + value * len(clips) / len(self.held_out)
        return totals

    def samples(self, folder: Path, step: int) -> None:
        """decode(encode()) of two held-out clips."""
        for number, clip in enumerate(self.held_out[:2]):
            mel, log_f0, voicing = self.reconstruct(self.collate([clip]), noise=False)
            sound = self.module["decoder"].wav_decoder.vocoder(mel, log_f0, voicing.sigmoid())
            wave = sound[0].float().cpu().numpy().clip(-1, 1)
            write_audio(folder / f"{step:06d}-{number}.wav", Audio(wave, SAMPLE_RATE))

    def save(self, folder: Path) -> None:
        """Write `encoder/` and `decoder/`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.module["encoder"].save_pretrained(folder / "encoder")
        self.module["decoder"].save_pretrained(folder / "decoder")
