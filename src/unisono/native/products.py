"""Products of few rows with large weights, shared by torch's number of threads.

Axes: M rows, I inputs, O outputs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch

from unisono.native.library import LANES, Packed, library, padded


def int8_product(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """float32 rows [M, I] -> [M, O] by a weight [O, I] rounded to int8, or None where there are no kernels."""
    kernels = library()
    if kernels is None or weight.device.type != "cpu":
        return None
    packed = Packed(weight, whole=True)
    about, width = ctypes.byref(packed.weight), padded(packed.outputs)

    def multiply(rows: torch.Tensor) -> torch.Tensor:
        rows = rows.contiguous()
        made = rows.new_empty(len(rows), width)
        kernels.product(about, rows.data_ptr(), made.data_ptr(), len(rows), torch.get_num_threads())
        return made[:, : packed.outputs]

    return multiply


def plain_product(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """float32 rows [M, I] -> [M, O] by a float32 weight as it is, or None where there are no kernels for it."""
    kernels = library()
    outputs, inputs = weight.shape
    fits = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.is_contiguous()
    if kernels is None or not fits or inputs % LANES:
        return None

    def multiply(rows: torch.Tensor) -> torch.Tensor:
        rows = rows.contiguous()
        made = rows.new_empty(len(rows), outputs)
        kernels.plain_product(
            weight.data_ptr(), rows.data_ptr(), made.data_ptr(), len(rows), inputs, outputs, torch.get_num_threads()
        )
        return made

    return multiply
