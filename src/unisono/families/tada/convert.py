"""Model folders in the published layout from ours, and back: folders, card, configuration; weights are in `recast`.

Ours is one folder that holds all a model needs:

    config.json, model.safetensors (or shards)    the language model
    encoder/ decoder/ aligner/ spkr-verf/         the codec
    tokenizer/ voices/ unisono.json               and our card

Published is what two hub repositories hold:

    config.json, model.safetensors (or shards)    as in HumeAI/tada-1b
    tada-codec/encoder/ ...                       as HumeAI/tada-codec
    tokenizer/ voices/ unisono/unisono.json       what published code has no place for, and passes over

The built-in model has parts that published code does not know (its configuration names them); its published layout has
the published names, folders and formats all the same, and loads here as before.

A file `conversion.json` remembers what the other layout looked like, so that the way back gives identical bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from unisono.errors import CheckpointError, InputError
from unisono.families.tada.card import CARD, EXTRAS, read_card
from unisono.families.tada.loading import CODEC_FOLDER, TOKENIZER_FILE, find_codec, tokenizer_folder
from unisono.families.tada.recast import OURS, PUBLISHED, Part, index_text, rewrite
from unisono.files import find_folder, read_json
from unisono.files.checkpoint import CONFIG, INDEX, read_index, weight_files
from unisono.files.outputs import filling
from unisono.files.tensors import TensorFile

MEMO = "conversion.json"
MEMO_VERSION = 1
CLASSES = {"": "TadaForCausalLM", "encoder": "Encoder", "decoder": "Decoder", "aligner": "Aligner"}
CLASSES |= {"spkr-verf": "AcousticSpkrVerf"}


class Item(NamedTuple):
    """A file on its way: where it is, its name in the source's layout and in the target's, and whose part it is."""

    path: Path
    before: str
    after: str
    part: str | None  # "" is the language model, None no part


@dataclass
class Conversion:
    """What was done: the layout written, the files, and remarks about what could not be taken along."""

    to: str
    files: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def convert(
    source: Path,
    target: Path,
    *,
    to: str | None = None,
    codec: str | Path | None = None,
    tokenizer: str | Path | None = None,
) -> Conversion:
    """Write a model folder in the other layout; `target` comes into being complete or not at all.

    Args:
        source: model folder. target: a new folder whose parent exists.
        to: "ours" or "published"; None = the one that the source has not got.
        codec, tokenizer: for "ours", from elsewhere than where the source's are found.

    Raises:
        CheckpointError: damaged source, or a target that exists or cannot be written.
        InputError: an unknown layout, or the one that the source has.
    """
    layout = OURS if (source / CARD).exists() else PUBLISHED
    to = to or (PUBLISHED if layout == OURS else OURS)
    if to not in (OURS, PUBLISHED) or to == layout:
        wanted = "it has that layout already" if to == layout else f"layouts are {OURS} and {PUBLISHED}"
        raise InputError(f"{source} cannot be converted to {to!r}: {wanted}")
    if to == PUBLISHED and (codec is not None or tokenizer is not None):
        raise InputError(f"{source} holds its codec and tokenizer: they are named only where none is")
    memo, done = _read_memo(source, layout), Conversion(to)
    items = list(_ours(source)) if to == PUBLISHED else list(_published(source, codec, tokenizer, done.remarks))
    with filling(target, CheckpointError) as folder:
        notes = _Writer(folder, to, _parts(items), memo).write(items)
        if to == OURS and CARD not in notes:
            text = json.dumps(asdict(read_card(source)), indent=2) + "\n"
            (folder / CARD).write_text(text)
            notes[CARD] = {"from": None, "made": _digest(text)}
        if memo is None:
            place = folder / (MEMO if to == OURS else f"{EXTRAS}/{MEMO}")
            place.parent.mkdir(exist_ok=True)
            place.write_text(json.dumps({"version": MEMO_VERSION, "to": to, "files": notes}, indent=1) + "\n")
        done.files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return done


def _ours(source: Path) -> Iterator[Item]:
    """Files of a folder of ours, and where they go in the published layout."""
    for path, name in _files(source):
        first, _, rest = name.partition("/")
        if name == MEMO:
            continue
        part = _part_of(first) if rest else ""
        after = f"{EXTRAS}/{CARD}" if name == CARD else f"{CODEC_FOLDER}/{name}" if rest and part else name
        yield Item(path, name, after, part)


def _published(
    source: Path, codec: str | Path | None, tokenizer: str | Path | None, remarks: list[str]
) -> Iterator[Item]:
    """Files of a published model and of its codec and tokenizer, wherever they are, and where they go in ours."""
    taken = set()
    for path, name in _files(source):
        first, _, rest = name.partition("/")
        if name == f"{EXTRAS}/{MEMO}" or first == CODEC_FOLDER or (rest and _part_of(first)):
            continue
        taken.add(name)
        yield Item(path, name, CARD if name == f"{EXTRAS}/{CARD}" else name, None if rest else "")
    home = find_folder(find_codec(source, codec), "decoder").parent
    parts = [path for path in sorted(home.iterdir()) if path.is_dir() and _part_of(path.name)]
    place = "" if home == source else f"{CODEC_FOLDER}/"
    for folder in parts:
        for path, name in _files(folder):
            yield Item(path, f"{place}{folder.name}/{name}", f"{folder.name}/{name}", folder.name)
    if lacking := {"encoder", "aligner"} - {folder.name for folder in parts}:
        remarks.append(f"without {' and '.join(sorted(lacking))}, which voices are made with: not in {home}")
    if tokenizer is None and {TOKENIZER_FILE, f"tokenizer/{TOKENIZER_FILE}"} & taken:
        return
    try:
        words = tokenizer_folder(source, tokenizer, offline=True)
    except CheckpointError:
        if tokenizer is not None:
            raise
        remarks.append("without tokenizer, which is gated: name one with --tokenizer")
        return
    yield Item(words / TOKENIZER_FILE, f"tokenizer/{TOKENIZER_FILE}", f"tokenizer/{TOKENIZER_FILE}", None)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """All files below a folder but hidden ones, and their names in it."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(piece.startswith(".") for piece in name.parts):
            yield path, name.as_posix()


