"""TASTE's first three stages on our units: 1-1 text only, 1-2 with speech vectors, 1-3 with codes; then the codes.

One task for all three, told apart by the options `audio` and `quantise` (spec section 3.1). Deviations for one hour of
speech, all options: guides on known marks (`guides.py`), attention near the marks (`families/taste/nearby.py`), AdamW
with our loop's schedule, code books that begin with the rows of many batches.

Axes: B batch, A text tokens, S units (= frames), F features, Q codes, N all words of all clips.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from unisono.align.mel_ctc import remove_mean
from unisono.audio.mel import StackedMel
from unisono.codec.quantisers import ResidualVQ
from unisono.errors import TrainingError
from unisono.families.taste.config import TasteConfig
from unisono.families.taste.model import AutoEncoded, TasteForCausalLM
from unisono.families.taste.nearby import near_marks
from unisono.families.taste.tower import length_mask
from unisono.files import load_tensors, save_tensors
from unisono.files.checkpoint import few
from unisono.interface import Tokenizer
from unisono.train.corpus import Clip, Selection
from unisono.train.marks import Marks
from unisono.train.stages.base import Context, Stage, clip_order, from_config, options_of, padded_waves
from unisono.train.stages.extract import batches
from unisono.train.stages.guides import make_guide
from unisono.train.stages.units import ClipUnits

TRAINED = ("audio_segmenter", "speech_decoder")  # published; stage 1-3 adds the quantiser
SPEECH = "audio_tower.audio_joint_encoder_segmenter.audio_encoder.encoder."
START_BATCHES = 60  # whose rows the code books begin with


@dataclass
class Options:
    """What a stage can be told.

    Attributes:
        audio: whether the unit decoder hears speech vectors (1-2, 1-3), quantise: whether as codes (1-3).
        trained, frozen: regular expressions of parameter names; `frozen` wins. Default as published.
        aligner: whose weights the encoder starts from, where there is no `init`.
        window: frames around its marks that a token may attend; 0 = all frames, as published.
        guide: weight of the guide on known marks; 0 = none, as published.
        marks, units: files of the run that made them.
        fresh: regular expressions of names that begin anew where `init` is a model with other parts; `model` then says
            what is other, key by key within its sections.
    """

    audio: bool = True
    quantise: bool = True
    trained: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    aligner: str = "builtin/aligner"
    window: int = 10
    guide: float = 0.5
    marks: str = "marks.safetensors"
    units: str = "units.safetensors"
    held_out_clips: int = 24
    fresh: list[str] = field(default_factory=list)


class TasteTask:
    """Training of the speech autoencoder (model: sections of `TasteConfig`; options: fields of `Options`)."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.context, self.critic = context, None
        self.options = options_of(Options, stage.options, f"options of {stage.folder_name}")
        self.data = TasteData(context, self.options)
        self.module = _model(context, stage, self.options).to(context.device)
        _choose_trained(self.module, self.options)
        self.guide = make_guide(self.module.speech_decoder)
        selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
        self.clips = self.data.usable(selection.pick(context.corpus.clips))
        self.order = clip_order(context, stage, self.clips, [clip.frames for clip in self.clips])
        held = options_of(Selection, stage.data | {"split": "heldout"}, "data")
        self.held_out = self.data.usable(held.pick(context.corpus.clips))[: self.options.held_out_clips]
        if self.options.quantise:
            self._begin_code_books()

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The batch of a step, on the device."""
        return self.data.collate([self.clips[i] for i in self.order.batch(step)])

    def run(self, batch: dict[str, torch.Tensor]) -> tuple[AutoEncoded, torch.Tensor]:
        """The model's losses, and the guide's."""
        lengths = batch["asr_token_lengths"], batch["speech_token_lengths"]
        if self.options.guide:
            self.guide.tell(batch["positions"], *lengths)
        texts = {name: batch[name] for name in ("asr_token_ids", "asr_token_lengths", "asr_word_ids")}
        made = self.module(
            **texts,
            speaker_embeds=batch["speaker_embeds"],
            speech_token_ids=batch["speech_token_ids"],
            speech_token_lengths=batch["speech_token_lengths"],
            audio_features=batch["audio_features"] if self.options.audio else None,
            skip_audio=not self.options.audio,
            skip_vq=not self.options.quantise,
            allowed=batch["allowed"] if self.options.audio else None,
        )
        return made, self.guide.loss(batch["positions"], *lengths)

    def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """Cross-entropy of units (or its bound) and commitment as published, and the guide."""
        made, guide = self.run(batch)
        return made.loss + self.options.guide * guide, self._numbers(made, guide)

    def _numbers(self, made: AutoEncoded, guide: torch.Tensor) -> dict[str, float]:
        """`unit_accuracy` is the published metric: the share of labelled units that are the likeliest."""
        labels = made.units.labels
        kept = labels >= 0
        right = (made.units.logits.detach().argmax(-1) == labels)[kept].float().mean()
        numbers = {"units": float(made.units.loss.detach()), "unit_accuracy": float(right)}
        numbers["guide"] = float(guide.detach())
        if made.heard is not None and made.heard.losses is not None:
            numbers["commitment"] = float(made.heard.losses.sum().detach())
        return numbers

    def validate(self) -> dict[str, float]:
        """The same numbers on held-out clips, at fixed draws."""
        totals: dict[str, float] = {}
        with torch.random.fork_rng():
            torch.manual_seed(1)
            for start in range(0, len(self.held_out), 8):
                clips = self.held_out[start : start + 8]
                loss, numbers = self.loss(self.data.collate(clips))
                for key, value in (numbers | {"loss": float(loss)}).items():
                    totals[key] = totals.get(key, 0.0) + value * len(clips) / len(self.held_out)
        return totals

    def samples(self, folder: Path, step: int) -> None:
        """Sound needs the whole chain: `unisono decode` after the package stage."""

    def save(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        self.module.save_pretrained(folder)

    @torch.no_grad()
    def _begin_code_books(self) -> None:
        """k-means on the rows of many batches: one batch of short clips has fewer words than a book has entries."""
        quantiser = self.module.audio_tower.quantiser
        if not isinstance(quantiser, ResidualVQ) or bool(quantiser.layers[0]._codebook.initted):
            return
        rows = []
        for step in range(START_BATCHES):
            batch = self.batch(step)
            states = self.module.audio_tower.audio_joint_encoder_segmenter(
                *(batch[name] for name in ("audio_features", "asr_token_ids", "asr_token_lengths", "asr_word_ids")),
                batch["allowed"],
            ).states
            rows.append(states[length_mask(batch["asr_token_lengths"], states.shape[1])])
        quantiser.train()(torch.cat(rows)[None], cutoff=len(quantiser.sizes) - 1)
        # The loop starts again at batch 0, and its order only goes forward.
        self.order = type(self.order)(self.order.lengths, self.order.weights, self.order.budget, self.order.seed)


class TasteData:
    """Clips as the model reads them: text with word ids, features, units, voice print, marks."""

    def __init__(self, context: Context, options: Options) -> None:
        self.context, self.window = context, options.window
        self.marks = Marks.load(context.result(options.marks))
        self.units = ClipUnits.load(context.result(options.units))
        self.mel = StackedMel().to(context.device)
        self.starts = word_starts(context.tokenizer)

    def usable(self, clips: list[Clip]) -> list[Clip]:
        """Clips that are well aligned and have units."""
        return [clip for clip in self.marks.good(clips) if self.units.has(clip)]

    def words(self, clip: Clip) -> np.ndarray:
        """Word ids int64 [A] of a clip's tokens."""
        return (self.starts[self.marks.tokens(clip)].cumsum() - 1).clip(0)

    def collate(self, clips: list[Clip]) -> dict[str, torch.Tensor]:
        """Arguments of `TasteForCausalLM.forward`, marks `positions` [B, A] and `allowed` [B, A, S] beside them."""
        waves, frames = padded_waves(self.context.corpus, clips)
        device = self.context.device
        with torch.no_grad():
            features = remove_mean(self.mel(waves.to(device)), frames.to(device)).transpose(1, 2)

        def padded(rows: list[np.ndarray]) -> torch.Tensor:
            return pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)

        tokens, units = [self.marks.tokens(clip) for clip in clips], [self.units.of(clip) for clip in clips]
        positions = padded([self.marks.positions(clip) for clip in clips])
        lengths = torch.tensor([len(row) for row in tokens])
        parts = {
            "asr_token_ids": padded(tokens),
            "asr_token_lengths": lengths,
            "asr_word_ids": padded([self.words(clip) for clip in clips]),
            "speech_token_ids": padded(units),
            "speech_token_lengths": torch.tensor([len(row) for row in units]),
            "speaker_embeds": torch.from_numpy(np.stack([self.units.speaker(clip) for clip in clips])),
            "positions": positions,
        }
        window = self.window or features.shape[1]  # without one, all frames of the clip
        parts["allowed"] = near_marks(positions, lengths, frames, features.shape[1], window)
        return {name: part.to(device) for name, part in parts.items()} | {"audio_features": features}


