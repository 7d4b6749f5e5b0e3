"""Training of Llasa: what stages of `train` ask of a family of codes, prompts to rows, labels, packing.

A row is the prompt of generation with the codes and the end mark behind it. Labels are the ids from the mark where
speech begins on; before it, and where the id is the one that pads (the end of a turn), nothing is learnt. So the model
learns when to end, as published.

Axes: B rows, P positions, N samples, T frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from unisono.families.fixed_rate.card import Card
from unisono.families.fixed_rate.loading import load_strictly
from unisono.families.llasa import building
from unisono.families.llasa.codec import XCodec
from unisono.families.llasa.loading import PUBLISHED, load_words
from unisono.families.llasa.prompt import PromptMaker
from unisono.families.llasa.vocabulary import read_vocabulary

DECODER = ("quantizer.project_out", "acoustic_decoder")  # weights of the codec between codes and sound
IGNORED = -100  # label that no loss counts
new_codec = building.new_codec
spread_codes = building.spread_codes
wrap_codec = XCodec
card = PUBLISHED


class Example(NamedTuple):
    """The ids of one utterance; speech begins at `start`, the place of its mark."""

    ids: list[int]
    start: int


class Text:
    """The text side of a run: tokenizer, vocabulary and prompts."""

    def __init__(self, tokenizer: Any, codes: int, speaker: str = "") -> None:
        self.tokenizer = tokenizer
        self.vocabulary = read_vocabulary(tokenizer, codes, "the tokenizer of this run")
        self.prompts = PromptMaker(tokenizer, self.vocabulary, speaker)

    def example(self, text: str, codes: torch.Tensor, longest: int) -> Example:
        """The row of a text and its codes [T, 1], cut to `longest` ids, which may cost the end mark."""
        prompt = self.prompts.ids(text)
        ids = [*prompt, *self.vocabulary.ids(codes[:, 0].tolist()), self.vocabulary.speech_end]
        return Example(ids[:longest], len(prompt) - 1)


def new_text(codes: int) -> Text:
    """A text side of bytes for a codec of so many codes."""
    return Text(building.new_tokenizer(codes), codes)


def load_text(folder: Path, codes: int) -> Text:
    """The text side of a model folder. Raises CheckpointError."""
    return Text(load_words(folder), codes)


def new_model(values: Mapping[str, Any], text: Text, codec: XCodec) -> Any:
    """A new Llama with the ids of `text`."""
    return building.new_model(values, text.tokenizer)


def load_model(folder: Path) -> Any:
    """The Llama of a folder. Raises CheckpointError."""
    from transformers import LlamaForCausalLM

    return load_strictly(LlamaForCausalLM, folder)


def load_codec(folder: Path) -> Any:
    """The X-Codec 2 of a folder. Raises CheckpointError."""
    from transformers import Xcodec2Model

    return load_strictly(Xcodec2Model, folder)


def reconstruct(codec: Any, waves: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Waves [B, N] through the codec and back, with gradients; there is no loss of the quantiser's own."""
    wrapped = XCodec(codec)
    # A zero is put behind every wave, as in encoding; one sample less keeps the number of frames.
    pairs = [wrapped.inputs(wave[:-1]) for wave in waves]
    values, features = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return codec(values, features).audio_values[:, 0], waves.new_zeros(())


def labels_of(example: Example, pad: int) -> list[int]:
    """Labels of an utterance, one for each id; transformers shifts them itself."""
    return [IGNORED if at < example.start or token == pad else token for at, token in enumerate(example.ids)]


def collate(examples: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Rows padded at the end: `input_ids`, `attention_mask`, `labels`, all [B, P].

    As published, the mask is 0 wherever the id is the one that pads, ends of turns inside of the prompt too.
    """
    longest = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), longest), pad)
    labels = torch.full((len(examples), longest), IGNORED)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        labels[row, : len(example.ids)] = torch.tensor(labels_of(example, pad))
    return {"input_ids": ids, "attention_mask": (ids != pad).long(), "labels": labels}


def pack(examples: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Utterances one after the other in one row [1, P], none of which sees another: positions begin anew with each.

    transformers finds the borders by the positions, for which no attention mask may be given; ends of turns are seen,
    as they are when the model speaks.
    """
    ids = [token for example in examples for token in example.ids]
    labels = [label for example in examples for label in labels_of(example, pad)]
    positions = [place for example in examples for place in range(len(example.ids))]
    return {
        name: torch.tensor([row]) for name, row in (("input_ids", ids), ("labels", labels), ("position_ids", positions))
    }


def batch_of(
    items: Sequence[tuple[str, torch.Tensor]], text: Text, model: Any, options: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """What `loss` takes, from texts and their codes [T, 1].

    Args:
        options: `packed` (True puts all into one row), `longest` (ids of an utterance).
    """
    examples = [text.example(said, codes, int(options.get("longest", card.max_length))) for said, codes in items]
    lay_out = pack if options.get("packed", True) else collate
    return lay_out(examples, text.vocabulary.pad)


def loss(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy of the codes and the end mark."""
    return model(**batch, use_cache=False).loss


def lora_targets() -> list[str]:
    """Modules of the Llama that LoRA adapts."""
    return ["q_proj", "k_proj", "v_proj", "o_proj"]


def save(folder: Path, model: Any, text: Text, codec: Any, made: Card) -> None:
    """Write a model folder that `unisono.load` reads."""
    building.save_folder(folder, model, text.tokenizer, codec, made)
