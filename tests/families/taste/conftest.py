"""Tiny TASTE models; the folder of one shares parts with the tiny TADA model that it lies in."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the builders can be imported under importlib mode

from taste_folder import build_taste


@pytest.fixture(scope="session")
def tada_copy(tmp_path_factory, tiny_folder):
    """A copy of the tiny TADA model's folder, for models that lie in it."""
    return Path(shutil.copytree(tiny_folder, tmp_path_factory.mktemp("beside") / "tada"))


@pytest.fixture(scope="session")
def taste_dir(tada_copy):
    """The folder of a tiny TASTE model with the published kind of unit decoder. Not to be changed: copy it first."""
    return build_taste(tada_copy / "taste", tada_copy)


@pytest.fixture(scope="session")
def taste(taste_dir):
    """The tiny TASTE model, loaded once."""
    from unisono import hub

    return hub.load(taste_dir, device="cpu")


@pytest.fixture(scope="session")
def taste_diffusion(tada_copy):
    """A tiny TASTE model with finite scalars and the diffusion decoder."""
    from unisono import hub

    folder = build_taste(tada_copy / "diffusion", tada_copy, kind="masked_diffusion", quantiser="fsq")
    return hub.load(folder, device="cpu")
