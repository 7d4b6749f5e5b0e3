"""Options of a generation of codes: which controls a family has, checked under their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unisono.errors import InputError
from unisono.families.controls import Control

NO_ACCELERATION = "none"


@dataclass(frozen=True)
class CodeOptions:
    """How codes are drawn.

    Attributes:
        temperature: logits are divided by it; 0 takes the likeliest code. top_k: 0 = all. top_p: 1 = all.
        repetition_penalty: 1 = none. guidance: 1 = none (families that have it).
        token_seconds: a piece lasts at most this long for each token of its text.
        accelerate: how drafted codes are used, see `llasa.accelerate`.
        cache: keep keys and values of what was read; without, all is read anew at every step.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    guidance: float = 1.0
    token_seconds: float = 1.0
    accelerate: str = NO_ACCELERATION
    cache: bool = True


CACHE = Control("cache", "use_cache", bool, True, "keep what was read; no reads all anew at every step")


def read_options(
    controls: Sequence[Control], usual: Mapping[str, Any], given: Mapping[str, Any], model: str
) -> CodeOptions:
    """Defaults of a family, those of a model's card in their place, and a user's options in theirs.

    Args:
        controls: what the family can be told. usual: from the card. given: from the user. model: its name.

    Raises:
        InputError: a name that the family does not know, or a value out of range.
    """
    known = {control.name: control for control in controls}
    names = {control.published: control.name for control in controls if control.published}
    values = {control.name: control.default for control in controls}
    for options in (usual, given):
        for name, value in options.items():
            own = name if name in known else names.get(name)
            if own is None:
                raise InputError(f"model {model} has no option {name!r}: it knows {', '.join(known)}")
            values[own] = known[own].check(value)
    return CodeOptions(**values)
