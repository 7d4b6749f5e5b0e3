"""Voice and token files: text-aligned pieces of a recording in one `.safetensors` file.

Axes: T tokens, D vector width, Q code books. Every header value is a string.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unisono.errors import CheckpointError
from unisono.files.outputs import is_unicode
from unisono.files.tensors import load_tensors, save_tensors
from unisono.interface import AlignedTokens, Voice

if TYPE_CHECKING:
    import torch

FRAMES_PER_SECOND = 50
LONGEST = 6 * 3600 * FRAMES_PER_SECOND  # frames; a damaged header must not decide how much memory is asked for
OWN = ("text_ids", "positions", "vectors", "codes")
VOICE_FIELDS = ("name", "language", "speaker", "consent", "created")


def save_tokens(path: str | Path, tokens: AlignedTokens) -> None:
    """Write a token file. Raises CheckpointError when it cannot be written."""
    save_tensors(path, _tensors(tokens), _header(tokens))


def load_tokens(path: str | Path) -> AlignedTokens:
    """Read a token file (a voice file is one too).

    Raises:
        CheckpointError: missing, damaged, foreign, or inconsistent.
    """
    tensors, header = load_tensors(path)
    return _tokens(path, tensors, header)


def save_voice(path: str | Path, voice: Voice) -> None:
    """Write a voice file. Raises CheckpointError when it cannot be written."""
    own = {field: getattr(voice, field) for field in VOICE_FIELDS}
    for field, value in own.items():
        if not is_unicode(value):
            raise CheckpointError(f"the {field} of the voice is not valid UTF-8: save or type it as UTF-8")
    save_tensors(path, _tensors(voice.tokens), {**_header(voice.tokens), "kind": "voice", **own})


def load_voice(path: str | Path) -> Voice:
    """Read a voice file; a token file serves too and is named after its file.

    Raises:
        CheckpointError: missing, damaged, foreign, or inconsistent.
    """
    tensors, header = load_tensors(path)
    own = {field: header[field] for field in VOICE_FIELDS if field in header}
    return Voice(tokens=_tokens(path, tensors, header), **{"name": Path(path).stem, **own})


def _tensors(tokens: AlignedTokens) -> dict[str, torch.Tensor]:
    own = {"text_ids": tokens.text_ids, "positions": tokens.positions, "vectors": tokens.vectors, "codes": tokens.codes}
    return {**{name: value for name, value in own.items() if value is not None}, **tokens.extras}


def _header(tokens: AlignedTokens) -> dict[str, str]:
    fields = ("family", "model", "text", "sample_rate", "frames", "samples", "maker")
    return {field: str(getattr(tokens, field)) for field in fields}


def _tokens(path: str | Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, str]) -> AlignedTokens:
    """The record, after every claim of the file was checked against the others."""
    absent = [name for name in ("family", "model", "text", "sample_rate", "frames") if name not in header]
    absent += [name for name in ("text_ids", "positions") if name not in tensors]
    absent += ["vectors or codes"] if not {"vectors", "codes"} & set(tensors) else []
    if absent:
        raise CheckpointError(f"{path} is no token or voice file: it lacks {', '.join(absent[:4])}")
    rate, frames = _number(path, header, "sample_rate"), _number(path, header, "frames")
    samples = _number(path, header, "samples") if "samples" in header else frames * rate // FRAMES_PER_SECOND
    tokens = AlignedTokens(
        text_ids=tensors["text_ids"].long(),
        positions=tensors["positions"].long(),
        frames=frames,
        samples=samples,
        sample_rate=rate,
        text=header["text"],
        family=header["family"],
        model=header["model"],
        vectors=tensors["vectors"].float() if "vectors" in tensors else None,
        codes=tensors["codes"].long() if "codes" in tensors else None,
        extras={name: value for name, value in tensors.items() if name not in OWN},
        maker=header.get("maker", ""),
    )
    if fault := _fault(tokens):
        raise CheckpointError(f"{path} is damaged: {fault}")
    return tokens


def _number(path: str | Path, header: Mapping[str, str], field: str) -> int:
    """A positive whole number of the header."""
    text = header[field]
    if not (text.isascii() and text.isdigit()) or len(text) > 12 or int(text) < 1:
        raise CheckpointError(f"{path} is damaged: {field} is {text[:20]!r}, wanted is a positive whole number")
    return int(text)


def _fault(tokens: AlignedTokens) -> str:
    """What does not fit together, or nothing."""
    ids, positions = tokens.text_ids, tokens.positions
    pieces = tokens.vectors if tokens.vectors is not None else tokens.codes
    if ids.dim() != 1 or positions.dim() != 1 or pieces.dim() != 2:
        return "text_ids and positions must be [T], vectors or codes [T, width]"
    if not len(ids) == len(positions) == len(pieces):
        return f"{len(ids)} text ids, {len(positions)} positions and {len(pieces)} pieces of speech differ in number"
    if len(ids) == 0:
        return "it holds no tokens"
    if tokens.frames > LONGEST:
        return f"{tokens.frames} frames are over {LONGEST // FRAMES_PER_SECOND // 3600} hours"
    if int(ids.min()) < 0:
        return "a text id is negative"
    if int(positions[0]) < 1 or int(positions[-1]) > tokens.frames or not bool((positions.diff() > 0).all()):
        return f"positions must increase from 1 to at most {tokens.frames} frames"
    if tokens.vectors is not None and not bool(tokens.vectors.isfinite().all()):
        return "vectors hold NaN or infinite numbers"
    return ""


def default_voice(folder: Path, name: str) -> Voice | None:
    """The ready voice of a model's folder that its card names, else the first one, None where there is none.

    Raises:
        CheckpointError: it is damaged or not there.
    """
    ready = sorted((folder / "voices").glob("*.safetensors"))
    if not name:
        return load_voice(ready[0]) if ready else None
    return load_voice(folder / "voices" / f"{name}.safetensors")
