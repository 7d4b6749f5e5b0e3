"""Codes of a corpus: a codec that writes the same code everywhere is refused."""

import pytest
import torch

from unisono.errors import TrainingError
from unisono.train.stages.codes import Codes, check_use


def test_a_collapsed_codec_is_refused():
    check_use(torch.arange(64))
    with pytest.raises(TrainingError, match=r"2 codes are in use and carry 0\.08 bits"):
        check_use(torch.tensor([5] * 99 + [7]))


def test_codes_of_a_clip_lie_between_its_starts():
    from types import SimpleNamespace

    codes = Codes(torch.arange(10, dtype=torch.int32)[:, None], torch.tensor([0, 4, 4, 10]))
    assert [len(codes.of(SimpleNamespace(index=index))) for index in range(3)] == [4, 0, 6]
    assert codes.of(SimpleNamespace(index=2)).dtype == torch.long
