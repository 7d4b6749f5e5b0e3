"""A name becomes a folder: a local folder first, then the hub's cache, then (unless offline) the hub."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError

HUB_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
WANTED = ("*.json", "*.safetensors", "*.txt", "*.model")  # never pickle
CONFIG = "config.json"


def find_folder(name: str | Path, subfolder: str = "", revision: str | None = None) -> Path:
    """The folder that holds `name` (or its `subfolder`).

    A local folder is taken as it is. A hub name ("owner/model") is looked up in the cache without any network call, and
    fetched only when the cache has not got it and neither HF_HUB_OFFLINE nor the absence of a network forbids.

    Raises:
        CheckpointError: no such folder, not a hub name, not cached while offline, not to be had.
    """
    path = Path(name).expanduser()
    try:
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if exists:
        return _inside(path, subfolder, str(name))
    if not HUB_NAME.fullmatch(str(name)) or str(name).startswith("."):
        raise CheckpointError(
            f"there is no model {str(name)[:200]!r}: "
            f"give a folder with {CONFIG}, a hub name such as HumeAI/tada-1b, or none"
        )
    cached = _snapshot(str(name), subfolder, revision, local=True)
    if cached is not None and (cached / subfolder / CONFIG).exists():
        return cached / subfolder
    fetched = _snapshot(str(name), subfolder, revision, local=False)
    return _inside(fetched, subfolder, str(name))


def _inside(folder: Path, subfolder: str, name: str) -> Path:
    """`folder/subfolder`, which must exist."""
    if not folder.is_dir():
        raise CheckpointError(f"{name} is a file, a model is a folder with {CONFIG} and model.safetensors")
    if not (folder / subfolder).is_dir():
        raise CheckpointError(f"{name} has no folder {subfolder!r}")
    return folder / subfolder


def _snapshot(name: str, subfolder: str, revision: str | None, local: bool) -> Path | None:
    """The hub's cached snapshot (None when there is none), or a fetched one."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    prefix = f"{subfolder}/" if subfolder else ""
    patterns = [prefix + pattern for pattern in WANTED]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=local))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, HfHubHTTPError, HFValidationError) as problem:
        if local:
            return None
        shown = name if revision is None else f"{name} at {revision}"
        raise CheckpointError(
            f"{shown} is neither a folder nor in the hub's cache and could not be fetched "
            f"({type(problem).__name__}): fetch it where there is a network, or give a folder"
        ) from problem


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: missing, unreadable, not JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name}: it is no model folder") from None
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{path} cannot be read as JSON ({problem}): copy it again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, wanted is a JSON object")
    return content
