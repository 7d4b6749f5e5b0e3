"""Attention of few rows with small heads on a CPU in NumPy, whose calls cost a third of torch's.

A row's numbers do not depend on the rows beside it: every head of every row is a product of its own.

Axes: R rows (any leading axes), h heads, k key and value heads, d head width, P positions.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

MOST = 1 << 15  # numbers of a head's keys up to which no library takes a second thread for its product


def each(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The product of rows [R, i] with a weight [o, i] of at most `MOST` numbers, row by row: [R, o]."""
    return np.matmul(rows[:, None], weight.T)[:, 0]


def takes(like: torch.Tensor) -> bool:
    """Whether tensors like this one can be taken as arrays."""
    return like.device.type == "cpu" and like.dtype == torch.float32


def halves(table: torch.Tensor) -> np.ndarray:
    """Tables [.., d] of `llama.rotate` as `turn` takes them: [.., 2, d / 2]."""
    return table.numpy().reshape(*table.shape[:-1], 2, -1)


def turn(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """`llama.rotate` of x [R, h, 2, d / 2] by tables of that shape, or one that broadcasts -> [R, h, d]."""
    turned = x[..., ::-1, :] * sin
    turned += x * cos
    return turned.reshape(*x.shape[:-2], -1)


def attend(queries: np.ndarray, past: np.ndarray) -> np.ndarray:
    """Queries [R, h, d] of one position, keys and then values [R, 2k, P, d] that they see -> attended [R, h d]."""
    kv_heads, width = past.shape[-3] // 2, past.shape[-1]
    if past.shape[-2] * width > MOST:
        return _attend_many(queries, past)
    keys, values = past[..., :kv_heads, :, :], past[..., kv_heads:, :, :]
    grouped = queries.reshape(*queries.shape[:-2], kv_heads, -1, width) * np.float32(1 / math.sqrt(width))
    weights = np.matmul(grouped, keys.swapaxes(-1, -2))  # [R, k, h / k, P]
    weights -= np.maximum.reduce(weights, -1, keepdims=True)
    np.exp(weights, out=weights)
    mixed = np.matmul(weights, values)
    mixed /= np.add.reduce(weights, -1, keepdims=True)
    return mixed.reshape(*queries.shape[:-2], -1)


def _attend_many(queries: np.ndarray, past: np.ndarray) -> np.ndarray:
    """`attend` as torch does it."""
    keys, values = torch.from_numpy(past).chunk(2, -3)
    mixed = functional.scaled_dot_product_attention(
        torch.from_numpy(queries)[..., None, :], keys, values, enable_gqa=queries.shape[-2] != keys.shape[-3]
    )
    return mixed.flatten(-3).numpy()
