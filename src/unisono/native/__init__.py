"""Kernels of our own for CPUs, compiled when the package is installed (`kernels.h`); without them torch does the same.

A small model's step is bound by calls and by how fast weights are read: one call runs a whole step of the language model
or of the flow head on float16 weights. A large model's products of few rows are bound by reading alone.

`UNISONO_KERNELS=off` leaves them away.
"""

from unisono.native.head import NativeHead
from unisono.native.library import library
from unisono.native.llama import NativeLlama
from unisono.native.products import int8_product, plain_product

__all__ = ["NativeHead", "NativeLlama", "int8_product", "library", "plain_product"]
