"""The families by name. A family's modules are imported when it is first asked for, never before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from unisono.errors import CheckpointError
from unisono.interface import Family


class Entry(NamedTuple):
    """Where a family's record stands, and the keys of a published `config.json` that give it away."""

    module: str
    marks: frozenset[str]


FAMILIES: Mapping[str, Entry] = {
    "tada": Entry("unisono.families.tada.family", frozenset({"acoustic_dim", "num_time_classes", "shift_acoustic"})),
    "taste": Entry("unisono.families.taste.family", frozenset({"audio_tower_config", "spoken_lm_config"})),
}


def get_family(name: str) -> Family:
    """The record of a family. Raises CheckpointError for a name that is not known."""
    if name not in FAMILIES:
        raise CheckpointError(f"family {name!r} is unknown, known are {', '.join(FAMILIES)}")
    return import_module(FAMILIES[name].module).FAMILY


def guess_family(config: Mapping[str, Any]) -> str | None:
    """The family whose published configuration this is, or None."""
    return next((name for name, entry in FAMILIES.items() if entry.marks & set(config)), None)
