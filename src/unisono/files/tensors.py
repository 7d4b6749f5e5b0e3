"""One `.safetensors` file: written whole or not at all, read with a sentence for whatever is wrong with it.

Large files go through memory in pieces: `TensorFile` reads a tensor into memory of its own, so that nothing stays
mapped and nothing is held twice, and `write_tensors` takes what it writes from iterators.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from unisono.errors import CheckpointError
from unisono.files.outputs import check_output, replacing

if TYPE_CHECKING:
    import torch
    from safetensors import safe_open

SUFFIX = ".safetensors"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
PIECE_BYTES = 1 << 22  # read or written at a time
# Names of number formats in a file -> torch's; in the order in which the library writes them, widest first.
FORMATS: Mapping[str, str] = {
    "I64": "int64",
    "F64": "float64",
    "F32": "float32",
    "I32": "int32",
    "BF16": "bfloat16",
    "F16": "float16",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
ALIGNMENT = 8  # the header is padded with spaces to a multiple of this


class Entry(NamedTuple):
    """A tensor as a file's header has it: format (`FORMATS`), shape, and its bytes [start, stop) after the header."""

    format: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def dtype(self) -> torch.dtype | None:
        """The number format; None for one that no model of ours has."""
        import torch

        return getattr(torch, FORMATS[self.format]) if self.format in FORMATS else None


class Content(NamedTuple):
    """A tensor to be written: its name, format, shape and bytes."""

    name: str
    format: str
    shape: Sequence[int]
    pieces: Iterable[Any]  # of bytes-like objects


class TensorFile:
    """An open file; a context. `header` is its text as it stands, `entries` what it holds in the order of its bytes.

    Raises CheckpointError like `open_tensors`.
    """

    def __init__(self, path: str | Path) -> None:
        with open_tensors(path):  # the library checks that header and size fit
            pass
        self.path = Path(path)
        self._file = self.path.open("rb", buffering=0)
        self._buffer: torch.Tensor | None = None
        length = int.from_bytes(self._file.read(8), "little")
        self.header = self._file.read(length).decode("utf-8")
        self._first = 8 + length
        self.entries, self.metadata = read_header_text(self.header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(
        self, name: str, dtype: torch.dtype | None = None, device: str | torch.device | None = None
    ) -> torch.Tensor:
        """A tensor in memory of its own, of `dtype` (None = as stored) and on `device`; little beside it is used.

        Raises:
            CheckpointError: the file became shorter since it was opened.
        """
        import torch

        entry = self.entries[name]
        target = torch.empty(entry.shape, dtype=dtype or entry.dtype, device=device)
        flat = target.view(-1)
        direct = target.dtype == entry.dtype and target.device.type == "cpu"
        step = max(PIECE_BYTES // entry.dtype.itemsize, 1)
        if self._buffer is None:  # one for all: many that come and go would leave holes in the process's memory
            self._buffer = torch.empty(PIECE_BYTES, dtype=torch.uint8)
        buffer = self._buffer.view(entry.dtype)
        self._file.seek(self._first + entry.start)
        for first in range(0, len(flat), step):
            part = flat[first : first + step]
            stored = part if direct else buffer[: len(part)]
            self._fill(memoryview(stored.view(torch.uint8).numpy()))
            if not direct:
                part.copy_(stored)
        return target

    def pieces(self, name: str) -> Iterator[bytearray]:
        """The bytes of a tensor as they stand, a piece at a time. Raises CheckpointError like `read`."""
        entry = self.entries[name]
        for start in range(entry.start, entry.stop, PIECE_BYTES):
            piece = bytearray(min(PIECE_BYTES, entry.stop - start))
            self._file.seek(self._first + start)
            self._fill(memoryview(piece))
            yield piece

    def _fill(self, view: memoryview) -> None:
        """Read until `view` is full."""
        done = 0
        while done < len(view):
            count = self._file.readinto(view[done:])
            if not count:
                raise CheckpointError(f"{self.path} is cut short: copy or download it again")
            done += count


def save_tensors(path: str | Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, str]) -> None:
    """Write tensors with a header of strings; the file appears only when it is complete.

    Raises:
        CheckpointError: the name does not end in .safetensors or cannot be written.
    """
    check_output(path, (SUFFIX,), CheckpointError)
    names = {torch_name: name for name, torch_name in FORMATS.items()}
    contents = [
        Content(name, names[str(value.dtype).removeprefix("torch.")], tuple(value.shape), _bytes_of(value))
        for name, value in tensors.items()
    ]
    with replacing(path, CheckpointError) as temporary:
        write_tensors(temporary, in_order(contents), {key: str(value) for key, value in header.items()})


def write_tensors(path: Path, contents: Sequence[Content], metadata: Mapping[str, str], header: str = "") -> None:
    """Write a file piece by piece, tensors in the order given; whoever calls sees to it that it is whole or absent.

    Args:
        header: text of the header where it must be a certain one; "" = made from contents and metadata.

    Raises:
        OSError: the system refused to write.
    """
    content = (header or header_text(contents, metadata)).encode("utf-8")
    with path.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for entry in contents:
            for piece in entry.pieces:
                file.write(piece)


def read_header_text(text: str) -> tuple[dict[str, Entry], dict[str, str]]:
    """What a header that the library has accepted says: entries in the order of their bytes, and metadata."""
    table = json.loads(text)
    metadata: dict[str, str] = table.pop("__metadata__", None) or {}
    found = {
        name: Entry(value["dtype"], tuple(value["shape"]), *value["data_offsets"]) for name, value in table.items()
    }
    return dict(sorted(found.items(), key=lambda item: item[1].start)), metadata


def in_order(contents: Iterable[Content]) -> list[Content]:
    """Contents in the order in which the library writes them: widest numbers first, then by name."""
    order = list(FORMATS)
    return sorted(contents, key=lambda content: (order.index(content.format), content.name))


def header_text(contents: Sequence[Content], metadata: Mapping[str, str]) -> str:
    """The header of a file that holds `contents` in this order, padded."""
    import torch

    table: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for content in contents:
        start, count = end, getattr(torch, FORMATS[content.format]).itemsize
        for size in content.shape:
            count *= size
        end = start + count
        table[content.name] = {"dtype": content.format, "shape": list(content.shape), "data_offsets": [start, end]}
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False)
    return text + " " * (-len(text.encode("utf-8")) % ALIGNMENT)


def _bytes_of(value: torch.Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor, brought to the CPU only when they are asked for."""
    import torch

    flat = value.detach().cpu().contiguous().view(-1)
    if len(flat):
        yield memoryview(flat.view(torch.uint8).numpy())


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
