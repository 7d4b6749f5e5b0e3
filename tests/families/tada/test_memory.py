"""Loading and speaking take hardly more memory than the weights: measured in processes of their own."""

import shutil

import pytest
import torch
from full_shape import build_full, manifest, measure

SPARE = 0.15  # of the bytes of weights, tables and caches, what a process may take beside them (issue 3)


def published_bytes():
    """The language model in bfloat16 and the decoder in float32."""

    def count(module):
        shapes = [shape for name, (shape, _) in manifest(module).items() if not name.endswith("_precomputed_mask")]
        return sum(torch.Size(shape).numel() for shape in shapes)

    return 2 * count("tada-1b") + 4 * count("decoder")


def check(folder, dtype, whole):
    found = measure(folder, dtype)
    assert found["finite"] and found["samples"] > 0 and found["tokens"] > 1 and not found["algebra"]
    assert found["weights"] < 1.01 * found["loaded"], found  # else the measurement is wrong
    assert found["loaded"] < (1 + SPARE) * found["weights"], found
    assert found["spoken"] - found["weights"] < SPARE * (whole or found["weights"]), found
    return found


def test_memory_at_reduced_depth(tmp_path):
    """Published widths, one layer of each stack. What speaking takes beside weights does not grow with depth."""
    try:
        check(build_full(tmp_path, layers=1, shards=3), "bfloat16", published_bytes())
    finally:
        shutil.rmtree(tmp_path)  # nearly a gigabyte


@pytest.mark.slow
def test_memory_of_the_published_shape(tmp_path):
    try:
        found = check(build_full(tmp_path, layers=None, shards=4), "bfloat16", None)
        assert found["weights"] == pytest.approx(published_bytes(), rel=0.001)
    finally:
        shutil.rmtree(tmp_path)  # four gigabytes
