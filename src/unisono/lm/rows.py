"""Many sequences at once, each at its own position: rows that join and leave while others go on.

A row's numbers do not depend on the rows beside it. Products take all rows together, and where a kernel's result
depends on the number of its rows they are filled up to a fixed least number (`packing.steady`); attention, whose sums
would depend on the longest row, is taken row by row as it is for a row alone. On an accelerator attention is one masked
product, and rows agree within rounding.

Axes: R rows, V branches of a row, S slots, H hidden width, h heads, k key and value heads, d head width, N capacity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from unisono.lm import few
from unisono.lm.backbone import LlamaBackbone, LlamaCache
from unisono.lm.llama import rotate

STEP = 64  # positions by which the capacity grows
WASTE = 4  # times what is needed: a tensor that has become so large for its rows is given back


class _Places(NamedTuple):
    """Slots of rows and how far they are filled, as lists and as int64 [R] on their device."""

    slots: Sequence[int]
    lengths: Sequence[int]
    slot: torch.Tensor
    length: torch.Tensor


class RowCache:
    """Keys, then values, of all layers [layers, S, V, 2k, N, d]; slot s is filled up to `lengths[s]`, None where it is
    free.

    Args:
        by_row: attention row by row, else one masked product; None = as the device has it better.
    """

    def __init__(self, backbone: LlamaBackbone, branches: int, by_row: bool | None = None) -> None:
        self.backbone, self.branches, self.by_row = backbone, branches, by_row
        self.stored: torch.Tensor | None = None
        self.lengths: list[int | None] = []

    def join(self, cache: LlamaCache) -> int:
        """Take in what a prefill left, V rows; returns the slot."""
        if self.stored is None:
            layers, branches, *rest = cache.stored.shape
            self.stored = cache.stored.new_empty(layers, 0, branches, *rest)
        slot = self.lengths.index(None) if None in self.lengths else len(self.lengths)
        if slot == len(self.lengths):
            self.lengths.append(None)
        self._make_room(len(self.lengths), max(cache.capacity, cache.length + 1))
        self.stored[:, slot, :, :, : cache.length] = cache.stored[:, :, :, : cache.length]
        self.lengths[slot] = cache.length
        return slot

    def leave(self, slot: int) -> None:
        """Free a slot for another row, and memory that no row needs any more."""
        self.lengths[slot] = None
        while self.lengths and self.lengths[-1] is None:
            self.lengths.pop()
        if not self.lengths:
            self.stored = None
            return
        slots, room = len(self.lengths), max(length or 0 for length in self.lengths) + 1
        if WASTE * slots * room <= self.stored.shape[1] * self.stored.shape[4]:
            self.stored = self.stored[:, :slots, :, :, : -(-room // STEP) * STEP].clone()

    def step(self, embeds: torch.Tensor, slots: Sequence[int]) -> torch.Tensor:
        """One position of some rows: embeds [R, V, H] -> hidden [R, V, H] after the final norm; each grows by one."""
        backbone, lengths = self.backbone, [self.lengths[slot] for slot in slots]
        self._make_room(len(self.lengths), max(lengths) + 1)
        if backbone.native is not None:
            places = [slot * self.branches + branch for slot in slots for branch in range(self.branches)]
            positions = [length for length in lengths for _ in range(self.branches)]
            hidden = backbone.native.step(embeds.flatten(0, 1), self.stored, places, positions)
            self._grown(slots)
            return hidden.view(embeds.shape)
        at = _Places(slots, lengths, *(torch.tensor(each, device=embeds.device) for each in (slots, lengths)))
        tables = backbone.rope_tables(self.stored.shape[4], embeds)
        turn = [table[at.length, None] for table in tables]  # [R, 1, h + 2k, d]
        attend, stored = self._attend, self.stored
        if backbone.small and self.by_row is not False and few.takes(embeds):
            attend, turn, stored = self._attend_few, [few.halves(table) for table in turn], self.stored.numpy()
        x = embeds.flatten(0, 1)
        with np.errstate(all="ignore"):
            for layer, past in zip(backbone.layers, stored, strict=True):
                projected = layer.qkv(layer.norm(x)).to(x.dtype).view(*embeds.shape[:2], -1)
                x = x + layer.out(attend(projected, past, turn, at).to(backbone.rows))
                x = x + layer.ffn(layer.ffn_norm(x))
            self._grown(slots)
            return backbone.norm(x).view(embeds.shape)

    def _grown(self, slots: Sequence[int]) -> None:
        """Rows of these slots hold one position more."""
        for slot in slots:
            self.lengths[slot] += 1

    def _attend_few(self, qkv: torch.Tensor, past: np.ndarray, turn: Sequence[np.ndarray], at: _Places) -> torch.Tensor:
        """`_attend` in NumPy, row by row as `LlamaBackbone.step` does it."""
        heads = self.backbone.heads
        turned = few.turn(qkv.numpy().reshape(*qkv.shape[:2], *turn[0].shape[2:]), *turn)
        attended = []
        for row, slot, length in zip(turned, at.slots, at.lengths, strict=True):
            past[slot, :, :, length] = row[:, heads:]
            attended.append(few.attend(row[:, :heads], past[slot, :, :, : length + 1]))
        return torch.from_numpy(np.concatenate(attended))

    def _attend(self, qkv: torch.Tensor, past: torch.Tensor, turn: Sequence[torch.Tensor], at: _Places) -> torch.Tensor:
        """Projections [R, V, (h + 2k) d] of the newest positions -> attended [R·V, h d]; they join the layer's cache.

        Args:
            past: the cache [S, V, 2k, N, d]. turn: cosines and sines [R, 1, h + 2k, d].
        """
        heads = self.backbone.heads
        turned = rotate(qkv.view(*qkv.shape[:2], *turn[0].shape[2:]), *turn)
        past[at.slot, :, :, at.length] = turned[:, :, heads:]
        return self._mixed(turned[:, :, :heads], past, at)

    def _mixed(self, queries: torch.Tensor, stored: torch.Tensor, at: _Places) -> torch.Tensor:
        """Queries [R, V, h, d] of the newest positions, a layer's cache [S, V, 2k, N, d] -> attended [R·V, h d]."""
        by_row = queries.device.type == "cpu" if self.by_row is None else self.by_row
        if by_row:
            rows = [
                self.backbone.mix(query, stored[slot, :, :, : length + 1])
                for query, slot, length in zip(queries, at.slots, at.lengths, strict=True)
            ]
            return torch.cat(rows)
        end = max(at.lengths) + 1
        place = torch.arange(end, device=queries.device)
        unknown = place > at.length[:, None]  # [R, N]
        mask = torch.zeros(unknown.shape, device=queries.device, dtype=queries.dtype).masked_fill(unknown, -torch.inf)
        chosen = stored[at.slot, :, :, :end]
        keys, values = chosen.masked_fill(unknown[:, None, None, :, None], 0).flatten(0, 1).chunk(2, 1)
        attended = functional.scaled_dot_product_attention(
            queries.flatten(0, 1)[:, :, None],
            keys,
            values,
            attn_mask=mask.repeat_interleave(self.branches, 0)[:, None, None],
            enable_gqa=self.backbone.heads != self.backbone.kv_heads,
        )
        return attended.flatten(1)

    def _make_room(self, slots: int, capacity: int) -> None:
        """Let the tensor hold so many slots and positions."""
        have, room = self.stored.shape[1], self.stored.shape[4]
        more_slots, more_room = max(slots - have, 0), max(capacity - room, 0)
        if not more_slots and not more_room:
            return
        more_slots = max(more_slots, have) if more_slots else 0  # twice as many, so that joining seldom copies
        more_room = -(-more_room // STEP) * STEP
        self.stored = functional.pad(self.stored, (0, 0, 0, more_room, 0, 0, 0, 0, 0, more_slots))
