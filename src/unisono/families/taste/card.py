"""What a TASTE model folder says of itself in `unisono.json`, and what can be asked of a generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError, InputError
from unisono.families.taste.choosing import Choosing
from unisono.families.taste.conditions import UnitSampling
from unisono.files import read_json

CARD = "unisono.json"


@dataclass(frozen=True)
class TasteCard:
    """The content of `unisono.json`.

    Attributes:
        family: "taste". name: what voices and token files say they were made by.
        sample_rate: Hz of the sound. style, language: of the text normaliser. leading_space: texts begin with one.
        voice: ready voice that speaks when none is named; "" = the first one.
        word_lead: seconds from a word's start to its first mark.
        window: frames around its marks that a token may attend (`nearby.near_marks`); 0 = all, as published.
        options: defaults of `SpeakOptions`.
    """

    family: str = "taste"
    name: str = "taste"
    sample_rate: int = 24000
    style: str = "plain"
    language: str = "en"
    leading_space: bool = True
    voice: str = ""
    word_lead: float = 0.0
    window: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SpeakOptions:
    """What can be asked of a generation, under the command line's names.

    Attributes:
        steps: passes of a masked-diffusion unit decoder, 1 to 1000. temperature: of the units, above 0 to 2.
        unit_top_k: units are drawn from so many; 0 = all. unit_order: "confidence" or "ancestral".
        speed: speaking rate, .25 to 4; above 1 takes fewer units than the model would.
        text_sample, text_temperature, top_p, repetition_penalty: of made-up text, see `choosing.Choosing`.
    """

    steps: int = 10
    temperature: float = 1.0
    unit_top_k: int = 25
    unit_order: str = "confidence"
    speed: float = 1.0
    text_sample: bool = True
    text_temperature: float = 1.0
    top_p: float = 0.9
    repetition_penalty: float = 1.1

    def sampling(self, length: int | None = None) -> UnitSampling:
        """How units are drawn."""
        return UnitSampling(
            top_k=self.unit_top_k,
            temperature=self.temperature,
            steps=self.steps,
            order=self.unit_order,
            length=length,
        )

    def choosing(self) -> Choosing:
        """How text and codes are drawn; codes are the likeliest, as published."""
        top_p = self.top_p if self.text_sample else 0.0
        return Choosing(top_p, 0.0, self.text_temperature, self.repetition_penalty)


# Smallest and largest value of each number.
RANGES = {
    "steps": (1, 1000),
    "temperature": (0.01, 2),
    "unit_top_k": (0, 1_000_000),
    "speed": (0.25, 4),
    "text_temperature": (0.01, 10),
    "top_p": (0.01, 1),
    "repetition_penalty": (0.1, 10),
}


def read_card(folder: Path) -> TasteCard:
    """The card of a model folder; the defaults where there is none.

    Raises:
        CheckpointError: unreadable, or with keys, kinds of value or options that are unknown.
    """
    path = folder / CARD
    if not path.exists():
        return TasteCard(name=folder.resolve().name)
    values = read_json(path)
    unknown = sorted(set(values) - {entry.name for entry in fields(TasteCard)})
    if unknown:
        raise CheckpointError(f"{path} has unknown keys: {', '.join(unknown[:4])}")
    for name, value in values.items():
        wanted = type(getattr(TasteCard(), name))
        if not isinstance(value, (int, float) if wanted is float else wanted):
            raise CheckpointError(f"{path} has {name} {value!r}, wanted is a {wanted.__name__}")
    card = TasteCard(**values)
    try:
        make_options(card, {})
    except InputError as problem:
        raise CheckpointError(f"{path} cannot be used: {problem}") from None
    return card


def make_options(card: TasteCard, given: Mapping[str, Any]) -> SpeakOptions:
    """The card's defaults with a user's options in their place.

    Raises:
        InputError: an option that TASTE has not got, or a value out of range.
    """
    values = {**card.options, **given}
    known = {entry.name: type(getattr(SpeakOptions(), entry.name)) for entry in fields(SpeakOptions)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"model {card.name} (taste) has no option {unknown[0]!r}; it has {', '.join(known)}")
    for name, value in values.items():
        kind = known[name]
        fits = isinstance(value, (int, float) if kind is float else kind) and (
            kind is bool or not isinstance(value, bool)
        )
        low, high = RANGES.get(name, (None, None))
        if not fits or (low is not None and not low <= value <= high):
            wanted = kind.__name__ if low is None else f"{low} to {high}"
            raise InputError(f"{name} is {value!r}, wanted is {wanted}")
    if values.get("unit_order", "confidence") not in ("confidence", "ancestral"):
        raise InputError(f"unit_order is {values['unit_order']!r}, wanted is confidence or ancestral")
    return SpeakOptions(**values)
