"""What every stage is given, and the table of stages."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unisono.errors import TrainingError
from unisono.interface import Family, Tokenizer
from unisono.train.corpus import BucketedOrder, Clip, Corpus, Selection

HOP = 480


@dataclass
class Stage:
    """One stage as a recipe states it.

    Attributes:
        stage: key of `STAGES`. name: folder of its results (default: the stage's key).
        model: config keys of the module(s) trained. options: the stage's own settings.
        data: fields of `Selection`. optimizer: fields of `Settings`. init: folder of weights to begin from.
        batch: frames a batch (tokens for the language model).
    """

    stage: str
    name: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    init: str = ""
    batch: int = 1600

    @property
    def folder_name(self) -> str:
        """Name of the stage's folder inside the run."""
        return self.name or self.stage


@dataclass
class Context:
    """What a stage may use: the corpus, the tokenizer, the folder of the run, the device and the seed."""

    corpus: Corpus
    tokenizer: Tokenizer
    tokenizer_folder: Path
    folder: Path
    device: torch.device
    seed: int
    family: Family

    def part(self, name: str) -> Any:
        """The family's checkpoint class of a part: "encoder", "decoder", "aligner", "" for the language model."""
        return self.family.parts[name]

    def result(self, name: str) -> Path:
        """Folder or file of an earlier stage. Raises TrainingError when that stage has not run."""
        path = self.folder / name
        if not path.exists():
            raise TrainingError(f"{path} is missing; the stage that makes it has to come first in the recipe")
        return path


# stage -> "module:builder". A builder takes (Context, Stage); training stages return a loop.Task, others do their
# work and return None.
STAGES: Mapping[str, str] = {
    "aligner": "unisono.train.stages.aligner:AlignerTask",
    "marks": "unisono.train.stages.extract:extract_marks",
    "codec": "unisono.train.stages.codec:CodecTask",
    "vocoder": "unisono.train.stages.vocoder:VocoderTask",
    "vectors": "unisono.train.stages.extract:extract_vectors",
    "language_model": "unisono.train.stages.language_model:LanguageModelTask",
    "distill": "unisono.train.stages.distill:DistillTask",
    "package": "unisono.train.stages.package:package",
    # Families of codes at a fixed rate
    "code_codec": "unisono.train.stages.code_codec:CodeCodecTask",
    "codes": "unisono.train.stages.codes:extract_codes",
    "code_model": "unisono.train.stages.code_model:CodeModelTask",
    "code_package": "unisono.train.stages.code_package:package_codes",
}


def stage_builder(name: str) -> Callable[[Context, Stage], Any]:
    """The builder of a stage. Raises TrainingError for an unknown name."""
    if name not in STAGES:
        raise TrainingError(f"unknown stage {name!r} in the recipe; known are {', '.join(STAGES)}")
    module, attribute = STAGES[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def options_of(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """Build a dataclass from recipe keys. Raises TrainingError that lists an unknown key and the known ones."""
    known = {f.name for f in fields(kind)}
    strange = sorted(set(values) - known)
    if strange:
        raise TrainingError(f"unknown key {strange[0]!r} in {where}; known are {', '.join(sorted(known))}")
    return kind(**values)


def clip_order(context: Context, stage: Stage, clips: list[Clip], lengths: list[int]) -> BucketedOrder:
    """Batches over `clips` by `lengths`, each clip as often as its speaker's weight says."""
    selection = options_of(Selection, stage.data, f"data of {stage.folder_name}")
    weights = [selection.weight(clip.speaker) for clip in clips]
    return BucketedOrder(lengths, weights, stage.batch, context.seed)


def padded_waves(corpus: Corpus, clips: list[Clip]) -> tuple[torch.Tensor, torch.Tensor]:
    """Waves [B, N] zero-padded to whole frames, and frames [B]."""
    frames = torch.tensor([clip.frames for clip in clips])
    waves = np.zeros((len(clips), int(frames.max()) * HOP), np.float32)
    for row, clip in enumerate(clips):
        waves[row, : clip.samples] = corpus.wave(clip)
    return torch.from_numpy(waves), frames


def spoken_text(text: str) -> str:
    """The text as models trained here see it: a leading space carries the silence before the first word."""
    from unisono.text import normalize

    return " " + normalize(text, style="plain", language="en").spoken.strip()


def from_config(kind: type, values: Mapping[str, Any]) -> Any:
    """A new module of a checkpoint class from recipe keys. Raises CheckpointError for unknown ones."""
    from unisono.files.checkpoint import build_config

    return kind(build_config(kind.config_class, values, Path("the recipe's model")))
