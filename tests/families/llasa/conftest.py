"""A random Llasa model folder, small enough to be built in every run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from llasa_toy import write_toy


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose codec has 64 codes."""
    return write_toy(tmp_path_factory.mktemp("llasa") / "toy")


@pytest.fixture(scope="session")
def toy(toy_folder: Path):
    """The toy, loaded."""
    import unisono

    return unisono.load(toy_folder, device="cpu")
