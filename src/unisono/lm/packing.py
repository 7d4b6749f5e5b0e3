"""Products with fixed weights, as plain functions, for models and machines that `unisono.lm.native` has no kernels for.

Weights in 8 or 16 bits are for machines whose speed is that of reading them: a CPU at batch one.
Axes: M rows, I inputs, O outputs, C width.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional

PACKINGS = ("none", "half", "int8")
# Parameters up to which weights are copied into fused products: the step of a small model is bound by the number of
# calls, that of a large one by memory.
FUSED_LIMIT = 64_000_000
FEW_ROWS = 32  # up to which oneDNN reads large float32 weights faster
# Weights from which float32 products of few rows are left to oneDNN: at two rows, both of guidance's, it reads a large
# matrix 1.6 times as fast as the default does.
LARGE = 1_000_000
LEAST_ROWS = 4  # from which on the float32 product of a row is the same whatever the number of rows
KERNEL_STEP = 16  # the packed kernel reads inputs in steps of this, past the end of rows that are no multiple of it

Product = Callable[[torch.Tensor], torch.Tensor]
"""Rows [M, I] -> [M, O], in the format of `row_format`."""


def check_packing(packing: str) -> None:
    """Raise ValueError for an unknown packing."""
    if packing not in PACKINGS:
        raise ValueError(f"unknown packing {packing!r}, expected one of {', '.join(PACKINGS)}")


def row_format(weight: torch.Tensor, packing: str) -> torch.dtype:
    """What rows are given in to a product, and come out in: bfloat16 for torch's kernel of int8 weights."""
    return torch.bfloat16 if packing == "int8" else weight.dtype


@torch.no_grad()
def product(weight: torch.Tensor, packing: str) -> Product:
    """The product with a weight [O, I], which is copied where it is packed.

    int8 keeps one scale per output; its error is about 0.8 % of the result's norm. "half" rounds weights to float16 and
    nothing else, an error of .02 %, none where they are stored so. Raises ValueError for an unknown packing.
    """
    check_packing(packing)
    fixed = weight.detach()
    if packing != "none":
        return _int8_product(fixed) if packing == "int8" else _half_product(fixed)
    large = fixed.numel() >= LARGE and fixed.device.type == "cpu" and fixed.dtype == torch.float32
    if large and torch.backends.mkldnn.is_available():
        return _large_product(fixed)
    return lambda rows: steady(fixed, rows)


def _large_product(weight: torch.Tensor) -> Product:
    """The float32 product of a large weight as it is; one row is the default's, which reads as fast."""
    kernel = torch.ops.mkldnn._linear_pointwise

    def multiply(rows: torch.Tensor) -> torch.Tensor:
        if 1 < rows.shape[0] <= FEW_ROWS:
            return kernel(rows, weight, None, "none", [], "")
        return functional.linear(rows, weight)

    return multiply


def _half_product(weight: torch.Tensor) -> Product:
    """float32 rows and sums over float16 weights: a row is the same whatever the number of rows."""
    rounded = weight.half()
    if not (_reads_half() and weight.device.type == "cpu"):
        rounded = rounded.to(weight.dtype)
        return lambda rows: steady(rounded, rows)
    packed, kernel = _pack_half(rounded.float()), torch.fbgemm_linear_fp16_weight_fp32_activation
    return lambda rows: kernel(rows, packed, None)


@cache
def _reads_half() -> bool:
    """Whether this machine and this torch have the kernel, which newer ones may drop."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both say once that they will go some day: then the plain product serves
            packed = torch.fbgemm_pack_gemm_matrix_fp16(torch.ones(16, 16))
            made = torch.fbgemm_linear_fp16_weight_fp32_activation(torch.ones(1, 16), packed, None)
    except (AttributeError, RuntimeError):
        return False
    return bool((made == 16).all())


def _pack_half(weight: torch.Tensor) -> torch.Tensor:
    """Weights [O, I] as the kernel reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.fbgemm_pack_gemm_matrix_fp16(weight)


def _int8_product(weight: torch.Tensor) -> Product:
    scale = weight.float().abs().amax(1).clamp_min(1e-12) / 127  # [O]
    packed = (weight.float() / scale[:, None]).round().to(torch.int8).contiguous()
    scale = scale.bfloat16()
    kernel, fits = torch._weight_int8pack_mm, weight.shape[1] % KERNEL_STEP == 0

    def multiply(rows: torch.Tensor) -> torch.Tensor:
        # Whatever the number of rows: beyond 32 the dense product is up to twice as fast, but rounds otherwise, and a
        # row of a batch has to be what it is alone.
        if fits:
            return kernel(rows, packed, scale)
        return functional.linear(rows, packed.to(rows.dtype)) * scale

    return multiply


def feed_forward(gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor, packing: str) -> Product:
    """down(SiLU(gate) · up), gate and up [inner, C] in one product: rows [M, C] -> [M, C]."""
    back = product(down, packing)
    if packing == "none" and gate.numel() >= LARGE:  # reading is all that counts: no copy
        first, second = product(gate, packing), product(up, packing)
        return lambda rows: back(functional.silu(first(rows)).mul_(second(rows)))
    both = product(torch.cat([gate, up]), packing)

    def run(rows: torch.Tensor) -> torch.Tensor:
        gated, passed = both(rows).chunk(2, -1)
        return back(functional.silu(gated).mul_(passed))

    return run


def unit_rms(eps: float, width: int, like: torch.Tensor) -> Product:
    """x / sqrt(mean(x²) + eps) over rows [.., C] on `like`'s device; few rows take a quarter of the library's time."""
    least, share = torch.full((), eps, dtype=torch.float32, device=like.device), 1 / width

    def norm(x: torch.Tensor) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return x * torch.addcmul(least, length, length, value=share).rsqrt_()

    if like.device.type != "cpu" or like.dtype != torch.float32:
        return norm
    few, little = np.float32(1 / width), np.float32(eps)
    return lambda x: norm(x) if x.requires_grad else torch.from_numpy(_unit_rms(x.numpy(), few, little))


def _unit_rms(x: np.ndarray, share: np.float32, least: np.float32) -> np.ndarray:
    """`unit_rms` of float32 [.., C]; share = 1 / C."""
    return x / np.sqrt(np.vecdot(x, x) * share + least)[..., None]


def steady(linear: nn.Module | torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """A linear layer, or the product with a weight [O, I], of rows [M, I], the same for a row alone and among others.

    Few rows go through other kernels than many, which sum in another order. Low precision would make of that last
    bit a difference that is heard.
    """
    count = len(rows)
    if count < LEAST_ROWS and rows.device.type == "cpu":
        rows = functional.pad(rows, (0, 0, 0, LEAST_ROWS - count))
    made = linear(rows) if isinstance(linear, nn.Module) else functional.linear(rows, linear)
    return made[:count]
