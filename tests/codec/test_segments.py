"""Segment masks and marks against slow loops written from the words of the specification."""

import torch

from unisono.codec.marks import FAR, MarkContext, neighbours
from unisono.codec.segments import KINDS, segment_mask


def slow(marks: list[int], kind: str, i: int, j: int) -> bool:
    """Whether query frame i may see key frame j (spec section 6.3)."""
    opened = [sum(marks[: t + 1]) for t in range(len(marks))]
    closed = [c - m for c, m in zip(opened, marks, strict=True)]
    if kind == "encoder_v2":
        own = opened[i] == opened[j] and (not marks[j] or i == j)
        return own or bool(marks[i] and not marks[j] and opened[j] == opened[i] - 1)
    if kind == "encoder_v1":
        return closed[j] == closed[i] or (closed[j] == closed[i] + 1 and not marks[j])
    if kind == "decoder_v2":
        return closed[j] in (closed[i], closed[i] - 1)
    return j <= i if marks[i] else j < i or closed[j] == closed[i]


def test_masks_equal_the_slow_rule() -> None:
    generator = torch.Generator().manual_seed(0)
    for length in (1, 2, 9, 17):
        marks = (torch.rand(4, length, generator=generator) < 0.4).long()
        for kind in KINDS:
            mask = segment_mask(marks, kind)
            for row in range(4):
                wanted = [[not slow(marks[row].tolist(), kind, i, j) for j in range(length)] for i in range(length)]
                assert mask[row].tolist() == wanted, (kind, marks[row])


def test_no_frame_is_left_without_a_key() -> None:
    marks = (torch.rand(8, 50, generator=torch.Generator().manual_seed(1)) < 0.3).long()
    for kind in ("encoder_v1", "encoder_v2", "decoder_v2"):
        assert not segment_mask(marks, kind).all(-1).any(), kind


def test_neighbours() -> None:
    previous, following = neighbours(torch.tensor([[0, 1, 0, 0, 1, 0]]))
    assert previous.tolist() == [[-1, -1, 1, 1, 1, 4]]
    assert following.tolist() == [[1, 1, 4, 4, 4, 6]]


def test_context_reaches_one_mark_to_each_side() -> None:
    torch.manual_seed(0)
    context, marks = MarkContext(4, 8), torch.tensor([[1, 0, 0, 1, 0, 1, 0, 1]])
    vectors = torch.randn(1, 8, 4) * marks[..., None]
    changed = vectors.clone()
    changed[0, 7] += 1
    moved = (context(vectors, marks) != context(changed, marks)).any(-1)[0]
    assert moved.tolist() == [False] * 6 + [True, True]
    assert FAR > 10
