"""The tokenizer that a model's folder names: ours by the type in `tokenizer.json`, else a Hugging Face one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError
from unisono.interface import Tokenizer
from unisono.text.characters import CharacterTokenizer
from unisono.text.letters import LetterSoundTokenizer

BUILTIN = Path(__file__).parent.parent / "builtin" / "tokenizer"


def load_tokenizer(folder: str | Path = BUILTIN) -> Tokenizer:
    """Load the tokenizer in a local `folder` (default: the built-in one).

    `tokenizer.json` with `"type": "letters"` or `"characters"` is ours; any other is read by transformers.
    Raises CheckpointError when the folder or a file in it is missing, damaged or of another kind.
    """
    folder = Path(folder)
    kind = _kind(folder)
    if kind == "letters":
        return LetterSoundTokenizer(folder)
    if kind == "characters":
        return CharacterTokenizer.load(folder)
    from unisono.text.hub_tokens import HubTokenizer

    return HubTokenizer.load(folder)


def _kind(folder: Path) -> Any:
    """The "type" that `tokenizer.json` states at its top level; None when there is no such file or entry."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}); fetch the tokenizer again") from error
    return record.get("type") if isinstance(record, dict) else None
