"""Voices by name: those that come with a model, and a user's own, which live in a folder of the user's account.

The folder is the platform's for application data (`platformdirs`), or `voices` in the folder that UNISONO_HOME names.
A name is one file there and can lead nowhere else.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from unisono.errors import InputError
from unisono.files.outputs import exists
from unisono.files.voices import load_voice, save_voice
from unisono.interface import Voice

HOME = "UNISONO_HOME"
VOICE_SUFFIX = ".safetensors"
LONGEST_NAME = 64  # characters
_NAME = re.compile(r"[^\W_](?:[\w.-]*[\w-])?")  # letters and digits of any script
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
# What `--voice` takes for a file.
_FILE_SUFFIXES = (VOICE_SUFFIX, ".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".m4a")


def store_folder() -> Path:
    """Where a user's own voices live; it need not exist yet."""
    home = os.environ.get(HOME)
    if home:
        return Path(home).expanduser() / "voices"
    from platformdirs import user_data_path

    return user_data_path("unisono", appauthor=False) / "voices"


def check_voice_name(name: str) -> str:
    """Hand back a name that can be a file's on every system, its accents composed.

    Raises:
        InputError: empty, too long, reserved by Windows, like a file's name, or with other signs than letters, digits
            and, inside, `-`, `_` and `.`.
    """
    composed = unicodedata.normalize("NFC", name)
    if not composed or len(composed) > LONGEST_NAME or not _NAME.fullmatch(composed):
        raise InputError(
            f"{name[:30]!r} is no name for a voice: use at most {LONGEST_NAME} letters and digits "
            "with '-', '_' and '.' between them"
        )
    if _RESERVED.fullmatch(composed):
        raise InputError(f"{name!r} is no name for a voice, for Windows keeps it to itself: choose another")
    if composed.lower().endswith(_FILE_SUFFIXES):
        raise InputError(f"{name!r} is no name for a voice, for it looks like a file: leave the suffix away")
    return composed


def ready_voices(folder: Path) -> dict[str, Path]:
    """Names and files of the voices that a model's folder holds."""
    return _voices(folder / "voices")


def stored_voices() -> dict[str, Path]:
    """Names and files of the user's own voices."""
    return _voices(store_folder())


def named_voices(folder: Path) -> dict[str, Path]:
    """Names and files of all voices that may be asked of a model by name: its own, then the user's."""
    return {**stored_voices(), **ready_voices(folder)}


def read_voice(folder: Path, wanted: str) -> Voice | None:
    """The voice that a name or a voice file stands for; None for anything else.

    Raises:
        CheckpointError: a voice file that is missing or damaged.
    """
    named = named_voices(folder)
    if wanted in named or wanted.lower().endswith(VOICE_SUFFIX):
        return load_voice(named.get(wanted, wanted))
    return None


def check_new_voice(folder: Path, name: str, force: bool = False) -> str:
    """Hand back the name under which a voice may be stored; refuse it before any work is done.

    Args:
        folder: of the model, whose own voices keep their names. force: a voice of that name may be replaced.

    Raises:
        InputError: a name that cannot be used or is taken, or a folder that cannot be written to.
    """
    name = check_voice_name(name)
    if name.casefold() in {ready.casefold() for ready in ready_voices(folder)}:
        raise InputError(f"{name} is a voice that comes with the model: choose another name")
    for other in stored_voices():
        if other.casefold() == name.casefold() and other != name:
            raise InputError(f"there is a voice {other}, and names must differ in more than case: choose another")
        if other == name and not force:
            raise InputError(f"there is a voice {name} already: choose another name, or replace it with --force")
    _check_store(store_folder())
    return name


def store_voice(voice: Voice) -> Path:
    """Keep a voice under its name; the file appears whole, or not at all.

    Raises:
        InputError: a name that cannot be used, a folder that cannot be made. CheckpointError: no room to write.
    """
    folder = store_folder()
    path = folder / f"{check_voice_name(voice.name)}{VOICE_SUFFIX}"
    _check_store(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"the folder of voices {folder} cannot be made ({problem.strerror}): see {HOME}") from None
    save_voice(path, voice)
    return path


def remove_voice(folder: Path, name: str) -> Path:
    """Delete one of the user's own voices. Raises InputError when there is none of that name."""
    path = stored_voices().get(name)
    if path is None:
        if name in ready_voices(folder):
            raise InputError(f"{name} comes with the model and stays: only added voices can be removed")
        names = ", ".join(stored_voices()) or "none"
        raise InputError(f"there is no voice {name[:60]!r} to remove; added are: {names}")
    try:
        path.unlink()
    except OSError as problem:
        raise InputError(f"{path} cannot be removed: {problem.strerror}") from None
    return path


def _voices(folder: Path) -> dict[str, Path]:
    """Names and voice files of a folder, by name; nothing where it is absent or may not be looked into."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == VOICE_SUFFIX and path.is_file())
    except (OSError, ValueError):
        return {}
    return {unicodedata.normalize("NFC", path.stem): path for path in found if not path.name.startswith(".")}


def _check_store(folder: Path) -> None:
    """Refuse a folder of voices that could not be written to, or made; nothing is made here."""
    existing = next((path for path in (folder, *folder.parents) if exists(path)), folder)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        kind = "read-only" if existing.is_dir() else "no folder"
        raise InputError(f"voices cannot be kept in {folder!s:.200}, for {existing!s:.200} is {kind}: see {HOME}")
