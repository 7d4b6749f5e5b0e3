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
from unisono.lm.norms import rms_norm

ROUND = 256  # positions by which capacities grow, so that few graphs serve all texts
WARM_UPS = 3  # runs before a capture, as CUDA graphs want it


class Buffers:
    """Fixed memory of a generation: `keys` and `values` of each layer [R, k, N, d], the next `place` int64 [1], the
    step's `entry` and `exit` [R, H]."""

    def __init__(self, backbone: LlamaBackbone, rows: int, capacity: int, like: torch.Tensor) -> None:
        shape = (rows, backbone.kv_heads, capacity, backbone.head_dim)
        layers = range(len(backbone.layers))
        self.keys = [like.new_zeros(shape) for _ in layers]
        self.values = [like.new_zeros(shape) for _ in layers]
        self.place = torch.zeros(1, dtype=torch.int64, device=like.device)
        self.entry = like.new_zeros(rows, backbone.model.sizes.hidden)
        self.exit = torch.zeros_like(self.entry)
        self.positions = torch.arange(capacity, device=like.device)
        # Their own, because a graph keeps their addresses while the backbone's may be made anew.
        self.tables = backbone.model.rope(capacity, like)
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
        self.inner, self.capture = inner, capture
        self.free: dict[tuple[int, int], list[Buffers]] = {}

    def start(self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int) -> tuple[torch.Tensor, StaticCache]:
        """As `Backbone.start`."""
        hidden, filled = self.inner.start(embeds, branches, embeds.shape[1] + 1)
        buffers = self._take(len(branches), max(capacity, filled.length + 1), embeds)
        self._fill(buffers, filled.keys, filled.values, filled.length)
        return hidden, StaticCache(buffers, filled.length, self._give)

    def step(self, embeds: torch.Tensor, cache: StaticCache) -> torch.Tensor:
        """As `Backbone.step`."""
        if cache.length >= len(cache.buffers.positions):
            larger = self._take(len(embeds), 2 * cache.length, embeds)
            self._fill(larger, cache.buffers.keys, cache.buffers.values, cache.length)
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

    def _fill(self, buffers: Buffers, keys: list[torch.Tensor], values: list[torch.Tensor], length: int) -> None:
        for kept, new in ((buffers.keys, keys), (buffers.values, values)):
            for tensor, rows in zip(kept, new, strict=True):
                tensor[:, :, :length] = rows[:, :, :length]
        buffers.place.fill_(length)

    def _made(self, rows: int, capacity: int, like: torch.Tensor) -> Buffers:
        buffers = Buffers(self.inner, rows, capacity, like)
        buffers.run = lambda: self._step(buffers)
        if self.capture:
            buffers.run = _captured(buffers.run, buffers)
        return buffers

    def _step(self, buffers: Buffers) -> None:
        """One position, from `entry` to `exit`."""
        inner, place = self.inner, buffers.place
        heads, kv_heads = inner.heads, inner.kv_heads
        cos, sin = (table.index_select(0, place) for table in buffers.tables)  # [1, d]
        mask = torch.zeros_like(buffers.positions, dtype=buffers.entry.dtype)
        mask = mask.masked_fill(buffers.positions > place, -torch.inf)[None, None, None]
        x = buffers.entry
        for index, layer in enumerate(inner.layers):
            projected = layer.qkv(layer.norm(x)).to(x.dtype)
            split = projected.view(len(x), heads + 2 * kv_heads, inner.head_dim)
            turned = rotate(split[:, : heads + kv_heads], cos, sin)
            buffers.keys[index].index_copy_(2, place, turned[:, heads:, None])
            buffers.values[index].index_copy_(2, place, split[:, heads + kv_heads :, None])
            attended = functional.scaled_dot_product_attention(
                turned[:, :heads, None],
                buffers.keys[index],
                buffers.values[index],
                attn_mask=mask,
                enable_gqa=heads != kv_heads,
            )
            x = x + layer.out(attended.flatten(1).to(inner.rows))
            x = x + layer.ffn(layer.ffn_norm(x))
        buffers.exit.copy_(rms_norm(x, inner.model.norm.weight, inner.model.sizes.eps))
        place.add_(1)


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
