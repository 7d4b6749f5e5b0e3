"""One `.safetensors` file: written whole or not at all, read with a sentence for whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unisono.errors import CheckpointError
from unisono.files.outputs import check_output, replacing

if TYPE_CHECKING:
    import torch
    from safetensors import safe_open

SUFFIX = ".safetensors"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def save_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, str]) -> None:
    """Write tensors with a header of strings; the file appears only when it is complete.

    Raises:
        CheckpointError: the name does not end in .safetensors or cannot be written.
    """
    from safetensors.torch import save

    check_output(path, (SUFFIX,), CheckpointError)
    kept: dict[str, torch.Tensor] = {}
    places: set[int] = set()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        kept[name] = value.clone() if place in places else value  # safetensors refuses tensors that share memory
        places.add(place)
    content = save(kept, {key: str(value) for key, value in header.items()})
    with replacing(path, CheckpointError) as temporary:
        temporary.write_bytes(content)


def load_tensors(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read all tensors, on the CPU, and the header.

    Raises:
        CheckpointError: missing, a folder, pickle, cut short, or no safetensors file.
    """
    with open_tensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118


def read_header(path: str | Path) -> dict[str, str]:
    """The header alone, without reading tensors. Raises CheckpointError like `load_tensors`."""
    with open_tensors(path) as file:
        return dict(file.metadata() or {})


def open_tensors(path: str | Path) -> safe_open:
    """An open safetensors file, to be used as a context; tensors are read from it one by one.

    Raises:
        CheckpointError: missing, a folder, pickle, cut short, or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    start = _first_bytes(path)
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError, ValueError) as problem:
        if path.suffix in PICKLE_SUFFIXES or start.startswith((b"\x80", b"PK\x03\x04")):
            raise CheckpointError(
                f"{path} is a pickle, which can run code when opened; {SUFFIX} is wanted: convert it first"
            ) from None
        raise CheckpointError(
            f"{path} is cut short or no safetensors file ({problem}): copy or download it again"
        ) from problem


def _first_bytes(path: Path) -> bytes:
    """The start of a file; refuses what safetensors would report badly: folders, missing and empty files."""
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder, a {SUFFIX} file is wanted")
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist, a {SUFFIX} file is wanted: check the name") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise CheckpointError(f"{path!s:.200} cannot be opened ({reason})") from None
    if not start:
        raise CheckpointError(f"{path} is empty, a {SUFFIX} file is wanted")
    return start