def word_starts(tokenizer: Tokenizer) -> np.ndarray:
    """bool [V]: tokens that begin a word, because their text begins with a space."""
    return np.array([tokenizer.decode([index]).startswith(" ") for index in range(tokenizer.vocab_size)])


def _model(context: Context, stage: Stage, options: Options) -> TasteForCausalLM:
    """The model of the stage before, or a new one that hears like the aligner."""
    if stage.init and options.fresh:
        return _renewed(
            TasteForCausalLM.from_pretrained(context.result(stage.init)), stage.model, options.fresh
        ).train()
    if stage.init:
        return TasteForCausalLM.from_pretrained(context.result(stage.init), **stage.model).train()
    model = from_config(TasteForCausalLM, stage.model)
    tensors, _ = load_tensors(context.result(options.aligner) / "model.safetensors")
    kept = {name.removeprefix("encoder."): value.float() for name, value in tensors.items() if "lm_head" not in name}
    own = {name.removeprefix(SPEECH) for name in model.state_dict() if name.startswith(SPEECH)}
    encoder = model.get_submodule(SPEECH.rstrip("."))
    encoder.load_state_dict({name: value for name, value in kept.items() if name in own})
    return model


def _renewed(model: TasteForCausalLM, changes: dict[str, Any], fresh: list[str]) -> TasteForCausalLM:
    """A model like another one but for `changes` of its configuration; all names but the fresh ones keep their weights.

    Raises:
        TrainingError: a weight that shall be kept has no place, or another shape.
    """
    values = model.config.to_dict()
    sections = {name: {**values.get(name, {}), **section} for name, section in changes.items()}
    made = TasteForCausalLM(TasteConfig.from_dict({**values, **sections}))
    old, state = model.state_dict(), made.state_dict()
    kept = [name for name in state if not any(re.search(pattern, name) for pattern in fresh)]
    unlike = [name for name in kept if name not in old or old[name].shape != state[name].shape]
    if unlike:
        raise TrainingError(f"{few(unlike)}: no such weights in the model before; name them in `fresh`")
    made.load_state_dict(state | {name: old[name] for name in kept})
    return made