def _part_of(folder: str) -> str | None:
    """The part that a folder of this name holds; None for any other folder."""
    kind = "aligner" if folder.startswith("aligner-") else folder
    return folder if kind and kind in CLASSES else None


def _parts(items: list[Item]) -> dict[str, Part]:
    """Configuration and weight files of every part. Raises CheckpointError for a damaged one."""
    found = {}
    for item in items:
        if item.part is not None and item.path.name == CONFIG and item.part not in found:
            folder = item.path.parent
            found[item.part] = Part(read_json(item.path), tuple(weight_files(folder)))
    return found


@dataclass
class _Writer:
    """Writes items into a folder and notes, by name there, what is needed to undo it."""

    folder: Path
    to: str
    parts: dict[str, Part]
    memo: dict[str, Any] | None

    def write(self, items: list[Item]) -> dict[str, Any]:
        """Write all; hand back the notes. Raises CheckpointError for a damaged source, OSError for a full disk."""
        notes: dict[str, Any] = {}
        indices = []
        for item in items:
            before = (self.memo or {}).get(item.before, {})
            if "from" in before and before["from"] is None and before.get("made") == _digest_file(item.path):
                continue  # the conversion made it, and nobody changed it since
            after = before.get("from") or item.after
            target = self.folder / after
            target.parent.mkdir(parents=True, exist_ok=True)
            note = {"from": item.before}
            if item.path.name == INDEX and item.part is not None:
                indices.append((item, target, before, note))
            elif item.part is not None and item.path in self.parts[item.part].files:
                self._weights(item, target, before, note)
            elif item.path.name == CONFIG and item.part is not None and self.to == PUBLISHED:
                self._text(item, target, before, note, _published_config(item.path, item.part))
            else:
                self._text(item, target, before, note, None)
            notes[after] = note
        for item, target, before, note in indices:  # when all shards are there
            shards = {name: _names(target.parent / name) for name in read_index(item.path.parent)}
            self._text(item, target, before, note, index_text(item.path.read_text(encoding="utf-8"), shards))
        return notes

    def _weights(self, item: Item, target: Path, before: dict[str, Any], note: dict[str, Any]) -> None:
        """A weight file; its header is noted when it is written anew."""
        if rewrite(item.path, target, self.parts[item.part], self.to, before.get("header", "")):
            with TensorFile(item.path) as file:
                note["header"] = file.header

    def _text(self, item: Item, target: Path, before: dict[str, Any], note: dict[str, Any], text: str | None) -> None:
        """A file that is copied, or of which a text is made; the text it had is noted, or restored when noted."""
        if "text" in before and before.get("made") == _digest_file(item.path):
            target.write_text(before["text"], encoding="utf-8")
            return
        old = None if text is None else item.path.read_text(encoding="utf-8")
        if text is None or text == old:
            shutil.copyfile(item.path, target)
            return
        target.write_text(text, encoding="utf-8")
        note |= {"text": old, "made": _digest(text)}


def _published_config(path: Path, part: str) -> str:
    """A part's configuration with what transformers writes beside."""
    values = read_json(path)
    if "architectures" in values:
        return path.read_text(encoding="utf-8")
    kind = CLASSES["aligner" if part.startswith("aligner-") else part]
    return json.dumps({"architectures": [kind], **values}, indent=2, sort_keys=True) + "\n"


def _names(path: Path) -> list[str]:
    with TensorFile(path) as file:
        return list(file.entries)


def _read_memo(source: Path, layout: str) -> dict[str, Any] | None:
    """What a conversion to this layout noted, by file; None without one, or when it is of another kind."""
    path = source / (MEMO if layout == OURS else f"{EXTRAS}/{MEMO}")
    if not path.exists():
        return None
    content = read_json(path)
    files = content.get("files")
    known = content.get("version") == MEMO_VERSION and content.get("to") == layout and isinstance(files, dict)
    return files if known and all(map(_is_note, files.values())) else None


def _is_note(note: Any) -> bool:
    """Whether a note can be followed: it must not lead out of the folder."""
    if not isinstance(note, dict) or any(not isinstance(value, str | None) for value in note.values()):
        return False
    place = Path(note.get("from") or "x")
    return not place.is_absolute() and ".." not in place.parts


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
