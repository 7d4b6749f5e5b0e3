"""A random Dia model folder, small enough to be built in every run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the builder can be imported under importlib mode

from dia_toy import write_toy


@pytest.fixture(scope="session")
def dia_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder. Not to be changed: copy it first."""
    return write_toy(tmp_path_factory.mktemp("dia") / "toy")


@pytest.fixture(scope="session")
def dia(dia_folder: Path):
    """The toy, loaded."""
    import unisono

    return unisono.load(dia_folder, device="cpu")
