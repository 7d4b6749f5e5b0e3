"""Loading and speaking take hardly more memory than the weights: measured in processes of their own."""

import shutil

import pytest
from full_shape import build_full, measure

LIMIT = 1.15  # peak memory above imports, over the bytes of weights, tables and caches (issue 3)


def check(folder, dtype):
    found = measure(folder, dtype)
    assert found["finite"] and found["samples"] > 0 and found["tokens"] > 1
    assert found["loaded"] < LIMIT * found["weights"], found
    assert found["spoken"] < LIMIT * found["weights"], found
    assert found["weights"] < 1.01 * found["loaded"], found  # else the measurement is wrong
    return found


@pytest.fixture(scope="module")
def shallow(tmp_path_factory):
    """Published widths, one layer of each stack: nearly a gigabyte on disk while the tests of this file run."""
    root = tmp_path_factory.mktemp("shallow")
    yield build_full(root, layers=1, shards=3)
    shutil.rmtree(root)


def test_memory_at_reduced_depth(shallow):
    check(shallow, "bfloat16")


@pytest.mark.slow
def test_memory_of_other_formats(shallow):
    check(shallow, "float32")
    check(shallow, "float16")


@pytest.mark.slow
def test_memory_of_the_published_shape(tmp_path):
    try:
        found = check(build_full(tmp_path, layers=None, shards=4), "bfloat16")
        assert found["weights"] > 3.6e9
    finally:
        shutil.rmtree(tmp_path / "tada-1b", ignore_errors=True)
        shutil.rmtree(tmp_path / "tada-codec", ignore_errors=True)
