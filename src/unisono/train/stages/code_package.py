"""Package stage of families of codes: the trained model with its card and ready voices, as one folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from unisono.errors import TrainingError
from unisono.families.fixed_rate.card import FILE, Card
from unisono.files import save_voice
from unisono.interface import Audio, Voice
from unisono.train.corpus import SAMPLE_RATE, Clip
from unisono.train.stages.base import Context, Stage, options_of, spoken_text
from unisono.train.stages.package import VoiceChoice


@dataclass
class Options:
    """What goes into the folder.

    Attributes:
        name: of the model. model: run folder of it. card: further entries of `unisono.json`.
        voices: ready voices, each a clip of the corpus.
    """

    name: str = "model"
    model: str = "code_model/final"
    card: dict[str, Any] = field(default_factory=dict)
    voices: list[dict[str, str]] = field(default_factory=list)


def package_codes(context: Context, stage: Stage) -> None:
    """Write `package` in the run, complete or not at all; `unisono say --model RUN` finds it."""
    options = options_of(Options, stage.options, f"options of {stage.folder_name}")
    target = context.folder / "package"
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(context.result(options.model), partial)
    options_of(Card, options.card, "card of the package")
    card = replace(context.family.passages.card, name=options.name, **options.card)
    (partial / FILE).write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")
    if options.voices:
        (partial / "voices").mkdir()
        tts = context.family.load(partial, device="cpu")
        for choice in options.voices:
            voice = _voice(context, options_of(VoiceChoice, choice, "a voice of the package"), tts)
            save_voice(partial / "voices" / f"{voice.name}.safetensors", voice)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _voice(context: Context, choice: VoiceChoice, tts: Any) -> Voice:
    """A voice from a training clip. Raises TrainingError when there is no such clip."""
    clip = _find(context, choice)
    sound = Audio(context.corpus.wave(clip), SAMPLE_RATE)
    tokens = tts.encode(sound, text=spoken_text(clip.text).strip())
    return Voice(choice.name, tokens, clip.language, choice.speaker, choice.consent)


def _find(context: Context, choice: VoiceChoice) -> Clip:
    for clip in context.corpus.clips:
        if clip.speaker == choice.speaker and choice.clip in Path(clip.audio).name and clip.split == "train":
            return clip
    raise TrainingError(f"no training clip of {choice.speaker} has {choice.clip!r} in its file name")
