"""Weights in 8 bits for machines whose speed is that of reading them: a CPU at batch one.

Axes: M rows, I inputs, O outputs. Rows stay in the caller's number format; only products are made in bfloat16.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

PACKINGS = ("none", "int8")
# Beyond this many rows the dense product on expanded weights wins over the packed kernel.
FEW_ROWS = 32
KERNEL_STEP = 16  # the packed kernel reads inputs in steps of this, past the end of rows that are no multiple of it


class Dense(nn.Module):
    """The product with a weight [O, I] as it is, without a bias."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., I] -> [..., O]."""
        return functional.linear(x, self.weight)


class Int8Linear(nn.Module):
    """The product with a weight [O, I] kept as int8 with one scale per output; error about 0.7 % of the result's norm.

    The kernel wants bfloat16 rows: with float32 ones it is slower than the dense product.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        super().__init__()
        scale = weight.detach().float().abs().amax(1).clamp_min(1e-12) / 127  # [O]
        packed = (weight.detach().float() / scale[:, None]).round().to(torch.int8)
        self.register_buffer("packed", packed.contiguous())
        self.register_buffer("scale", scale.bfloat16())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., I] -> [..., O] in the number format of x."""
        rows = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        if rows.shape[0] > FEW_ROWS or rows.shape[1] % KERNEL_STEP:
            result = functional.linear(rows, self.packed.to(x.dtype)) * self.scale.to(x.dtype)
        else:
            result = torch._weight_int8pack_mm(rows.bfloat16(), self.packed, self.scale).to(x.dtype)
        if self.bias is not None:
            result = result + self.bias
        return result if x.ndim == 2 else result.view(*x.shape[:-1], -1)


class FeedForward(nn.Module):
    """down(SiLU(gate) · up) with gate and up in one product; between int8 products rows stay bfloat16."""

    def __init__(self, gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor, packing: str) -> None:
        super().__init__()
        self.gate_up = packed_product(torch.cat([gate, up]), packing)
        self.down = packed_product(down, packing)
        self.inner = torch.bfloat16 if packing == "int8" else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[M, C] -> [M, C]."""
        rows = x if self.inner is None else x.to(self.inner)
        gate, up = self.gate_up(rows).chunk(2, dim=-1)
        return self.down(functional.silu(gate).mul_(up)).to(x.dtype)


def packed_product(weight: torch.Tensor, packing: str) -> nn.Module:
    """The product with a weight [O, I] under a packing. Raises ValueError for an unknown one."""
    if packing not in PACKINGS:
        raise ValueError(f"unknown packing {packing!r}, expected one of {', '.join(PACKINGS)}")
    return Int8Linear(weight) if packing == "int8" else Dense(weight)


def int8_copy(module: nn.Module) -> nn.Module:
    """A module that shares everything with the given one except its linear layers, which become int8.

    A child with a method `packed` says itself what stands for it.
    """
    if isinstance(module, nn.Linear):
        return Int8Linear(module.weight, module.bias)
    if hasattr(module, "packed"):
        return module.packed()
    clone = copy.copy(module)
    clone._modules = {name: None if child is None else int8_copy(child) for name, child in module._modules.items()}
    return clone
