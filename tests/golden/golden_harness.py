"""Reads golden files and finds the checker of each by its stem; knows no file, case, size or model by name.

A checker is a function of one `Golden`, registered with `@checker("stem")` or a shell pattern, in any file
`check_<area>.py` of this folder. Numbers come from the headers; tolerances from `golden/<family>/README.md`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

HERE = Path(__file__).parent
SUFFIXES = (".safetensors", ".json", ".jsonl")
INDEX = "INDEX.json"
MODULE_TOLERANCE = 2e-5
GENERATE_TOLERANCE = 1e-4
ALIGNER_TOLERANCE = FULLSIZE_TOLERANCE = 1e-3


class Golden:
    """One golden file: `meta` (its header), `tensors`, and comparisons that name file and case when they fail."""

    def __init__(self, path: Path, family: str) -> None:
        self.path, self.family, self.stem = path, family, path.name.split(".")[0]
        self.worst: dict[str, float] = {}

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """The `json` entry of the header; without one, what the index says."""
        with safe_open(self.path, "pt") as file:
            header = file.metadata() or {}
        return json.loads(header["json"]) if "json" in header else self._indexed.get("metadata", {})

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor. Fails when the index of the folder promises others."""
        with safe_open(self.path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (a handle is no dict)
        for name, (shape, _) in self._indexed.get("tensors", {}).items():
            assert name in tensors and list(tensors[name].shape) == shape, f"{self.path}: {name} is not as indexed"
        return tensors

    @property
    def _indexed(self) -> Mapping[str, Any]:
        return read_index(self.path.parent).get(self.path.name, {})

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def sibling(self, stem: str) -> Golden:
        """Another file of the same set."""
        return open_golden(self.path.with_name(f"{stem}.safetensors"), self.family)

    def part(self, *prefixes: str) -> dict[str, torch.Tensor]:
        """Tensors below a prefix ("m0."), with the prefix cut off; the first prefix that fits counts."""
        found = {}
        for name, tensor in self.tensors.items():
            prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
            if prefix is not None:
                found[name[len(prefix) :]] = tensor
        return found

    def close(self, actual: torch.Tensor, expected: str | torch.Tensor, tolerance: float, what: str = "") -> None:
        """Fail unless shapes are equal and no entry differs by more than `tolerance`."""
        label = what or (expected if isinstance(expected, str) else "value")
        wanted = self[expected] if isinstance(expected, str) else expected
        assert actual.shape == wanted.shape, f"{self.stem} {label}: {list(actual.shape)}, expected {list(wanted.shape)}"
        if wanted.numel() == 0:
            return
        difference = (actual.detach().double() - wanted.double()).abs()
        assert not difference.isnan().any(), f"{self.stem} {label}: not a number"
        error = float(difference.max())
        self.worst[label] = max(error, self.worst.get(label, 0.0))
        assert error <= tolerance, f"{self.stem} {label}: off by {error:.3g}, allowed {tolerance:g}"

    def equal(self, actual: torch.Tensor, expected: str | torch.Tensor, what: str = "") -> None:
        """Fail unless shapes and all values are equal (integers, masks, positions, durations)."""
        label = what or (expected if isinstance(expected, str) else "value")
        wanted = self[expected] if isinstance(expected, str) else expected
        assert actual.shape == wanted.shape, f"{self.stem} {label}: {list(actual.shape)}, expected {list(wanted.shape)}"
        different = int((actual.long() != wanted.long()).sum())
        assert different == 0, f"{self.stem} {label}: {different} of {wanted.numel()} differ"


Check = Callable[[Golden], None]
_CHECKERS: list[tuple[str, str, Check]] = []


def checker(pattern: str, family: str = "tada") -> Callable[[Check], Check]:
    """Register a function for files whose stem is `pattern` or fits it as a shell pattern."""

    def register(function: Check) -> Check:
        _CHECKERS.append((family, pattern, function))
        return function

    return register


def find_checker(family: str, stem: str) -> Check | None:
    """The checker of a stem: an exact name before patterns, longer patterns before shorter ones."""
    fitting = [
        (pattern == stem, len(pattern), function)
        for known, pattern, function in _CHECKERS
        if known == family and fnmatchcase(stem, pattern)
    ]
    return max(fitting, key=lambda entry: entry[:2])[2] if fitting else None


def known_families() -> set[str]:
    """Families that have checkers."""
    return {family for family, _, _ in _CHECKERS}


def golden_root() -> Path:
    """`UNISONO_GOLDEN`, else `shared/golden` beside the checkout, else the small copy in this folder."""
    given = os.environ.get("UNISONO_GOLDEN")
    if given:
        return Path(given)
    beside = HERE.parents[2] / "shared" / "golden"
    return beside if beside.is_dir() else HERE


def golden_files(root: Path) -> list[tuple[str, Path]]:
    """(family, file) of everything in a golden folder, files that only an index names included; other folders are
    ignored."""
    found = []
    for family in sorted(known_families()):
        folder = root / family
        if folder.is_dir():
            names = {path.name for path in folder.iterdir() if path.suffix in SUFFIXES} | set(read_index(folder))
            found += [(family, folder / name) for name in sorted(names - {INDEX})]
    return found


@cache
def read_index(folder: Path) -> Mapping[str, Any]:
    """INDEX.json of a family's folder, or nothing."""
    path = folder / INDEX
    return json.loads(path.read_text()) if path.exists() else {}


@cache
def open_golden(path: Path, family: str) -> Golden:
    """A golden file, opened once: several files share weights."""
    return Golden(path, family)
