"""A name, folder or hub id becomes a speech model: strict, pinned, offline first.

What is written and read on the way stands in `files/`, so that families, which stand above this module, can use it too.
"""

from __future__ import annotations

import os
from inspect import signature
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
from unisono.files.locate import is_complete
from unisono.interface import SpeechModel

__all__ = [
    "BUILTIN",
    "KNOWN",
    "Checkpoint",
    "KnownModel",
    "best_device",
    "builtin_folder",
    "check_device",
    "convert",
    "limit_threads",
    "list_models",
    "load",
    "load_tensors",
    "load_tokens",
    "load_voice",
    "model_folder",
    "save_tensors",
    "save_tokens",
    "save_voice",
]

BUILTIN = "builtin"
PACKAGE = "package"  # of a training run, see `train.stages.package`
BESIDE = (Path(__file__).parent / "builtin" / "taste-small",)  # further models that come with the package
SMALL_MODEL_BYTES = 200e6
CARD = "unisono.json"  # beside config.json: which family, its name and its defaults
EXTRAS = "unisono"  # where a folder in a published layout keeps it


class KnownModel(NamedTuple):
    """A line of `unisono models`."""

    name: str
    family: str
    state: str
    about: str


KNOWN = (
    KnownModel("HumeAI/tada-1b", "tada", "", "English, 1.6 B parameters, 24 kHz; wants HumeAI/tada-codec"),
    KnownModel("MediaTek-Research/Llama-1B-TASTE-V0", "taste", "", "English, 2.2 B parameters; in Python alone"),
    KnownModel("HumeAI/tada-3b-ml", "tada", "", "ten languages, 4.1 B parameters, 24 kHz; wants HumeAI/tada-codec"),
    KnownModel("HKUSTAudio/Llasa-1B", "llasa", "", "English and Chinese, 16 kHz; wants HKUSTAudio/xcodec2-hf"),
    KnownModel("HKUSTAudio/Llasa-3B", "llasa", "", "English and Chinese, 16 kHz; wants HKUSTAudio/xcodec2-hf"),
    KnownModel("nari-labs/Dia-1.6B-0626", "dia", "", "English dialogue, 44.1 kHz; wants descript/dac_44khz"),
)
# Hub repositories that models share: what they hold, by the files that show that it is there.
SHARED = {
    "HumeAI/tada-codec": ("codec", {f"{part}/config.json": part for part in ("decoder", "encoder", "aligner")}),
    "meta-llama/Llama-3.2-1B": ("tokenizer, gated", {"tokenizer.json": "tokenizer"}),
    "unsloth/Llama-3.2-1B": ("tokenizer, free copy", {"tokenizer.json": "tokenizer"}),
}


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
        name: None for the built-in model, a folder, or a hub name ("HumeAI/tada-1b", "HumeAI/tada-1b@revision"); the
            hub's cache comes before the network, which HF_HUB_OFFLINE=1 forbids altogether.
        revision: hub branch, tag or commit.
        device: "cpu", "cuda", "cuda:1", "mps"; None = the best this machine has for this model.
        dtype: "float32", "bfloat16", "float16"; None = float32 on CPU, bfloat16 elsewhere.
        options: what the family's loader takes beside: `tokenizer`, `codec` (folder or hub name of each, in place of
            the model's own), `quantize` ("int8", "half", "none"), for Llasa `assistant`.

    Raises:
        CheckpointError: not found, damaged, foreign, of no known family.
        InputError: no such device, or an option that the family has not.
    """
    folder = model_folder(name, revision)
    device = check_device(best_device() if device is None else device)
    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    family = get_family(family_of(folder))
    if foreign := [option for option in options if option not in signature(family.load).parameters]:
        raise InputError(f"models of the family {family.name} have no {foreign[0]}: leave {foreign[0]!r} away")
    return family.load(folder, device=device, dtype=dtype, **options)


def model_folder(name: str | Path | None = None, revision: str | None = None) -> Path:
    """The folder of a model by name; None is the built-in one. Raises CheckpointError when it is not to be had."""
    if name is not None and is_packaged(str(name)):
        return Path(__file__).parent / "builtin" / str(name)
    if name is not None and str(name) != BUILTIN:
        folder = find_folder(name, "", revision)
        packaged = folder / PACKAGE  # the folder of a training run stands for the model that it made
        return packaged if (packaged / "config.json").exists() and not (folder / "config.json").exists() else folder
    if revision is not None:
        raise CheckpointError(f"the built-in model has no revision {revision!r}: leave that away, or name a hub model")
    return builtin_folder()


def is_packaged(name: str) -> bool:
    """Whether a name is that of a further model that comes with the package, such as "taste-small"."""
    return any(folder.name == name and folder.is_dir() for folder in BESIDE)


def convert(
    source: str | Path | None,
    target: str | Path,
    *,
    to: str | None = None,
    codec: str | Path | None = None,
    tokenizer: str | Path | None = None,
) -> Any:
    """Write a model in the layout of its family's publishers, or theirs in ours; back gives identical bytes.

    Args:
        source: folder, hub name, or None for the built-in model.
        target: a new folder, which comes into being complete or not at all.
        to: "published" or "ours"; None = the layout that the source has not got.
        codec, tokenizer: for "ours", from elsewhere than where `load` finds them.

    Returns:
        `.to`, `.files` and `.remarks`: the layout, the names of the files written, what could not be taken along.

    Raises:
        CheckpointError: damaged source, or a target that exists or cannot be written. InputError: a wrong layout.
    """
    folder = model_folder(source)
    family = family_of(folder)
    convert_folder = get_family(family).convert
    if convert_folder is None:
        raise InputError(f"models of the family {family} have one layout: there is nothing to convert")
    return convert_folder(folder, Path(target), to=to, codec=codec, tokenizer=tokenizer)


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
    card = folder / CARD if (folder / CARD).exists() else folder / EXTRAS / CARD
    if card.exists():
        family = read_json(card).get("family")
        if family not in FAMILIES:
            raise CheckpointError(f"{card} names family {family!r}, known are {', '.join(FAMILIES)}")
        return family
    family = guess_family(config)
    if family is None:
        raise CheckpointError(f"{folder} is a model of no family that unisono knows ({', '.join(FAMILIES)})")
    return family


def list_models() -> list[KnownModel]:
    """Built-in, cached and known models and what they share, without any network call."""
    rows = []
    try:
        builtin_folder()
        rows.append(KnownModel(BUILTIN, "tada", "built in", "English, small, 24 kHz"))
    except CheckpointError:
        rows.append(KnownModel(BUILTIN, "tada", "absent", "this copy comes without it"))
    rows += [
        KnownModel(place.name, "taste", "built in", "English, small, 24 kHz") for place in BESIDE if place.is_dir()
    ]
    cached = _cached()
    for row in KNOWN:
        folder = cached.pop(row.name, None)
        state = "on the hub" if folder is None else "cached" if is_complete(folder) else "partly cached"
        rows.append(row._replace(state=state))
    for name, (about, files) in SHARED.items():
        folder = cached.pop(name, None)
        held = [what for file, what in files.items() if folder is not None and (folder / file).exists()]
        rows.append(KnownModel(name, "tada", "cached" if held else "on the hub", _shared_about(about, held, files)))
    for name, folder in sorted(cached.items()):
        if (family := _family_or_none(folder)) is not None:
            rows.append(KnownModel(name, family, "cached" if is_complete(folder) else "partly cached", ""))
    return rows


def _shared_about(about: str, held: list[str], files: dict[str, str]) -> str:
    """What a shared repository is, and which of its parts are there when not all are."""
    return f"{about}: {', '.join(held)}" if 0 < len(held) < len(files) else about


def _family_or_none(folder: Path) -> str | None:
    """The family of a cached folder; None for the many that are no models of ours."""
    try:
        return family_of(folder)
    except CheckpointError:
        return None


def _cached() -> dict[str, Path]:
    """Hub names and the folders they have in the local cache, by the main branch, else any revision."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = {}
    for place in sorted(Path(HF_HUB_CACHE).glob("models--*--*")):
        snapshots = sorted((place / "snapshots").glob("*"))
        main = place / "refs" / "main"
        chosen = place / "snapshots" / main.read_text().strip() if main.exists() else None
        if chosen is None or not chosen.is_dir():
            chosen = snapshots[-1] if snapshots else None
        if chosen is not None:
            found[place.name.removeprefix("models--").replace("--", "/")] = chosen
    return found
