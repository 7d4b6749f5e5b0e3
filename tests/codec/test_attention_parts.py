"""Attention by parts of the queries, and rotary positions beyond the stored table."""

import pytest
import torch

from unisono.codec import attention
from unisono.codec.attention import LocalAttentionEncoder, query_parts, rope_rows, rope_table
from unisono.codec.segments import KINDS, segment_mask, segments


def some_marks(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return (torch.rand(rows, length, generator=torch.Generator().manual_seed(seed)) < 0.2).long()


@pytest.mark.parametrize("kind", KINDS)
def test_parts_see_all_that_the_whole_mask_lets_them_see(kind) -> None:
    marks = some_marks(3, 90)
    whole, blocks = segment_mask(marks, kind), segments(marks, kind)
    for start, stop in ((0, 90), (0, 1), (17, 40), (89, 90)):
        low, high = blocks.keys(start, stop)
        part = blocks.blocked(slice(start, stop), slice(low, high))
        assert torch.equal(part, whole[:, start:stop, low:high])
        assert whole[:, start:stop, :low].all() and whole[:, start:stop, high:].all()


def test_parts_cover_every_query_once_within_the_limit(monkeypatch) -> None:
    monkeypatch.setattr(attention, "CELLS", 400)
    blocks = segments(some_marks(1, 500), "decoder_v2")
    parts = list(query_parts(blocks))
    assert [q.start for q, _ in parts] == [0, *(q.stop for q, _ in parts[:-1])] and parts[-1][0].stop == 500
    assert all((q.stop - q.start) * (k.stop - k.start) <= 400 or q.stop - q.start == 1 for q, k in parts)


@pytest.mark.parametrize("kind", ["encoder_v1", "encoder_v2", "decoder_v2"])
def test_by_parts_equals_the_dense_product(monkeypatch, kind) -> None:
    torch.manual_seed(0)
    stack = LocalAttentionEncoder(16, 2, 2, 16, max_frames=64).eval()
    marks, x = some_marks(2, 120, 1), torch.randn(2, 120, 16)
    with torch.no_grad():
        dense = stack(x, segment_mask(marks, kind))
        monkeypatch.setattr(attention, "WHOLE", 16)
        torch.testing.assert_close(stack(x, segments(marks, kind)), dense, atol=1e-5, rtol=0)
        window = stack(x, segments(marks, kind), 50, 30)
        torch.testing.assert_close(window, stack(x, segment_mask(marks, kind), 50, 30), atol=1e-5, rtol=0)


@pytest.mark.parametrize("rounded", [False, True])
def test_positions_go_on_beyond_the_table(rounded) -> None:
    table, longer = rope_table(50, 8), rope_table(80, 8)
    if rounded:
        table, longer = table.bfloat16().float(), longer.bfloat16().float()
    assert torch.equal(rope_rows(table, 10, 50), table[10:])
    for start in (30, 50, 60):
        rows = rope_rows(table, start, 80)
        assert rows.shape == (80 - start, 4, 2)
        torch.testing.assert_close(rows, longer[start:], atol=1e-5 if not rounded else 8e-3, rtol=0)
        assert not rounded or torch.equal(rows, rows.bfloat16().float())