def _choose_trained(model: TasteForCausalLM, options: Options) -> None:
    """Only parameters whose name fits are trained; the encoder stays as the aligner made it."""
    wanted = options.trained or [*TRAINED, *([r"audio_tower\.vq"] if options.quantise else [])]
    if not options.audio:
        wanted = [pattern for pattern in wanted if pattern != "audio_segmenter"]  # nothing would reach it
    for name, parameter in model.named_parameters():
        chosen = any(re.search(pattern, name) for pattern in wanted)
        parameter.requires_grad_(chosen and not any(re.search(pattern, name) for pattern in options.frozen))


@torch.inference_mode()
def extract_codes(context: Context, stage: Stage) -> None:
    """Write `codes.safetensors`: code tuples int16 [N, Q] of the words of clips, `starts` int64 [clips + 1].

    The clips are those with units. init: the model, default "stage-1-3/final". options: `Options`, as in training.
    """
    from tqdm import tqdm

    model = TasteForCausalLM.from_pretrained(context.result(stage.init or "stage-1-3/final")).to(context.device)
    data = TasteData(context, options_of(Options, stage.options, f"options of {stage.folder_name}"))
    found: dict[int, np.ndarray] = {}
    for clips in tqdm(batches(data.usable(context.corpus.clips)), desc="codes", unit="batch", disable=None):
        batch = data.collate(clips)
        names = ("audio_features", "asr_token_ids", "asr_token_lengths", "asr_word_ids")
        codes = model.audio_tower(*(batch[name] for name in names), allowed=batch["allowed"]).codes.cpu().numpy()
        for row, clip in enumerate(clips):
            words = data.words(clip)
            first = np.diff(words, prepend=-1) != 0
            found[clip.index] = codes[row, : len(words)][first].astype(np.int16)
    width = next(iter(found.values())).shape[1]
    rows = [found.get(clip.index, np.zeros((0, width), np.int16)) for clip in context.corpus.clips]
    starts = torch.from_numpy(np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64))
    tensors: dict[str, Any] = {"codes": torch.from_numpy(np.concatenate(rows)), "starts": starts}
    save_tensors(context.folder / "codes.safetensors", tensors, {})
