"""TASTE's package stage: the finished parts of a run become a model folder that lies inside the built-in model.

What the built-in model has (aligner, tokenizer, decoder with its vocoder) is shared and not copied.

Axes: T tokens, Q codes, S width of a voice print.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from unisono.errors import TrainingError
from unisono.families.makers import maker_of
from unisono.families.taste.loading import ENCODER
from unisono.families.taste.model import TasteForCausalLM
from unisono.families.taste.sound.load import EMBEDDED
from unisono.families.taste.sound.unit_codec import UnitCodec
from unisono.files import load_tensors, save_tensors, save_voice
from unisono.files.checkpoint import CONFIG, WEIGHTS, tensors_to_save
from unisono.interface import AlignedTokens, Voice
from unisono.text import load_tokenizer
from unisono.train.corpus import Clip
from unisono.train.stages.base import Context, Stage, options_of, spoken_text
from unisono.train.stages.package import VoiceChoice, write_part
from unisono.train.stages.taste import Options as DataOptions
from unisono.train.stages.taste import TasteData


@dataclass
class Options:
    """What goes into the model folder.

    Attributes:
        name: of the model. model: run folder of the TASTE model. codec: run folder of the unit codec.
        marks, units, codes: files of the run that made the tokenizer, for ready voices.
        shared: whether the encoder is the aligner's, as it is when no stage trained it, and is not stored again.
        dtype: number format of the files. card: further entries of `unisono.json`. voices: fields of `VoiceChoice`.
        target: folder to write, of which the folder above is the built-in model; default "package" in the run.
    """

    name: str = "taste-small"
    model: str = "taslm/final"
    codec: str = "units/final"
    marks: str = "marks.safetensors"
    units: str = "units.safetensors"
    codes: str = "codes.safetensors"
    shared: bool = True
    dtype: str = "float16"
    card: dict[str, Any] = field(default_factory=dict)
    voices: list[dict[str, str]] = field(default_factory=list)
    target: str = ""


def package(context: Context, stage: Stage) -> None:
    """Write the model folder, complete or not at all (options: fields of `Options`)."""
    options = options_of(Options, stage.options, f"options of {stage.folder_name}")
    target = Path(options.target) if options.target else context.folder / "package"
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    dtype = getattr(torch, options.dtype)
    _write_model(TasteForCausalLM.from_pretrained(context.result(options.model)), partial, dtype, options.shared)
    write_part(UnitCodec.from_pretrained(context.result(options.codec)), partial / EMBEDDED, dtype)
    card = {"family": "taste", "name": options.name, "sample_rate": 24000} | options.card
    (partial / "unisono.json").write_text(json.dumps(card, indent=2) + "\n")
    if options.voices:
        (partial / "voices").mkdir()
        data = TasteData(context, DataOptions(marks=options.marks, units=options.units))
        codes, _ = load_tensors(context.result(options.codes))
        maker = maker_of(
            "taste", options.name, partial, load_tokenizer(context.tokenizer_folder), TasteForCausalLM.ignored_keys
        )
        for values in options.voices:
            choice = options_of(VoiceChoice, values, "a voice of the package")
            voice = _voice(context, choice, data, codes)
            voice.tokens.family, voice.tokens.model, voice.tokens.maker = maker.family, maker.model, maker.mark()
            save_voice(partial / "voices" / f"{voice.name}.safetensors", voice)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _write_model(model: TasteForCausalLM, folder: Path, dtype: torch.dtype, shared: bool) -> None:
    """`config.json` and `model.safetensors`, without the encoder where it is the aligner's."""
    values, left_out = model.config.to_dict(), list(model.ignored_keys)
    if shared:
        tower = values["audio_tower_config"]
        tower["kwargs_for_joint_encoder_segmenter"] |= {"encoder_from": "aligner"}
        left_out.append(f"{ENCODER}*")
    save_tensors(folder / WEIGHTS, tensors_to_save(model, left_out, dtype), {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def _voice(context: Context, choice: VoiceChoice, data: TasteData, codes: dict[str, torch.Tensor]) -> Voice:
    """A voice from a training clip's marks, codes and voice print. Raises TrainingError: there is no such clip."""
    clip = _find(context, choice, data)
    start, stop = codes["starts"][clip.index : clip.index + 2].tolist()
    words = torch.from_numpy(data.words(clip))
    tokens = AlignedTokens(
        text_ids=torch.from_numpy(data.marks.tokens(clip)),
        positions=torch.from_numpy(data.marks.positions(clip)),
        frames=clip.frames,
        samples=clip.samples,
        sample_rate=24000,
        text=spoken_text(clip.text).strip(),
        family="taste",
        model="",
        codes=codes["codes"][start:stop].long()[words],
        extras={"speaker": torch.from_numpy(data.units.speaker(clip))},
    )
    return Voice(choice.name, tokens, clip.language, choice.speaker, choice.consent)


def _find(context: Context, choice: VoiceChoice, data: TasteData) -> Clip:
    for clip in data.usable(context.corpus.clips):
        if clip.speaker == choice.speaker and choice.clip in clip.audio and clip.split == "train":
            return clip
    raise TrainingError(f"no aligned training clip of {choice.speaker} has {choice.clip!r} in its file name")
