"""The folder of a report: filled under a temporary name beside its place, put there when it is whole."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unisono.errors import InputError
from unisono.files import check_folder

REPORT, PAGE, AUDIO, PICTURES = "report.json", "index.html", "audio", "pictures"
OURS = {REPORT, PAGE, AUDIO, PICTURES}


def check_report_folder(path: str | Path) -> None:
    """Refuse a folder that could not be written, or that holds something else than an earlier report.

    Raises:
        InputError: a file in the way, parent folder missing, no right to write, or a folder in use for something else.
    """
    check_folder(path)
    path = Path(path)
    if not path.is_dir():
        return
    names = {entry.name for entry in path.iterdir()}
    if names and not (names <= OURS and _is_report(path / REPORT)):
        raise InputError(f"the folder {path} is not empty and no earlier report: choose a new one, or empty it")


def _is_report(path: Path) -> bool:
    """Whether a file is the report of an earlier evaluation."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"n", "items", "failures"} <= content.keys()


@contextmanager
def report_folder(path: str | Path) -> Iterator[Path]:
    """A new folder to be filled, which takes the place of `path` at the end; when something fails, nothing is left.

    Raises:
        InputError: as `check_report_folder`, or the system refused to write.
    """
    check_report_folder(path)
    target = Path(path).resolve()
    mark = secrets.token_hex(4)
    partial, old = (target.with_name(f".{target.name[:40]}-{mark}-{kind}") for kind in ("new", "old"))
    try:
        (partial / AUDIO).mkdir(parents=True)
        (partial / PICTURES).mkdir()
        yield partial
        check_report_folder(path)  # an evaluation takes minutes, in which the place may have been used
        if target.exists():
            os.replace(target, old)
        os.replace(partial, target)
    except OSError as problem:
        raise InputError(f"the report {path} cannot be written: {problem.strerror or problem}") from problem
    finally:
        if old.exists() and not target.exists():
            os.replace(old, target)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
