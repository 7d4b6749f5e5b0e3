"""Finding the compiled kernels that this processor can run."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import torch
from torch.nn import functional

LAYOUT = 1  # as in kernels.h
BLOCK = 64  # outputs that lie together in a packed weight
PAGE, ROOM = 1 << 21, 1 << 24  # bytes of a large page, and what is asked for at once
LANES = 16  # widths that kernels read in whole vectors are multiples of this
BY_CAPABILITY = {"AVX512": ("_avx512", "_avx2"), "AVX2": ("_avx2",)}

Pointer, Long = ctypes.c_void_p, ctypes.c_long


class Weight(ctypes.Structure):
    """A weight as kernels take it, see `kernels.h`."""

    _fields_ = (("values", Pointer), ("scales", Pointer), ("kind", Long), ("inputs", Long), ("outputs", Long))


KINDS = ("half", "int8", "none")  # packings, in the order of kernels.h
SIGNATURES = {
    "llama_step": [Pointer, Long, Pointer, Pointer, Long, Pointer, Pointer, Long, Pointer, Pointer, Long],
    "head_modulate": [Pointer, Long, Long, Pointer, Pointer, Pointer, Long],
    "head_velocity": [Pointer, Long, Long, Pointer, Pointer, Pointer, Long],
}


@cache
def loaded() -> ctypes.CDLL | None:
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
        if ctypes.c_long.in_dll(opened, "layout").value != LAYOUT:
            return None
    except (OSError, ValueError):  # compiled for another system, or from other sources
        return None
    for function, arguments in SIGNATURES.items():
        getattr(opened, function).restype, getattr(opened, function).argtypes = ctypes.c_int, arguments
    return opened


def name() -> str | None:
    """What the kernels in use were compiled for, "avx512" or "avx2", or None where there are none."""
    kernels = loaded()
    return None if kernels is None else Path(kernels._name).name.partition(".")[0].removeprefix("_")


def padded(outputs: int) -> int:
    """Outputs of a packed weight, those that fill up the last block included."""
    return -(-outputs // BLOCK) * BLOCK


def large_pages(size: int) -> torch.Tensor:
    """Room for some bytes, uint8 [≥ size], in pages of 2 MB where the system has them.

    What is read through once a token would cost a look into page tables every 4 KB, and memory is read ahead within a
    page only: one core reads 25 GB/s instead of 18.
    """
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    room = mmap.mmap(-1, size + PAGE, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            room.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(room, dtype=torch.uint8)
    return whole[-whole.data_ptr() % PAGE :]


class Weights:
    """Weights [O, I] as kernels read them, kept as long as this is.

    Args:
        packing: "half" rounds to float16, "int8" keeps a scale an output, "none" reads float32 weights where they are.
    """

    def __init__(self, packing: str) -> None:
        self.packing, self.kept = packing, []
        self.room = torch.empty(0, dtype=torch.uint8)  # what is left of it

    def numbers(self, values: torch.Tensor) -> int:
        """The address of float32 numbers."""
        self.kept.append(values.detach().contiguous())
        return self.kept[-1].data_ptr()

    def add(self, weight: torch.Tensor) -> Weight:
        """A weight's structure."""
        outputs, inputs = weight.shape
        about = KINDS.index(self.packing), inputs, outputs
        if self.packing == "none":
            return Weight(self.numbers(weight), None, *about)
        scales, form = None, torch.float16
        if self.packing == "int8":
            form = torch.int8
            scale = weight.abs().amax(1).clamp_min(1e-12) / 127  # [O]
            weight = (weight / scale[:, None]).round()
            scales = self.numbers(functional.pad(scale, (0, padded(outputs) - outputs)))
        filled = functional.pad(weight.to(form), (0, 0, 0, padded(outputs) - outputs))
        blocks = filled.view(-1, BLOCK, inputs).transpose(1, 2)  # [O / 64, I, 64]
        packed = self._take(filled.nbytes).view(form).view(blocks.shape).copy_(blocks)
        return Weight(packed.data_ptr(), scales, *about)

    def _take(self, size: int) -> torch.Tensor:
        """Room for some bytes: many small weights share a page."""
        if len(self.room) < size:
            self.room = large_pages(max(size, ROOM))
            self.kept.append(self.room)
        taken, self.room = self.room[:size], self.room[-(-size // 64) * 64 :]
        return taken


def fits(like: torch.Tensor, packing: str, *widths: int) -> bool:
    """Whether there are kernels for a model with weights like this one, whose rows have these widths."""
    return (
        loaded() is not None
        and packing in KINDS
        and like.device.type == "cpu"
        and like.dtype == torch.float32
        and all(width > 0 and width % BLOCK == 0 for width in widths)
    )


def run(name: str, *arguments: object) -> None:
    """Call a kernel with torch's number of threads. Raises MemoryError where it had too little."""
    if getattr(loaded(), name)(*arguments, torch.get_num_threads()):
        raise MemoryError(f"no memory for {name}")
