"""A random Llasa model folder, small enough to be built in every run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the builder can be imported under importlib mode

from llasa_toy import write_toy


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose codec has 64 codes. Not to be changed: copy it first."""
    return write_toy(tmp_path_factory.mktemp("llasa") / "toy")


@pytest.fixture(scope="session")
def toy(toy_folder: Path):
    """The toy, loaded, with itself as its assistant."""
    import unisono

    return unisono.load(toy_folder, device="cpu", assistant=toy_folder)


@pytest.fixture(scope="session")
def voice(toy, recording: Path, transcript: str):
    """A voice of the toy, from a recording of three seconds."""
    return toy.voice(recording, text=transcript)
