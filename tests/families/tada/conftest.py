"""A small random model laid out as TADA was published."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that the builders can be imported under importlib mode

from published_models import build_published


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The folder of the random published language model, its codec beside it. Not to be changed: copy its parent."""
    return build_published(tmp_path_factory.mktemp("published"))
