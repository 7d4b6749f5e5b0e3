"""Writing files so that nothing half-written is ever seen: checked first, written beside the target, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unisono.errors import InputError, UnisonoError

STANDARD = "-"  # standard input or output
LONGEST_NAME = 230  # bytes; file systems stop at 255, and the temporary name is a little longer
LONGEST_PATH = 3900  # bytes


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8: it has no half of a surrogate pair, as badly decoded bytes have."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def exists(path: str | Path) -> bool:
    """Whether there is something of that name; a name that no file can have is none."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def check_output(path: str | Path, suffixes: Sequence[str] = (), error: type[UnisonoError] = InputError) -> None:
    """Refuse, before any work is done, a file that could not be written in the end.

    Args:
        path: the file to be written, or "-" for standard output, which is always fine here.
        suffixes: allowed suffixes such as ".wav", compared without case; empty = any.
        error: class of the exception.

    Raises:
        error: unknown suffix, missing parent folder (none is created), a folder in the way, no right to write.
    """
    if str(path) == STANDARD:
        return
    path = Path(path)
    if suffixes and path.suffix.lower() not in [suffix.lower() for suffix in suffixes]:
        got = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        raise error(f"{path} {got}, known are {' '.join(suffixes)}: choose another name")
    _check_place(path, error)


def check_folder(path: str | Path, error: type[UnisonoError] = InputError) -> None:
    """The same for a folder to be filled: it may exist or its parent must.

    Raises:
        error: a file in the way, missing parent folder, no right to write.
    """
    path = Path(path)
    if path.is_dir():
        if not os.access(path, os.W_OK | os.X_OK):
            raise error(f"the folder {path} may not be written to: choose another")
        return
    if path.exists():
        raise error(f"{path} is a file, a folder is wanted: choose another name")
    _check_place(path, error)


def _check_place(path: Path, error: type[UnisonoError]) -> None:
    """Whether `path` can come into being where it is named."""
    if "\0" in str(path) or len(os.fsencode(path.name)) > LONGEST_NAME or len(os.fsencode(path)) > LONGEST_PATH:
        raise error(f"{path.name[:40]!r}... is no usable file name (too long, or with a NUL): choose another")
    if not is_unicode(str(path)):
        raise error(f"{ascii(str(path))[:40]} is no usable file name (no valid UTF-8): choose another")
    if path.is_dir():
        raise error(f"{path} is a folder, a file is wanted: add a file name")
    if not path.parent.is_dir():
        raise error(f"{path} cannot be written because the folder {path.parent} does not exist: create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise error(f"{path} cannot be written because the folder {path.parent} is read-only: choose another")
    if path.exists() and not os.access(path, os.W_OK):
        raise error(f"{path} exists and is read-only: choose another name")


@contextmanager
def replacing(path: str | Path, error: type[UnisonoError] = InputError) -> Iterator[Path]:
    """A temporary name beside `path` with the same suffix; renamed to `path` at the end, removed when something fails.

    Raises:
        error: the system refused to write (no space, no rights).
    """
    with all_or_none([path], error) as (temporary,):
        yield temporary


@contextmanager
def all_or_none(paths: Sequence[str | Path], error: type[UnisonoError] = InputError) -> Iterator[list[Path]]:
    """Temporary names for several files, which come into being together after the last was written, or not at all.

    A name that was not written to is left alone.

    Raises:
        error: the system refused to write (no space, no rights).
    """
    targets = [Path(path) for path in paths]
    mark = secrets.token_hex(4)
    names = [target.with_name(f".{mark}-{i}-{target.name}"[-250:]) for i, target in enumerate(targets)]
    try:
        yield names
        for temporary, target in zip(names, targets, strict=True):
            if temporary.exists():
                os.replace(temporary, target)
    except OSError as problem:
        shown = ", ".join(str(target) for target in targets) or "standard output"
        raise error(f"{shown} cannot be written: {problem.strerror or problem}") from problem
    except UnisonoError as problem:  # of a writer that knows the temporary name only
        for temporary, target in zip(names, targets, strict=True):
            problem.args = tuple(str(part).replace(str(temporary), str(target)) for part in problem.args)
        raise
    finally:
        for temporary in names:
            temporary.unlink(missing_ok=True)


@contextmanager
def filling(folder: str | Path, error: type[UnisonoError] = InputError) -> Iterator[Path]:
    """A temporary folder beside `folder`; renamed to it at the end, removed with all in it when something fails.

    Raises:
        error: something of that name exists, its parent does not, or the system refused to write.
    """
    folder = Path(folder)
    if folder.exists() or folder.is_symlink():
        raise error(f"{folder} exists already: name a new folder")
    _check_place(folder, error)
    temporary = folder.with_name(f".{secrets.token_hex(4)}-{folder.name}"[-250:])
    try:
        temporary.mkdir()
        yield temporary
        temporary.rename(folder)
    except OSError as problem:
        raise error(f"{folder} cannot be written: {problem.strerror or problem}") from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
