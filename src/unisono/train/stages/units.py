"""Unit stages: the quantiser and its way back to sound; then the units and voice prints of every clip.

The way back ends in the built-in decoder's source-filter head, which stays as it is. Besides log-mel, pitch and voicing
the built-in aligner judges: what it makes of decoded log-mel should be what it makes of the recording's, so that speech
stays understood.

Axes: B batch, N samples, L frames, M = 2L mel frames, D digits, S width of a voice print, A all frames of all clips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unisono.align.mel_ctc import MelCTC, remove_mean
from unisono.audio import write_audio
from unisono.audio.mel import stack_pairs
from unisono.audio.pitch import continuous_log_pitch
from unisono.audio.speaker import voice_print
from unisono.families.tada.aligner import Aligner
from unisono.families.tada.decoder import Decoder
from unisono.families.taste.sound.unit_codec import UnitCodec
from unisono.files import load_tensors, save_tensors
from unisono.interface import Audio
from unisono.train.corpus import Clip, Corpus, Selection
from unisono.train.losses import feature_loss, masked_mean
from unisono.train.stages.base import BUILTIN, Context, Stage, clip_order, from_config, options_of, padded_waves
from unisono.train.stages.extract import batches

SAMPLE_RATE = 24000


@dataclass
class Options:
    """What the stage can be told beside the codec's config.

    Attributes:
        shared: the model whose decoder and aligner are used, a folder of the run or "builtin".
        hearing: weight of the aligner's judgement. print_noise: deviation of noise on voice prints.
        jitter: chance that a digit is one step off in training: a language model of units will not be exact either.
        spread: weight of how unevenly the values of a digit are used, in nats: values that are hardly used say little.
    """

    shared: str = BUILTIN
    hearing: float = 1.0
    print_noise: float = 0.1
    jitter: float = 0.03
    spread: float = 0.0
    held_out_clips: int = 24


class Prints:
    """Voice prints of clips, float32 [S], kept after the first use."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.kept = corpus, {}

    def of(self, clips: list[Clip]) -> torch.Tensor:
        """[B, S]."""
        for clip in clips:
            if clip.index not in self.kept:
                found = voice_print(Audio(self.corpus.wave(clip), SAMPLE_RATE))
                self.kept[clip.index] = torch.from_numpy(found.astype(np.float32))
        return torch.stack([self.kept[clip.index] for clip in clips])


