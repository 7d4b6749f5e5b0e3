"""A name becomes a folder: a local folder first, then the hub's cache, then (unless offline) the hub."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError

HUB_NAME = re.compile(r"([\w-][\w.-]{0,95}/[\w-][\w.-]{0,95})(?:@([\w./-]{1,200}))?")  # owner/model@revision
WANTED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.gz")  # never pickle
CONFIG = "config.json"


def find_folder(
    name: str | Path, subfolder: str = "", revision: str | None = None, holding: str = CONFIG, offline: bool = False
) -> Path:
    """The folder that holds `name` (or its `subfolder`).

    A local folder is taken as it is. A hub name ("owner/model", or "owner/model@revision") is looked up in the cache
    without any network call, and fetched only when the cache has not got it whole and neither HF_HUB_OFFLINE nor the
    absence of a network forbids. A branch that is cached is therefore not asked for news: name a commit to pin one.

    Args:
        revision: hub branch, tag or commit.
        holding: the file that makes the folder what it should be; of any but a model's only that file is fetched.
        offline: never fetch.

    Raises:
        CheckpointError: no such folder, not a hub name, not cached while offline, not to be had.
    """
    path = Path(name).expanduser()
    try:
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if exists:
        if revision is not None:
            raise CheckpointError(f"{name} is a local folder and has no revision {revision!r}: leave that away")
        return _inside(path, subfolder, str(name))
    hub_name, revision = split_name(str(name), revision)
    cached = _snapshot(hub_name, subfolder, revision, holding, local=True)
    if cached is not None and is_complete(cached / subfolder, holding):
        return cached / subfolder
    shown = hub_name if revision is None else f"{hub_name} at {revision}"
    if offline:
        raise CheckpointError(f"{shown} is not in the hub's cache")
    fetched = _snapshot(hub_name, subfolder, revision, holding, local=False) / subfolder
    if not is_complete(fetched, holding):  # the library hands back what is cached when it cannot reach the hub
        raise CheckpointError(_absence(hub_name, subfolder, revision, holding, None))
    return fetched


def split_name(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """ "owner/model@revision" -> "owner/model" and its revision.

    Raises:
        CheckpointError: no hub name, two revisions, or one that is no name of a branch, tag or commit.
    """
    match = HUB_NAME.fullmatch(name)
    if match is None:
        raise CheckpointError(
            f"there is no model {name[:200]!r}: give a folder with {CONFIG}, a hub name such as HumeAI/tada-1b, or none"
        )
    if match[2] and revision not in (None, match[2]):
        raise CheckpointError(f"{name} names one revision and {revision!r} is another: give one of them")
    revision = match[2] if revision is None else revision
    if revision is not None and (".." in revision or not re.fullmatch(r"\w[\w./-]*", revision)):
        raise CheckpointError(f"{revision[:200]!r} is no name of a hub branch, tag or commit")
    return match[1], revision


def is_complete(folder: Path, holding: str = CONFIG) -> bool:
    """Whether a cached folder holds what it should; for a model all weights that its index names."""
    if not (folder / holding).exists():
        return False
    index = folder / "model.safetensors.index.json"
    if holding != CONFIG or (folder / "model.safetensors").exists():
        return True
    if not index.exists():
        return False
    try:
        shards = read_json(index).get("weight_map")
    except CheckpointError:
        return False
    return isinstance(shards, dict) and all((folder / str(shard)).exists() for shard in shards.values())


def _inside(folder: Path, subfolder: str, name: str) -> Path:
    """`folder/subfolder`, which must exist."""
    if not folder.is_dir():
        raise CheckpointError(f"{name} is a file, a model is a folder with {CONFIG} and model.safetensors")
    if not (folder / subfolder).is_dir():
        raise CheckpointError(f"{name} has no folder {subfolder!r}")
    return folder / subfolder


def _snapshot(name: str, subfolder: str, revision: str | None, holding: str, local: bool) -> Path | None:
    """The hub's cached snapshot (None when there is none, or a partial one), or a fetched one."""
    from huggingface_hub import snapshot_download

    prefix = f"{subfolder}/" if subfolder else ""
    wanted = WANTED if holding == CONFIG else (holding,)
    patterns = [prefix + pattern for pattern in wanted]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=local))
    except Exception as problem:  # of the hub's library, of the HTTP library below it, or of the system
        if local:
            return None
        raise CheckpointError(_absence(name, subfolder, revision, holding, problem)) from problem


def _absence(name: str, subfolder: str, revision: str | None, holding: str, problem: Exception | None) -> str:
    """What is not there, why, and what to type where there is a network."""
    from huggingface_hub import constants

    what = name + (f" ({subfolder})" if subfolder else "") + ("" if revision is None else f" at {revision}")
    kinds = {cause.__name__ for cause in type(problem).__mro__}
    if constants.HF_HUB_OFFLINE:
        why = "HF_HUB_OFFLINE forbids to fetch it"
    elif problem is None:
        why = "the hub could not be reached or has no such file"
    elif "GatedRepoError" in kinds:
        why = "its owner lets nobody fetch it who has not accepted the licence on huggingface.co"
    elif "RepositoryNotFoundError" in kinds or "RevisionNotFoundError" in kinds:
        why = "the hub does not know it"
    else:
        why = f"it could not be fetched ({type(problem).__name__})"
    command = f"hf download {name}" + (f" --revision {revision}" if revision else "")
    command += f" --include '{subfolder}/*'" if subfolder else "" if holding == CONFIG else f" {holding}"
    return (
        f"{what} is neither a folder nor whole in the hub's cache ({constants.HF_HUB_CACHE}), and {why}: "
        f"run `{command}` where there is a network, or name a folder that holds it"
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: missing, unreadable, not JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name}: it is no model folder") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise CheckpointError(f"{path} cannot be read as JSON ({problem}): copy it again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, wanted is a JSON object")
    return content
