"""transformers' modules from folders, strictly: every tensor is there, fits and is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError, InputError
from unisono.families.controls import Control
from unisono.families.fixed_rate.card import Card
from unisono.families.fixed_rate.options import read_options
from unisono.families.fixed_rate.speech import Codec
from unisono.files import find_folder, read_json
from unisono.files.checkpoint import as_dtype, few, weight_files

UNUSABLE = (OSError, ValueError, TypeError, RuntimeError, KeyError, AttributeError)  # of foreign or damaged files


def load_strictly(kind: Any, folder: Path, dtype: str | None = None, device: str | None = None) -> Any:
    """A transformers model in evaluation mode.

    Args:
        kind: its class. dtype: of the weights; None = float32. device: None = CPU.

    Raises:
        CheckpointError: no model folder, damaged weights, or tensors that are missing, unknown or of another shape.
    """
    wanted = kind.config_class.model_type
    found = read_json(folder / "config.json").get("model_type")
    if found != wanted:
        raise CheckpointError(f"{folder} holds a model of type {str(found)[:60]!r}, wanted is {wanted!r}")
    weight_files(folder)
    try:
        with quietly():
            model, report = kind.from_pretrained(
                folder, dtype=as_dtype(dtype or "float32"), output_loading_info=True, local_files_only=True
            )
    except Exception as problem:
        if not isinstance(problem, UNUSABLE) and "safetensor" not in type(problem).__name__.lower():
            raise
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise CheckpointError(f"{folder} cannot be loaded as {kind.__name__}: {reason[:200]}") from problem
    problems = [
        f"{label} {few(sorted(map(str, report[key])))}"
        for label, key in (("missing", "missing_keys"), ("unknown", "unexpected_keys"), ("misfit", "mismatched_keys"))
        if report[key]
    ]
    if problems:
        raise CheckpointError(f"{folder} does not fit {kind.__name__}: {'; '.join(problems)}")
    return model.eval().to(device or "cpu")


@contextmanager
def quietly() -> Iterator[None]:
    """Without the library's progress bars."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            logging.enable_progress_bar()


def check_defaults(controls: Sequence[Control], card: Card, folder: Path) -> None:
    """Raise CheckpointError for default options of a card that cannot be used."""
    try:
        read_options(controls, card.options, {}, card.name)
    except InputError as problem:
        raise CheckpointError(f"the card of {folder} cannot be used: {problem}") from None


def check_books(codec: Codec, channels: int, codes: int, folder: Path) -> None:
    """Raise CheckpointError unless a codec has the code books that a model writes.

    Args:
        channels, codes: of the model in `folder`.
    """
    if (codec.books, codec.size) != (channels, codes):
        raise CheckpointError(
            f"the codec has {codec.books} code books of {codec.size} codes, the model in {folder} writes {channels} "
            f"of {codes}: they belong to different models"
        )


def find_codec(folder: Path, given: str | Path | None, published: str) -> Path:
    """The folder of a codec: the one given, else `codec` in the model's folder, else one beside it, else the hub's.

    Raises:
        CheckpointError: nowhere; the sentence says what to fetch.
    """
    if given is not None:
        if not str(given).strip():
            raise CheckpointError(f"the codec's name is empty: give a folder or a hub name such as {published}")
        return find_folder(given)
    for place in (folder / "codec", folder.parent / published.split("/")[1]):
        if (place / "config.json").exists():
            return place
    try:
        return find_folder(published)
    except CheckpointError as problem:
        raise CheckpointError(
            f"{folder} brings no codec, without which its codes are no sound: put one into {folder / 'codec'}, "
            f"name one with --codec (codec=), or fetch {published} ({problem})"
        ) from problem
