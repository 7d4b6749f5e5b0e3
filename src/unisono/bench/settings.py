"""What `unisono bench` is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from unisono.errors import InputError
from unisono.families.checks import check_text

AGAINST = ("reference", "reference-separate", "single")
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        model: None or "builtin", a folder or hub name, "random:tada-1b", "random:tada-3b".
        device, dtype, quantize: as for `hub.load`.
        text: spoken in every row; None = a sentence that fits the model.
        batch: rows of one call. stream: the runs go through `stream`.
        steps: solver steps a token; None = the model's own.
        threads: of a CPU; None = one for small models, else torch's choice.
        against: None or one of `AGAINST`: the reference loop; the same with two head calls per solver step; as many
            calls of one row as the batch has.
        reference_steps: of the reference loop; None = as many as the engine takes.
        runs: of each side; None = what fits into a minute, at least three.
        seed: of every run.
    """

    model: str | None = None
    device: str | None = None
    dtype: str | None = None
    quantize: str | None = None
    text: str | None = None
    batch: int = 1
    stream: bool = False
    steps: int | None = None
    threads: int | None = None
    against: str | None = None
    reference_steps: int | None = None
    runs: int | None = None
    seed: int = 7

    def check(self) -> None:
        """Raise InputError for the first value that cannot be used."""
        if self.text is not None:
            check_text(self.text)
        for name, most in (("batch", 4096), ("threads", 4096), ("steps", 1000), ("reference_steps", 1000)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise InputError(f"{name.replace('_', ' ')} is {value}, wanted is 1 to {most}")
        if self.runs is not None and not 1 <= self.runs <= 10_000:
            raise InputError(f"runs is {self.runs}, wanted is 1 to 10000")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise InputError(f"dtype {self.dtype!r} is unknown: use {', '.join(DTYPES)}")
        if self.against is not None and self.against not in AGAINST:
            raise InputError(f"there is nothing to measure against under {self.against!r}: use {', '.join(AGAINST)}")
        if self.reference_steps is not None and not str(self.against).startswith("reference"):
            raise InputError("reference steps belong to --against reference: name it too, or leave them away")
        if self.stream and self.batch > 1:
            raise InputError(f"a stream speaks one text, the batch is {self.batch}: leave one of them away")
