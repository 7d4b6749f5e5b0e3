"""Weight files of one layout from those of the other: what is stored differently, and how that is undone exactly.

Published files carry in every attention layer a rotary table and a mask that is true everywhere, and may carry the
head that is tied to the embedding. Ours leave out what can be computed, and may store half precision. Since bfloat16,
the published format, would round half precision, it becomes float32 there, which loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from unisono.codec.attention import rope_table
from unisono.errors import CheckpointError
from unisono.files.tensors import PIECE_BYTES, Content, Entry, TensorFile, in_order, read_header_text, write_tensors

OURS, PUBLISHED = "ours", "published"
MASK, TABLE, HEAD, EMBEDDING = "_precomputed_mask", "rope_freqs", "lm_head.weight", "model.embed_tokens.weight"
LAYER = "self_attn.qkv.weight"  # in every attention layer of a codec half


class Part(NamedTuple):
    """A part of a model: its configuration as the file has it, and its weight files."""

    config: Mapping[str, Any]
    files: tuple[Path, ...]

    @property
    def tied(self) -> bool:
        """Whether the text head is the embedding."""
        return bool(self.config.get("tie_word_embeddings"))


class Changed(Exception):
    """A file is no longer what the conversion made of it, so that it cannot be undone exactly."""


def rewrite(source: Path, target: Path, part: Part, to: str, header: str = "") -> bool:
    """Write a weight file in a layout.

    Args:
        header: text of the header that the file had in that layout before; the file is then restored byte for byte,
            unless its numbers were changed meanwhile.

    Returns:
        whether anything but the bytes of the source was written.

    Raises:
        CheckpointError: a damaged source. OSError: the system refused to write.
    """
    with TensorFile(source) as file:
        if header:
            try:
                write_tensors(target, list(_restored(file, part, header)), {}, header)
            except Changed:
                pass
            else:
                return True
        contents = list(_by_rule(file, part, to))
        if {content.name: content.format for content in contents} == {n: e.format for n, e in file.entries.items()}:
            contents = [Content(name, e.format, e.shape, file.pieces(name)) for name, e in file.entries.items()]
            write_tensors(target, contents, {}, file.header)
            return False
        write_tensors(target, in_order(contents), file.metadata)
        return True


def _by_rule(file: TensorFile, part: Part, to: str) -> Iterator[Content]:
    """What a file holds in a layout."""
    for name, entry in file.entries.items():
        if entry.dtype is None:
            raise CheckpointError(f"{file.path} holds {name} as {entry.format}, which no model of this family has")
        if to == OURS and _is_derived(file, name, part):
            continue
        format = "F32" if to == PUBLISHED and entry.format == "F16" else entry.format
        yield Content(name, format, entry.shape, _cast(file, name, format))
    if to == PUBLISHED:
        yield from _added(file, part)


def _added(file: TensorFile, part: Part) -> Iterator[Content]:
    """Tables and masks of attention layers that the file lacks."""
    for name, entry in file.entries.items():
        if not name.endswith(LAYER):
            continue
        frames, heads = part.config.get("max_frames", 8192), part.config.get("num_attn_heads", 8)
        for last, format, shape in (
            (TABLE, "F32", (frames, entry.shape[1] // heads // 2, 2)),
            (MASK, "BOOL", (frames, frames)),
        ):
            other = name.removesuffix(LAYER) + f"self_attn.{last}"
            if other not in file.entries:
                yield Content(other, format, shape, _derived(other, Entry(format, shape, 0, 0), part))


def _restored(file: TensorFile, part: Part, header: str) -> Iterator[Content]:
    """What a file held when it had this header. Raises Changed where that cannot be known."""
    try:
        wanted, _ = read_header_text(header)
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Changed from problem
    if any(name not in wanted and not _is_derived(file, name, part) for name in file.entries):
        raise Changed
    for name, entry in wanted.items():
        if name not in file.entries:
            pieces = _derived(name, entry, part)
        elif file.entries[name].shape != entry.shape:
            raise Changed
        else:
            pieces = _cast(file, name, entry.format)
        if pieces is None:
            raise Changed
        yield Content(name, entry.format, entry.shape, pieces)


def _cast(file: TensorFile, name: str, format: str) -> Iterable[Any]:
    """The bytes of a tensor in a format that loses nothing. Raises Changed, on the way, for one that would."""
    stored = file.entries[name].format
    if stored == format:
        return file.pieces(name)
    if {stored, format} != {"F16", "F32"}:
        raise Changed
    return _cast_pieces(file, name, torch.float16 if format == "F16" else torch.float32)


def _cast_pieces(file: TensorFile, name: str, dtype: torch.dtype) -> Iterator[memoryview]:
    for piece in file.pieces(name):
        value = torch.frombuffer(piece, dtype=file.entries[name].dtype)
        cast = value.to(dtype)
        if not torch.equal(cast.to(value.dtype).view(torch.uint8), value.view(torch.uint8)):
            raise Changed
        yield memoryview(cast.view(torch.uint8).numpy())


def _is_derived(file: TensorFile, name: str, part: Part) -> bool:
    """Whether a stored tensor is, bit for bit, what can be computed in its place."""
    made = _derived(name, file.entries[name], part)
    return made is not None and all(a == b for a, b in zip(file.pieces(name), made, strict=True))


def _derived(name: str, entry: Entry, part: Part) -> Iterable[Any] | None:
    """The bytes of a tensor that no file needs to hold; None for any other."""
    last = name.rpartition(".")[2]
    if last == MASK and entry.format == "BOOL" and len(entry.shape) == 2:
        return _ones(entry.shape[0] * entry.shape[1])
    if last == TABLE and entry.format == "F32" and len(entry.shape) == 3 and entry.shape[2] == 2:
        table = rope_table(entry.shape[0], 2 * entry.shape[1]).contiguous()
        return _chunks(memoryview(table.view(-1).view(torch.uint8).numpy()))
    if name == HEAD and part.tied:
        return _embedding(part, entry)
    return None


def _embedding(part: Part, like: Entry) -> Iterable[Any] | None:
    """The bytes of the embedding, wherever it is stored; None when it does not look like the head."""
    for path in part.files:
        with TensorFile(path) as file:
            entry = file.entries.get(EMBEDDING)
        if entry is not None:
            same = (entry.format, entry.shape) == (like.format, like.shape)
            return _pieces_of(path, EMBEDDING) if same else None
    return None


def _pieces_of(path: Path, name: str) -> Iterator[bytearray]:
    with TensorFile(path) as file:
        yield from file.pieces(name)


def _chunks(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]


def _ones(count: int) -> Iterator[bytes]:
    for start in range(0, count, PIECE_BYTES):
        yield b"\x01" * min(PIECE_BYTES, count - start)


def index_text(text: str, shards: Mapping[str, Iterable[str]]) -> str:
    """An index of shards whose contents are now `shards` (file -> names); the same text when nothing changed."""
    content = json.loads(text)
    table = {name: shard for shard, names in shards.items() for name in names}
    if content.get("weight_map") == table:
        return text
    return json.dumps({**content, "weight_map": table}, indent=2, sort_keys=True) + "\n"
