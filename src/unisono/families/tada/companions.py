"""Parts in other files that the published classes find by themselves when a call first needs them (TADA).

An `Encoder` called with a text needs an aligner and a tokenizer, `TadaForCausalLM.generate` a tokenizer, a decoder and,
for one scorer, the speaker network. Where `from_pretrained` made them, these parts are looked for at the same place, as
the published classes do. Nothing is loaded before it is used, and what was attached by hand comes first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch import nn

from unisono.errors import InputError
from unisono.families.languages import check_language
from unisono.files import Checkpoint

if TYPE_CHECKING:
    from unisono.interface import Tokenizer


class Codec(NamedTuple):
    """Folder or hub name that holds the parts of a codec, and the language whose aligner is wanted."""

    place: Path
    language: str


class FindsAligner(Checkpoint):
    """Mixin of the encoder: its aligner and tokenizer are attached, or found beside the file it was loaded from."""

    codec: Codec | None = None  # where parts that were not attached are looked for; None = nowhere
    _helpers: tuple = ()  # never stored: a tuple hides modules from state_dict and from moves to other devices

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, subfolder: str = "", *place: Any, language: str | None = None, **rest: Any
    ) -> Self:
        """`Checkpoint.from_pretrained`, in which `language` picks the aligner; None = English."""
        language = check_language(language or "en")
        encoder = super().from_pretrained(name_or_path, subfolder, *place, **rest)
        encoder.codec = Codec(codec_of(name_or_path, subfolder), language)
        return encoder

    def attach(self, aligner: nn.Module, tokenizer: object) -> Self:
        """Give the aligner and tokenizer that `forward` needs when called with text; returns self."""
        self._helpers = (aligner, tokenizer)
        return self

    @property
    def aligner(self) -> nn.Module:
        """The aligner, on this module's device. Raises InputError when there is none, CheckpointError as its loader."""
        aligner, device = self._helper(0), next(self.parameters()).device
        weight = next(aligner.parameters(), None)
        return aligner if weight is None or weight.device == device else aligner.to(device)

    @property
    def tokenizer(self) -> object:
        """The tokenizer. Raises as `aligner`."""
        return self._helper(1)

    def _helper(self, index: int) -> Any:
        if not self._helpers:
            if self.codec is None:
                raise InputError("this encoder has no aligner: attach one, or give token_positions and token_masks")
            self.attach(*aligner_of(*self.codec, next(self.parameters()).device))
        return self._helpers[index]


def codec_of(name_or_path: str | Path, subfolder: str) -> Path:
    """The codec that a part belongs to: what was named, without the part's own folder."""
    path = Path(name_or_path).expanduser()
    return path if subfolder or not path.is_dir() else path.resolve().parent


def aligner_of(codec: Path, language: str, device: torch.device) -> tuple[nn.Module, Tokenizer]:
    """Aligner and tokenizer for a codec. Raises CheckpointError when one is not to be had, naming what to fetch."""
    from unisono.families.tada.recordings import load_aligner

    tokenizer = tokenizer_of(codec)
    aligner = load_aligner(codec, language, tokenizer, str(device))
    aligner.tokenizer = tokenizer
    return aligner, tokenizer


def tokenizer_of(folder: Path) -> Tokenizer:
    """The tokenizer in a folder, else that of Llama 3.2. Raises CheckpointError as `loading.find_tokenizer`."""
    from unisono.families.tada.loading import find_tokenizer

    return find_tokenizer(folder)


def part_of(model: Path, name: str, device: torch.device) -> Any:
    """What `generate` needs beside the language model in folder `model`: "tokenizer", "decoder", "speaker_scorer".

    Raises:
        CheckpointError: it is not to be had; the sentence names what to fetch.
    """
    from unisono.families.tada.decoder import Decoder
    from unisono.families.tada.loading import SCORER, find_codec
    from unisono.families.tada.speaker import AcousticSpkrVerf

    if name == "tokenizer":
        return tokenizer_of(model)
    part, subfolder = {"decoder": (Decoder, "decoder"), "speaker_scorer": (AcousticSpkrVerf, SCORER)}[name]
    return part.from_pretrained(find_codec(model), subfolder=subfolder, device=device)
