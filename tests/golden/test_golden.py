"""Every golden file is reproduced: one test per file, `tada-generate_default`; see `golden_harness.py`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch
from golden_harness import HERE, find_checker, golden_files, golden_root, open_golden

for _path in sorted(HERE.glob("check_*.py")):
    import_module(_path.stem)

FILES = golden_files(golden_root())


def test_there_are_golden_files() -> None:
    assert FILES, f"{golden_root()} has no golden files: set UNISONO_GOLDEN to a folder with tada/ in it"


@pytest.mark.parametrize(
    ("family", "path"), FILES, ids=[f"{family}-{path.name.split('.')[0]}" for family, path in FILES]
)
def test_golden(family: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = find_checker(family, path.name.split(".")[0])
    assert check is not None, f"{path.name} is a kind of golden file that no checker in {HERE} knows: write one"
    assert path.exists(), f"{path.parent / 'INDEX.json'} names {path.name}, which is not there"
    golden = open_golden(path, family)
    with torch.inference_mode():
        check(golden)
    if golden.worst:
        label, error = max(golden.worst.items(), key=lambda entry: entry[1])
        print(f"{golden.stem}: largest error {error:.2g} ({label})")
