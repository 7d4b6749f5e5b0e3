"""What a model folder says of itself in `unisono.json`: name, how it reads text, its voice and its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError, InputError
from unisono.families.tada.options import SpeakOptions, translated
from unisono.files import read_json

CARD = "unisono.json"
EXTRAS = "unisono"  # folder of a model in the published layout for what is ours alone


@dataclass(frozen=True)
class Card:
    """The content of `unisono.json`. Defaults are how our recipes train; `PUBLISHED_CARD` is how TADA was published.

    Attributes:
        family: "tada". name: what voices and token files say they were made by.
        sample_rate: Hz of the codec.
        style, language: of the text normaliser. languages: that the model speaks; [] = whatever it has aligners for.
        leading_space: every sentence begins with a space.
        voice: ready voice that speaks when none is named; "" = the first one.
        speaker_prompt: the system turn names the voice's speaker.
        show_prompt_text: the voice's own text is shown to the language model.
        transition_steps: last tokens of the voice whose sound is made anew.
        end_vector: the slot of the end token is rendered; else only its distance counts.
        word_lead: seconds from a word's start to its first mark.
        max_gap: longest distance between two marks in frames; 0 = whatever the model draws.
        pause_text: what stands for a pause in the text that the model reads, so that its sound falls silent; "" =
            nothing, the bits of the gap alone make the pause.
        carry: last tokens of a sentence that the next one hears behind the voice, so that the melody goes on.
        quantize: packing of the weights on a CPU when the user names none: "int8", "half" or "none".
        options: generation options, under our names or the published ones.
    """

    family: str = "tada"
    name: str = "tada"
    sample_rate: int = 24000
    style: str = "plain"
    language: str = "en"
    languages: list[str] = field(default_factory=list)
    leading_space: bool = True
    voice: str = ""
    speaker_prompt: bool = True
    show_prompt_text: bool = True
    transition_steps: int = 5
    end_vector: bool = False
    word_lead: float = 0.0
    max_gap: int = 0
    pause_text: str = ",.."
    carry: int = 0
    quantize: str = "none"
    options: Mapping[str, Any] = field(default_factory=dict)


PUBLISHED_CARD = Card(
    style="tada", leading_space=False, speaker_prompt=False, show_prompt_text=False, end_vector=True, pause_text=""
)


def read_card(folder: Path) -> Card:
    """The card of a model folder.

    Raises:
        CheckpointError: unreadable, of another family, or with keys or options that are unknown.
    """
    path = folder / CARD if (folder / CARD).exists() else folder / EXTRAS / CARD
    if not path.exists():
        return replace(PUBLISHED_CARD, name=_published_name(folder))
    values = read_json(path)
    unknown = sorted(set(values) - {entry.name for entry in fields(Card)})
    if unknown:
        raise CheckpointError(f"{path} has unknown keys: {', '.join(unknown[:4])}")
    for name, value in values.items():
        wanted = type(getattr(Card(), name))
        if not isinstance(value, (int, float) if wanted is float else wanted):
            raise CheckpointError(f"{path} has {name} {value!r}, wanted is a {wanted.__name__}")
    card = Card(**values)
    try:
        make_options(card, {})
    except InputError as problem:
        raise CheckpointError(f"{path} cannot be used: {problem}") from None
    return card


def _published_name(folder: Path) -> str:
    """ "HumeAI/tada-1b" for the hub's cache, else the folder's name."""
    for part in folder.parts:
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/")
    return folder.resolve().name


def make_options(card: Card, given: Mapping[str, Any]) -> SpeakOptions:
    """The model's defaults with a user's options in their place.

    Raises:
        InputError: a name that is not known, or a value out of range.
    """
    values = {**translated(card.options), **translated(given)}
    if values.get("speed_up_factor") == 1:
        values["speed_up_factor"] = None  # the second pass would only repeat the first
    options = SpeakOptions(**values)
    options.check()
    return options
