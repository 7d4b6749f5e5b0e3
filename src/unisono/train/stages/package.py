"""Package stage: the finished parts of a run become one model folder, as small as it ships.

Axes: T tokens, D vector width.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from unisono.errors import TrainingError
from unisono.families.makers import Maker, maker_of
from unisono.files import Checkpoint, save_tensors, save_voice
from unisono.files.checkpoint import config_values, tensors_to_save
from unisono.files.tensors import load_tensors
from unisono.interface import AlignedTokens, Voice
from unisono.text import load_tokenizer
from unisono.train.corpus import Clip
from unisono.train.marks import Marks
from unisono.train.stages.base import Context, Stage, options_of, spoken_text


@dataclass
class VoiceChoice:
    """A ready voice made of one training clip: the clip of `speaker` whose file name holds `clip`."""

    name: str
    speaker: str
    clip: str
    consent: str = ""


@dataclass
class Options:
    """What goes into the model folder.

    Attributes:
        name: of the model. parts: run folders of the language model, encoder, decoder and aligner.
        vocoder: run folder of a vocoder to put into the decoder; empty keeps the decoder's own.
        dtype: number format of the files. card: further entries of `unisono.json` (defaults of generation, ...).
        voices: ready voices. target: folder to write; default "package" in the run.
    """

    name: str = "model"
    parts: dict[str, str] = field(default_factory=dict)
    vocoder: str = ""
    dtype: str = "float16"
    card: dict[str, Any] = field(default_factory=dict)
    voices: list[dict[str, str]] = field(default_factory=list)
    target: str = ""


DEFAULT_PARTS = {
    "": "language_model/final",
    "encoder": "codec/final/encoder",
    "decoder": "codec/final/decoder",
    "aligner": "aligner/final",
}


def package(context: Context, stage: Stage) -> None:
    """Write the model folder, complete or not at all (options: fields of `Options`)."""
    options = options_of(Options, stage.options, f"options of {stage.folder_name}")
    target = Path(options.target) if options.target else context.folder / "package"
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for part, kind in context.family.parts.items():
        source = context.result(({**DEFAULT_PARTS, **options.parts})[part])
        module = kind.from_pretrained(source)
        if part == "decoder" and options.vocoder:
            module.wav_decoder.vocoder.load_state_dict(
                load_tensors(context.result(options.vocoder) / "model.safetensors")[0]
            )
        write_part(module, partial / part, getattr(torch, options.dtype))
    shutil.copytree(context.tokenizer_folder, partial / "tokenizer")
    card = {"family": context.family.name, "name": options.name, "sample_rate": 24000} | options.card
    (partial / "unisono.json").write_text(json.dumps(card, indent=2) + "\n")
    (partial / "voices").mkdir()
    encoder = context.family.parts["encoder"]
    maker = maker_of(
        context.family.name,
        options.name,
        partial / "encoder",
        load_tokenizer(context.tokenizer_folder),
        (*encoder.ignored_keys, *encoder.optional_keys),
    )
    for choice in options.voices:
        voice = make_voice(context, options_of(VoiceChoice, choice, "a voice of the package"), maker)
        save_voice(partial / "voices" / f"{voice.name}.safetensors", voice)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def write_part(module: Checkpoint, folder: Path, dtype: torch.dtype) -> None:
    """`config.json` and `model.safetensors`; rotary tables are left out, being computed again on loading."""
    folder.mkdir(exist_ok=True)
    tensors = tensors_to_save(module, (*module.ignored_keys, "rope_freqs"), dtype)
    save_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config_values(module.config), indent=2, sort_keys=True) + "\n")


def make_voice(context: Context, choice: VoiceChoice, maker: Maker) -> Voice:
    """A voice from a clip's marks and vectors, marked with who made it.

    Raises:
        TrainingError: no aligned clip of that speaker and name.
    """
    marks = Marks.load(context.result("marks.safetensors"))
    vectors = load_tensors(context.result("vectors.safetensors"))[0]["vectors"]
    clip = _find_clip(context, marks, choice)
    tokens = AlignedTokens(
        text_ids=torch.from_numpy(marks.tokens(clip)),
        positions=torch.from_numpy(marks.positions(clip)),
        frames=clip.frames,
        samples=clip.samples,
        sample_rate=24000,
        text=spoken_text(clip.text).strip(),
        family=maker.family,
        model=maker.model,
        vectors=vectors[marks.span(clip)].float(),
        maker=maker.mark(),
    )
    return Voice(choice.name, tokens, clip.language, choice.speaker, choice.consent)


def _find_clip(context: Context, marks: Marks, choice: VoiceChoice) -> Clip:
    for clip in marks.good(context.corpus.clips):
        if clip.speaker == choice.speaker and choice.clip in clip.audio and clip.split == "train":
            return clip
    raise TrainingError(f"no aligned training clip of {choice.speaker} has {choice.clip!r} in its file name")
