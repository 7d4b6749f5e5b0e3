"""What a model's `unisono.json` says about a model whose codec has a fixed rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError
from unisono.files import read_json

FILE = "unisono.json"


@dataclass(frozen=True)
class Card:
    """The facts that a checkpoint does not hold.

    Attributes:
        family, name, language: of the model. languages: that it speaks; [] = any that there is an aligner for.
        voice: ready voice that it speaks with when none is asked for.
        speaker: what a model that was tuned on named speakers is told ("kore"), "" for others.
        style: how text is normalised before it is read: "plain", "tada", or "none" (as written).
        chunk_characters: longer texts are spoken in pieces of at most this length, cut where a reader would pause.
        max_length: positions of text and codes together.
        window, context, ahead: of decoding, in frames, see `windows`.
        options: defaults of generation, by the names of controls.
    """

    family: str = ""
    name: str = ""
    language: str = "en"
    languages: list[str] = field(default_factory=list)
    voice: str = ""
    speaker: str = ""
    style: str = "none"
    chunk_characters: int = 200
    max_length: int = 2048
    window: int = 100
    context: int = 200
    ahead: int = 25
    options: Mapping[str, Any] = field(default_factory=dict)


def read_card(folder: Path, usual: Card) -> Card:
    """The card of a model folder; `usual` where it has none, under the name of the folder or of the hub.

    Raises:
        CheckpointError: unreadable, of another family, or with unknown keys or values of the wrong kind.
    """
    path = folder / FILE
    if not path.exists():
        return replace(usual, name=_name(folder))
    values = read_json(path)
    unknown = sorted(set(values) - {entry.name for entry in fields(Card)})
    if unknown:
        raise CheckpointError(f"{path} has unknown keys: {', '.join(unknown[:4])}")
    for name, value in values.items():
        wanted = type(getattr(usual, name))
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise CheckpointError(f"{path} has {name} {value!r}, wanted is a {wanted.__name__}")
        if wanted is int and value < (0 if name in ("context", "ahead") else 1):
            raise CheckpointError(f"{path} has {name} {value}, wanted is a positive number")
    return replace(usual, **values)


def _name(folder: Path) -> str:
    """ "HKUSTAudio/Llasa-1B" for the hub's cache, else the folder's name."""
    for part in folder.parts:
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/")
    return folder.resolve().name
