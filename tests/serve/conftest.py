"""A server with the tiny model, shared by the tests of a session."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serving import running

from unisono.serve import Settings


@pytest.fixture(scope="session")
def server(tiny_model, tiny_folder):
    """Open to all, with the tiny model."""
    with running(Settings(), (tiny_model, tiny_folder)) as server:
        yield server


@pytest.fixture
def client(server):
    """An HTTP client of `server`."""
    with server.client() as client:
        yield client
