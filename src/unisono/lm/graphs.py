"""A step of fixed shape: the same kernels on the same memory every time, so that a GPU can replay them as one graph.

The place in the cache is a tensor on the device, positions that are not filled yet are masked, nothing is read back. On
a CPU the same code runs without a graph, which is how it is tested; with CUDA it was never run (there was none).

Axes: R rows, N capacity, H hidden width, h heads, k key and value heads, d head width.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch.nn import functional

from unisono.lm.backbone import LlamaBackbone
from unisono.lm.llama import rotate

ROUND = 256  # positions by which capacities grow, so that few graphs serve all texts
WARM_UPS = 3  # runs before a capture, as CUDA graphs want it


class Buffers:
    """Fixed memory of a generation: `stored` as in `LlamaCache`, the next `place` int64 [1], the step's `entry` and
    `exit` [R, H]."""

    def __init__(self, backbone: LlamaBackbone, rows: int, capacity: int, like: torch.Tensor) -> None:
        self.stored = like.new_zeros(len(backbone.layers), rows, 2 * backbone.kv_heads, capacity, backbone.head_dim)
        self.place = torch.zeros(1, dtype=torch.int64, device=like.device)
        self.entry = like.new_zeros(rows, backbone.model.sizes.hidden)
        self.exit = torch.zeros_like(self.entry)
        self.positions = torch.arange(capacity, device=like.device)
        # Their own, because a graph keeps their addresses while the backbone's may be made anew.
        self.tables = [table[:capacity].clone() for table in backbone.rope_tables(capacity, like)]
        self.run: Callable[[], None] = lambda: None


class StaticCache:
    """A generation's hold on its buffers; they are free again when it is forgotten. `length` positions are filled."""

    def __init__(self, buffers: Buffers, length: int, give: Callable[[list[Buffers]], None]) -> None:
        self.length = length
        self.held = [buffers]  # a list that outlives this object, so that whatever is in it then is given back
        weakref.finalize(self, give, self.held)

    @property
    def buffers(self) -> Buffers:
        """The memory in use."""
        return self.held[0]


class StaticBackbone:
    """`LlamaBackbone` with steps of fixed shape (`Backbone`).

    Args:
        capture: replay steps as a CUDA graph; else they run as they are.
    """

    def __init__(self, inner: LlamaBackbone, capture: bool) -> None:
        if inner.native is not None:
            raise ValueError("compiled kernels have no steps of fixed shape")
        self.inner, self.capture = inner, capture
        self.free: dict[tuple[int, int], list[Buffers]] = {}

    def start(
        self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int, shared: int = 0
    ) -> tuple[torch.Tensor, StaticCache]:
        """As `Backbone.start`."""
        hidden, filled = self.inner.start(embeds, branches, embeds.shape[1] + 1, shared)
        buffers = self._take(len(branches), max(capacity, filled.length + 1), embeds)
        _fill(buffers, filled.stored, filled.length)
        return hidden, StaticCache(buffers, filled.length, self._give)

    def step(self, embeds: torch.Tensor, cache: StaticCache) -> torch.Tensor:
        """As `Backbone.step`."""
        if cache.length >= len(cache.buffers.positions):
            larger = self._take(len(embeds), 2 * cache.length, embeds)
            _fill(larger, cache.buffers.stored, cache.length)
            self._give([cache.buffers])
            cache.held[0] = larger
        buffers = cache.buffers
        buffers.entry.copy_(embeds)
        buffers.run()
        cache.length += 1
        return buffers.exit.clone()

    def _take(self, rows: int, capacity: int, like: torch.Tensor) -> Buffers:
        """Buffers that are free, or new ones."""
        shape = (rows, -(-capacity // ROUND) * ROUND)
        spare = self.free.setdefault(shape, [])
        return spare.pop() if spare else self._made(*shape, like)

    def _give(self, held: list[Buffers]) -> None:
        """Buffers that nobody holds any longer."""
        for buffers in held:
            self.free[len(buffers.entry), len(buffers.positions)].append(buffers)

    def _made(self, rows: int, capacity: int, like: torch.Tensor) -> Buffers:
        buffers = Buffers(self.inner, rows, capacity, like)
        buffers.run = lambda: self._step(buffers)
        if self.capture:
            buffers.run = _captured(buffers.run, buffers)
        return buffers

    def _step(self, buffers: Buffers) -> None:
        """One position, from `entry` to `exit`."""
        inner, place = self.inner, buffers.place
        turn = [table.index_select(0, place) for table in buffers.tables]  # [1, h + 2k, d]
        mask = torch.zeros_like(buffers.positions, dtype=buffers.entry.dtype)
        mask = mask.masked_fill(buffers.positions > place, -torch.inf)[None, None, None]
        x = buffers.entry
        for index, layer in enumerate(inner.layers):
            projected = layer.qkv(layer.norm(x)).to(x.dtype)
            turned = rotate(projected.view(-1, *turn[0].shape[1:]), *turn)
            stored = buffers.stored[index]
            stored.index_copy_(2, place, turned[:, inner.heads :, None])
            keys, values = stored.chunk(2, 1)
            attended = functional.scaled_dot_product_attention(
                turned[:, : inner.heads, None],
                keys,
                values,
                attn_mask=mask,
                enable_gqa=inner.heads != inner.kv_heads,
            )
            x = x + layer.out(attended.flatten(1).to(inner.rows))
            x = x + layer.ffn(layer.ffn_norm(x))
        buffers.exit.copy_(inner.norm(x))
        place.add_(1)


def _fill(buffers: Buffers, stored: torch.Tensor, length: int) -> None:
    """Take in what another cache holds."""
    buffers.stored[:, :, :, :length] = stored[:, :, :, :length]
    buffers.place.fill_(length)


def _captured(work: Callable[[], None], buffers: Buffers) -> Callable[[], None]:
    """The replay of some work on fixed memory as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            buffers.place.zero_()
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
