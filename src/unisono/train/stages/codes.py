"""Stage that reads the corpus once: the codes of every clip, by the codec of the run.

Axes: A frames of all clips, T frames of a clip, Q code books.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from unisono.errors import TrainingError
from unisono.files import load_tensors, save_tensors
from unisono.train.corpus import Clip, Selection
from unisono.train.stages.base import Context, Stage, options_of
from unisono.train.stages.code_codec import clip_wave

LEAST_BITS = 1.0  # of entropy that the codes of the first book must have
FILE = "codes.safetensors"
CODEC = "code_codec/final"


@dataclass(frozen=True)
class Codes:
    """Codes of a corpus: `codes` int32 [A, Q], and where each clip's begin, int64 [clips + 1]."""

    codes: torch.Tensor
    starts: torch.Tensor

    @classmethod
    def load(cls, path: Path) -> Codes:
        """Read a file that the stage wrote. Raises CheckpointError when it is damaged."""
        tensors, _ = load_tensors(path)
        return cls(tensors["codes"], tensors["starts"])

    def of(self, clip: Clip) -> torch.Tensor:
        """Codes int64 [T, Q] of a clip; none of one that was left out."""
        return self.codes[self.starts[clip.index] : self.starts[clip.index + 1]].long()


def check_use(codes: torch.Tensor) -> None:
    """Refuse codes [A] of the first book that say next to nothing. Raises TrainingError."""
    shares = torch.bincount(codes.long()).double() / len(codes)
    bits = float(-torch.special.xlogy(shares, shares).sum() / math.log(2))
    if bits < LEAST_BITS:
        raise TrainingError(
            f"the codec has collapsed: {int((shares > 0).sum())} codes are in use and carry {bits:.2f} bits each; "
            "train it with freeze_encoder, more steps or a lower learning rate"
        )


def extract_codes(context: Context, stage: Stage) -> None:
    """Encode the clips that the stage's data selects, and write `codes.safetensors`.

    Raises:
        TrainingError: a codec that writes the same code everywhere.
    """
    from tqdm import tqdm

    module = context.family.passages.load_codec(context.result(stage.init or CODEC)).to(context.device)
    codec = context.family.passages.wrap_codec(module)
    chosen = {
        clip.index
        for split in ("train", "heldout")
        for clip in options_of(Selection, stage.data | {"split": split}, "data of codes").pick(context.corpus.clips)
    }
    found, starts = [], [0]
    for clip in tqdm(context.corpus.clips, desc="codes", unit="clip", disable=None):
        if clip.index in chosen:
            found.append(codec.encode(clip_wave(context, clip, codec.sample_rate)).int())
        starts.append(starts[-1] + (len(found[-1]) if clip.index in chosen else 0))
    check_use(torch.cat(found)[:, 0])
    save_tensors(context.folder / FILE, {"codes": torch.cat(found), "starts": torch.tensor(starts)}, {})
