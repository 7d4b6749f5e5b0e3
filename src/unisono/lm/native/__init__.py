"""Kernels of our own for CPUs, compiled when the package is installed (`kernels.h`); without them torch does the same.

The step of a small model is bound by calls and by how fast weights are read, that of a large one by reading alone: one
call runs a whole step of the language model, or of the flow head, and reads as fast as memory does.

`UNISONO_KERNELS=off` leaves them away.
"""

from unisono.lm.native.head import NativeHead
from unisono.lm.native.kernels import loaded
from unisono.lm.native.llama import NativeLlama

__all__ = ["NativeHead", "NativeLlama", "loaded"]
