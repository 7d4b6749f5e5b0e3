"""The families by name. A family's modules are imported when it is first asked for, never before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from unisono.errors import CheckpointError
from unisono.interface import Family


class Entry(NamedTuple):
    """Where a family's record stands, and what of a published `config.json` gives it away.

    Attributes:
        marks: keys, of which one is enough. values: keys with the values that all of them must have.
    """

    module: str
    marks: frozenset[str] = frozenset()
    values: Mapping[str, Any] = {}


FAMILIES: Mapping[str, Entry] = {
    "tada": Entry("unisono.families.tada.family", frozenset({"acoustic_dim", "num_time_classes", "shift_acoustic"})),
    # Llama 3's vocabulary, eight marks and 65536 speech codes; no key of its configuration says what it is.
    "llasa": Entry("unisono.families.llasa.family", values={"model_type": "llama", "vocab_size": 128256 + 8 + 65536}),
    "dia": Entry("unisono.families.dia.family", values={"model_type": "dia"}),
    "taste": Entry("unisono.families.taste.family", frozenset({"audio_tower_config", "spoken_lm_config"})),
}


def get_family(name: str) -> Family:
    """The record of a family. Raises CheckpointError for a name that is not known."""
    if name not in FAMILIES:
        raise CheckpointError(f"family {name!r} is unknown, known are {', '.join(FAMILIES)}")
    return import_module(FAMILIES[name].module).FAMILY


def guess_family(config: Mapping[str, Any]) -> str | None:
    """The family whose published configuration this is, or None."""
    return next((name for name, entry in FAMILIES.items() if _is_of(entry, config)), None)


def _is_of(entry: Entry, config: Mapping[str, Any]) -> bool:
    valued = bool(entry.values) and all(config.get(key) == value for key, value in entry.values.items())
    return valued or bool(entry.marks & set(config))