class UnitCodecTask:
    """Training of `UnitCodec` (init: one to go on from; model: its config; options: fields of `Options`)."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.critic = context, None
        self.options = options_of(Options, stage.options, f"options of {stage.folder_name}")
        begun = UnitCodec.from_pretrained(context.result(stage.init), **stage.model).train() if stage.init else None
        self.module = (begun or from_config(UnitCodec, stage.model)).to(context.device)
        shared = self.options.shared
        decoder = Decoder.from_pretrained(context.result(f"{shared}/decoder")).requires_grad_(False)
        aligner = Aligner.from_pretrained(context.result(f"{shared}/aligner")).requires_grad_(False)
        self.head = decoder.to(context.device).wav_decoder
        self.ear: MelCTC = aligner.to(context.device).encoder
        self.prints = Prints(context.corpus)
        selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
        self.clips = selection.pick(context.corpus.clips)
        self.order = clip_order(context, stage, self.clips, [clip.frames for clip in self.clips])
        held = options_of(Selection, stage.data | {"split": "heldout"}, "data")
        self.held_out = held.pick(context.corpus.clips)[: self.options.held_out_clips]

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of a step, on the device."""
        return self.collate([self.clips[i] for i in self.order.batch(step)])

    def collate(self, clips: list[Clip]) -> dict[str, torch.Tensor]:
        """Clips to waves [B, N], frames [B], prints [B, S], log pitch and voicing [B, M]."""
        waves, frames = padded_waves(self.context.corpus, clips)
        length = 2 * int(frames.max())
        log_f0, voiced = np.full((len(clips), length), 5.3, np.float32), np.zeros((len(clips), length), np.float32)
        for row, clip in enumerate(clips):
            track, gate = continuous_log_pitch(self.context.corpus.pitch(clip))
            log_f0[row, : len(track)], voiced[row, : len(gate)] = track, gate
        parts = {"waves": waves, "frames": frames, "prints": self.prints.of(clips)}
        parts |= {"log_f0": torch.from_numpy(log_f0), "voiced": torch.from_numpy(voiced)}
        return {name: part.to(self.context.device) for name, part in parts.items()}

    def judge(self, batch: dict[str, torch.Tensor], training: bool) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss of sound through units, and its parts."""
        codec, prints = self.module, batch["prints"]
        exact = codec.digits(batch["waves"])
        digits = given = codec.round(exact)
        if training:
            prints = prints + self.options.print_noise * torch.randn_like(prints)
            given = jittered(digits, codec.levels, self.options.jitter)
        made = self.head.features(codec.hidden(given, prints))
        mel = codec.front.mel
        true = (mel.mel(batch["waves"]) - mel.center) / mel.scale
        frames = batch["frames"]
        inside = torch.arange(true.shape[-1], device=frames.device)[None] < 2 * frames[:, None]
        loss, numbers = feature_loss(made, (true, batch["log_f0"], batch["voiced"]), inside.float())
        heard = self.hearing(made[0], true, frames)
        uneven = unevenness(exact, codec.levels, inside[:, ::2])
        numbers |= {
            "hearing": float(heard.detach()),
            "units": float(self.used(digits)),
            "uneven": float(uneven.detach()),
        }
        return loss + self.options.hearing * heard + self.options.spread * uneven, numbers

    def hearing(self, made: torch.Tensor, true: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """How differently the aligner hears decoded and true log-mel [B, F, M]: relative squared error of its hidden
        frames."""
        heard, wanted = (self._heard(mel, frames) for mel in (made, true))
        inside = (torch.arange(heard.shape[1], device=frames.device)[None] < frames[:, None]).float()[..., None]
        return masked_mean((heard - wanted).square(), inside) / masked_mean(wanted.square(), inside)

    def _heard(self, mel: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Log-mel [B, F, M] -> the aligner's hidden frames [B, L, C]."""
        self.ear.eval()
        return self.ear.hidden(remove_mean(stack_pairs(mel), frames))[-1].float()

    def used(self, digits: torch.Tensor) -> float:
        """Perplexity of the batch's units: how many of them are in use, evenly counted."""
        units = (digits.detach().round().long() * self.module.places).sum(-1).flatten()
        share = torch.bincount(units, minlength=self.module.vocabulary).float() / len(units)
        return float(torch.exp(-(share * share.clamp_min(1e-9).log()).sum()))

    def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Feature loss and hearing."""
        return self.judge(batch, training=True)

    def validate(self) -> dict[str, float]:
        """Losses on held-out clips."""
        totals: dict[str, float] = {}
        for start in range(0, len(self.held_out), 8):
            clips = self.held_out[start : start + 8]
            loss, numbers = self.judge(self.collate(clips), training=False)
            for key, value in (numbers | {"loss": float(loss)}).items():
                totals[key] = totals.get(key, 0.0) + value * len(clips) / len(self.held_out)
        return totals

    def samples(self, folder: Path, step: int) -> None:
        """Two held-out clips through their units."""
        for number, clip in enumerate(self.held_out[:2]):
            batch = self.collate([clip])
            wave = self.module.decode(self.module.encode(batch["waves"]), batch["prints"], self.head)
            write_audio(folder / f"{step:06d}-{number}.wav", Audio(wave[0].cpu().numpy().clip(-1, 1), SAMPLE_RATE))

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        self.module.save_pretrained(folder)


def jittered(digits: torch.Tensor, levels: torch.Tensor, chance: float) -> torch.Tensor:
    """Digits [B, L, D], some of them one step off, none beyond its levels [D]."""
    step = torch.where(torch.rand_like(digits) < 0.5, -1.0, 1.0) * (torch.rand_like(digits) < chance)
    return digits + ((digits + step).clamp_min(0).minimum(levels - 1.0) - digits).detach()


def unevenness(digits: torch.Tensor, levels: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """How far the values of the digits are from being used equally often: nats of the largest entropy less their own,
    mean over digits; a value between two levels counts for both.

    Args:
        digits: before rounding [B, L, D]. levels: int64 [D]. inside: bool [B, L], frames that count.
    """
    short = []
    for digit, level in zip(digits[inside].unbind(-1), levels.tolist(), strict=True):
        near = (1 - (digit[:, None] - torch.arange(level, device=digit.device)).abs()).clamp_min(0)  # [frames, level]
        share = near.mean(0)
        short.append(math.log(level) + (share * share.clamp_min(1e-6).log()).sum())
    return torch.stack(short).mean()


@dataclass
class ClipUnits:
    """Units of clips, one after another, int16 [A]; `starts` int64 [clips + 1]; `prints` float16 [clips, S]."""

    units: np.ndarray
    starts: np.ndarray
    prints: np.ndarray

    @classmethod
    def load(cls, path: Path) -> ClipUnits:
        """Read what `extract_units` wrote. Raises CheckpointError for a damaged file."""
        tensors, _ = load_tensors(path)
        return cls(**{name: value.numpy() for name, value in tensors.items()})

    def has(self, clip: Clip) -> bool:
        """Whether this clip was among those that were read."""
        return self.starts[clip.index + 1] > self.starts[clip.index]

    def of(self, clip: Clip) -> np.ndarray:
        """Units int64 [L] of a clip."""
        return self.units[self.starts[clip.index] : self.starts[clip.index + 1]].astype(np.int64)

    def speaker(self, clip: Clip) -> np.ndarray:
        """Voice print float32 [S] of a clip."""
        return self.prints[clip.index].astype(np.float32)


@torch.inference_mode()
def extract_units(context: Context, stage: Stage) -> None:
    """Write `units.safetensors`: units and voice prints of the clips that the stage's data name.

    Options: per_speaker, the most clips of a speaker (all without it). init: the codec, default "units/final".
    """
    from tqdm import tqdm

    options = {"per_speaker": 10**9} | stage.options
    codec = UnitCodec.from_pretrained(context.result(stage.init or "units/final")).to(context.device)
    selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
    chosen = _few_of_each(selection, context.corpus.clips, int(options["per_speaker"]))
    found: dict[int, np.ndarray] = {}
    prints = torch.zeros(len(context.corpus.clips), codec.config.speaker_dim, dtype=torch.float16)
    memory = Prints(context.corpus)
    for clips in tqdm(batches(chosen), desc="units", unit="batch", disable=None):
        waves, _ = padded_waves(context.corpus, clips)
        units = codec.encode(waves.to(context.device)).cpu().numpy()
        prints[[clip.index for clip in clips]] = memory.of(clips).half()
        for row, clip in enumerate(clips):
            found[clip.index] = units[row, : clip.frames].astype(np.int16)
    rows = [found.get(clip.index, np.zeros(0, np.int16)) for clip in context.corpus.clips]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    tensors = {"units": torch.from_numpy(np.concatenate(rows)), "starts": torch.from_numpy(starts), "prints": prints}
    save_tensors(context.folder / "units.safetensors", tensors, {})


def _few_of_each(selection: Selection, clips: list[Clip], most: int) -> list[Clip]:
    """The first `most` clips of each speaker with weight, of both splits, that are neither too short nor too long."""
    counts: dict[tuple[str, str], int] = {}
    kept = []
    low, high = selection.min_seconds * SAMPLE_RATE, selection.max_seconds * SAMPLE_RATE
    for clip in clips:
        key = clip.speaker, clip.split
        if selection.weight(clip.speaker) > 0 and low <= clip.samples <= high and counts.get(key, 0) < most:
            counts[key] = counts.get(key, 0) + 1
            kept.append(clip)
    return kept
