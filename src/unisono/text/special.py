"""What every tokenizer of ours has in common: named special tokens and role words, all outside the text's reach."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError

TOKENIZER_FILE = "tokenizer.json"

BLANK = "<blank>"
SPECIALS = (BLANK, "<bos>", "<eos>", "<pad>", "<start_header>", "<end_header>", "<eot>")
ROLES = ("system", "user", "assistant")


def vocabulary_of(tokens: Iterable[str]) -> list[str]:
    """A whole vocabulary in id order: special tokens (the CTC blank is id 0), role words, then `tokens`."""
    return [*SPECIALS, *(f"<{role}>" for role in ROLES), *tokens]


def read_record(folder: Path, kind: str, version: int, needed: Iterable[str]) -> dict[str, Any]:
    """The content of one of our `tokenizer.json`.

    Raises CheckpointError when it is missing, damaged, of another type or version, or lacks a needed entry.
    """
    path = folder / TOKENIZER_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is missing or damaged ({error}); install the model again") from error
    if not isinstance(record, dict) or record.get("type") != kind or record.get("version") != version:
        raise CheckpointError(
            f"{path} is no tokenizer of type {kind!r} and version {version}; update unisono or the model"
        )
    missing = [entry for entry in needed if entry not in record]
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}; install the model again")
    return record


class SpecialIds:
    """The ids of `interface.Tokenizer`, looked up by name in a vocabulary token name -> id.

    Raises CheckpointError when a name is missing.
    """

    def __init__(self, ids: Mapping[str, int]):
        missing = [name for name in (*SPECIALS, *(f"<{role}>" for role in ROLES)) if name not in ids]
        if missing:
            raise CheckpointError(f"the tokenizer's vocabulary lacks {', '.join(missing)}; build it again")
        self.vocab_size = len(ids)
        self.blank_id = ids[BLANK]
        self.bos_id = ids["<bos>"]
        self.eos_id = ids["<eos>"]
        self.pad_id = ids["<pad>"]
        self.start_header_id = ids["<start_header>"]
        self.end_header_id = ids["<end_header>"]
        self.eot_id = ids["<eot>"]
        self._roles = {role: ids[f"<{role}>"] for role in ROLES}

    def role_ids(self, role: str) -> list[int]:
        """The ids that stand for a role word between the header tokens; KeyError for an unknown role."""
        return [self._roles[role]]
