"""A name, folder or hub id becomes a speech model: strict, pinned, offline first.

What is written and read on the way stands in `files/`, so that families, which stand above this module, can use it too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from unisono.errors import CheckpointError, InputError
from unisono.families import FAMILIES, get_family, guess_family
from unisono.files import (
    Checkpoint,
    find_folder,
    load_tensors,
    load_tokens,
    load_voice,
    read_json,
    save_tensors,
    save_tokens,
    save_voice,
)
from unisono.interface import SpeechModel, Voice

__all__ = [
    "BUILTIN",
    "KNOWN",
    "Checkpoint",
    "KnownModel",
    "best_device",
    "builtin_folder",
    "check_device",
    "limit_threads",
    "list_models",
    "list_voices",
    "load",
    "load_tensors",
    "load_tokens",
    "load_voice",
    "model_folder",
    "save_tensors",
    "save_tokens",
    "save_voice",
    "voice_folder",
]

BUILTIN = "builtin"
SMALL_MODEL_BYTES = 200e6
CARD = "unisono.json"  # beside config.json: which family, its name and its defaults


class KnownModel(NamedTuple):
    """A line of `unisono models`."""

    name: str
    family: str
    state: str
    about: str


KNOWN = (
    ("HumeAI/tada-1b", "tada", "English, 1.6 B parameters, 24 kHz"),
    ("HumeAI/tada-3b-ml", "tada", "ten languages, 4.1 B parameters, 24 kHz"),
)


def builtin_folder() -> Path:
    """The folder of the model that comes with the package. Raises CheckpointError when this copy has none."""
    folder = Path(__file__).parent / "builtin"
    if not (folder / "config.json").exists():
        raise CheckpointError(
            "this copy of unisono comes without its built-in model: reinstall it, or name another model"
        )
    return folder


def load(
    name: str | Path | None = None,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    **options: Any,
) -> SpeechModel:
    """Load a speech model, ready to speak.

    Args:
        name: None for the built-in model, a folder, or a hub name ("HumeAI/tada-1b").
        revision: hub branch, tag or commit.
        device: "cpu", "cuda", "cuda:1", "mps"; None = the best this machine has for this model.
        dtype: "float32", "bfloat16", "float16"; None = float32 on CPU, bfloat16 elsewhere.
        options: what the family's loader takes beside, such as `tokenizer`.

    Raises:
        CheckpointError: not found, damaged, foreign, of no known family. InputError: no such device.
    """
    folder = model_folder(name, revision)
    device = check_device(device or best_device())
    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    return get_family(family_of(folder)).load(folder, device=device, dtype=dtype, **options)


def model_folder(name: str | Path | None = None, revision: str | None = None) -> Path:
    """The folder of a model by name; None is the built-in one. Raises CheckpointError when it is not to be had."""
    return builtin_folder() if name is None or str(name) == BUILTIN else find_folder(name, "", revision)


def best_device() -> str:
    """ "cuda" or "mps" where there is one, else "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def limit_threads(folder: Path) -> None:
    """Run a small model on one CPU thread, unless OMP_NUM_THREADS says otherwise; for processes that are ours alone.

    The products of a small model are too small to share: threads would only wait for each other, a hundred times
    longer than they compute when the machine has other work, and the last bits would depend on their number.
    """
    import torch

    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if weights < SMALL_MODEL_BYTES and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def check_device(device: str) -> str:
    """Hand back a device that this machine has. Raises InputError for any other."""
    import torch

    kind, _, number = str(device).partition(":")
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind not in counts or (number and not number.isdigit()):
        raise InputError(f"device {device!r} is unknown: use cpu, cuda, cuda:1 or mps")
    if int(number or 0) >= counts[kind]:
        raise InputError(f"this machine has no device {device!r}: leave it away to take the best there is")
    return str(device)


def family_of(folder: Path) -> str:
    """The family of a model folder: its card says so, or published keys give it away.

    Raises:
        CheckpointError: not a model folder, or of no known family.
    """
    config = read_json(folder / "config.json")
    if (folder / CARD).exists():
        family = read_json(folder / CARD).get("family")
        if family not in FAMILIES:
            raise CheckpointError(f"{folder / CARD} names family {family!r}, known are {', '.join(FAMILIES)}")
        return family
    family = guess_family(config)
    if family is None:
        raise CheckpointError(f"{folder} is a model of no family that unisono knows ({', '.join(FAMILIES)})")
    return family


def voice_folder(folder: Path) -> Path:
    """Where a model keeps its ready voices."""
    return folder / "voices"


def list_voices(folder: Path) -> list[Voice]:
    """The ready voices of a model folder, by name. Raises CheckpointError for a damaged one."""
    return [load_voice(path) for path in sorted(voice_folder(folder).glob("*.safetensors"))]


def list_models() -> list[KnownModel]:
    """Built-in, cached and known models, without any network call."""
    rows = []
    try:
        builtin_folder()
        rows.append(KnownModel(BUILTIN, "tada", "built in", "English, small, 24 kHz"))
    except CheckpointError:
        rows.append(KnownModel(BUILTIN, "tada", "absent", "this copy comes without it"))
    cached = _cached_names()
    for name, family, about in KNOWN:
        rows.append(KnownModel(name, family, "cached" if name in cached else "on the hub", about))
    return rows


def _cached_names() -> set[str]:
    """Hub names with a folder in the local cache."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = Path(HF_HUB_CACHE).glob("models--*/snapshots/*")
    return {path.parent.parent.name.removeprefix("models--").replace("--", "/") for path in found}
