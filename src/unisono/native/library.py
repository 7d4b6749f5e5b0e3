"""Finding the compiled kernels that this processor can run."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch

BLOCK = 64  # outputs that lie together in a packed weight
LANES = 16  # widths that kernels read in whole vectors are multiples of this
BY_CAPABILITY = {"AVX512": ("_avx512", "_avx2"), "AVX2": ("_avx2",)}

Pointer, Long = ctypes.c_void_p, ctypes.c_long


class Weight(ctypes.Structure):
    """A packed weight, see `kernels.h`."""

    _fields_ = (("values", Pointer), ("scales", Pointer), ("inputs", Long), ("outputs", Long))


SIGNATURES = {
    "product": (None, [Pointer, Pointer, Pointer, Long, Long]),
    "plain_product": (None, [Pointer, Pointer, Pointer, Long, Long, Long, Long]),
    "llama_step": (ctypes.c_int, [Pointer, Long, Pointer, Pointer, Long, Pointer, Pointer, Long, Pointer, Pointer]),
    "head_modulate": (ctypes.c_int, [Pointer, Long, Long, Pointer, Pointer, Pointer]),
    "head_velocity": (ctypes.c_int, [Pointer, Long, Long, Pointer, Pointer, Pointer]),
}


@cache
def library() -> ctypes.CDLL | None:
    """The kernels for this processor, or None where there are none, or nobody wants them."""
    if os.environ.get("UNISONO_KERNELS", "").lower() in ("off", "0", "no"):
        return None
    for name in BY_CAPABILITY.get(torch.backends.cpu.get_cpu_capability(), ()):
        for suffix in EXTENSION_SUFFIXES:
            path = Path(__file__).with_name(name + suffix)
            if path.exists():
                return _opened(path)
    return None


def _opened(path: Path) -> ctypes.CDLL | None:
    try:
        opened = ctypes.CDLL(str(path))
    except OSError:  # compiled for another system
        return None
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(opened, name)
        function.restype, function.argtypes = result, arguments
    return opened


def padded(outputs: int) -> int:
    """Outputs of a packed weight, those that fill up the last block included."""
    return -(-outputs // BLOCK) * BLOCK


class Packed:
    """A weight [O, I] as kernels read it: float16, or int8 with one scale an output. `weight` is the structure."""

    def __init__(self, weight: torch.Tensor, whole: bool = False) -> None:
        outputs, inputs = weight.shape
        self.scales = None
        if whole:
            scales = weight.float().abs().amax(1).clamp_min(1e-12) / 127  # [O]
            weight = (weight.float() / scales[:, None]).round()
            self.scales = torch.zeros(padded(outputs)).index_copy_(0, torch.arange(outputs), scales)
        form = torch.int8 if whole else torch.float16
        filled = torch.zeros(padded(outputs), inputs, dtype=form)
        filled[:outputs] = weight
        self.values = filled.view(-1, BLOCK, inputs).transpose(1, 2).contiguous()  # [O / 64, I, 64]
        self.outputs = outputs
        self.weight = Weight(
            self.values.data_ptr(), None if self.scales is None else self.scales.data_ptr(), inputs, outputs
        )


def all_weights(parts: list[Packed]) -> ctypes.Array[Weight]:
    """Weights one after the other, as kernels take those of all layers; the parts have to be kept as long."""
    return (Weight * len(parts))(*(part.weight for part in parts))
