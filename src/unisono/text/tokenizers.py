"""The tokenizer that a model's folder names: ours by the type in `tokenizer.json`, else a Hugging Face one."""

from __future__ import annotations

import re
from pathlib import Path

from unisono.interface import Tokenizer
from unisono.text.characters import CharacterTokenizer
from unisono.text.letters import LetterSoundTokenizer
from unisono.text.special import TOKENIZER_FILE

BUILTIN = Path(__file__).parent.parent / "builtin" / "tokenizer"
# Ours begin with their type. Published files are many megabytes, so they are not parsed to find out.
_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"(letters|characters)"')
_HEAD_BYTES = 200


def load_tokenizer(folder: str | Path = BUILTIN) -> Tokenizer:
    """Load the tokenizer in a local `folder` (default: the built-in one).

    `tokenizer.json` with `"type": "letters"` or `"characters"` is ours; any other is read as a published one.
    Raises CheckpointError when the folder or a file in it is missing, damaged or of another kind.
    """
    folder = Path(folder)
    kind = _kind(folder / TOKENIZER_FILE)
    if kind == "letters":
        return LetterSoundTokenizer(folder)
    if kind == "characters":
        return CharacterTokenizer.load(folder)
    from unisono.text.hub_tokens import HubTokenizer

    return HubTokenizer.load(folder)


def _kind(path: Path) -> str | None:
    """The type one of our tokenizer files begins with; None for any other file or none."""
    try:
        with path.open("rb") as file:
            match = _TYPE.match(file.read(_HEAD_BYTES))
    except OSError:
        return None
    return match.group(1).decode() if match else None
