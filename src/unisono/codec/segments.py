"""Which frame may see which: segment masks from token marks (TADA, spec section 6.3).

Axes: B batch, L frames, Q query frames, K key frames. In every mask True means blocked.

A mask has L² cells, yet every frame sees only its own block and a neighbouring one. `Segments` therefore gives the mask
of a few queries at a time together with the keys that they can reach, so that the cost grows with L and not with L².
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

KINDS = ("encoder_v1", "encoder_v2", "decoder_v1", "decoder_v2")
EVERY = 1 << 40  # blocks back: all of them
# blocks before and after its own that a frame may look into
REACH = {"encoder_v1": (0, 1), "encoder_v2": (1, 0), "decoder_v1": (EVERY, 0), "decoder_v2": (1, 0)}


@dataclass(frozen=True)
class Segments:
    """The blocks of frames: `marked` bool [B, L], `block` int64 [B, L] (never falling), `kind` one of `KINDS`."""

    marked: torch.Tensor
    block: torch.Tensor
    kind: str

    @property
    def length(self) -> int:
        """L."""
        return self.marked.shape[-1]

    def window(self, start: int, stop: int) -> Segments:
        """The frames [start, stop), in the blocks they had."""
        return replace(self, marked=self.marked[:, start:stop], block=self.block[:, start:stop].contiguous())

    def keys(self, start: int, stop: int) -> tuple[int, int]:
        """The half-open range of frames outside of which queries [start, stop) see nothing, in any row."""
        back, ahead = REACH[self.kind]
        first = self.block[:, start : start + 1] - back
        last = self.block[:, stop - 1 : stop] + ahead
        low = torch.searchsorted(self.block, first)
        high = torch.searchsorted(self.block, last, right=True)
        return int(low.min()), int(high.max())

    def blocked(self, queries: slice, keys: slice) -> torch.Tensor:
        """Mask of some queries and keys, bool [B, Q, K]."""
        block_q, block_k = self.block[:, queries, None], self.block[:, None, keys]
        marked_q, marked_k = self.marked[:, queries, None], self.marked[:, None, keys]
        if self.kind == "encoder_v1":
            return ~((block_k == block_q) | ((block_k == block_q + 1) & ~marked_k))
        if self.kind == "decoder_v2":
            return ~((block_k == block_q) | (block_k == block_q - 1))
        frame = torch.arange(self.length, device=self.marked.device)
        frame_q, frame_k = frame[queries, None], frame[None, keys]
        if self.kind == "encoder_v2":
            own = (block_q == block_k) & (~marked_k | (frame_q == frame_k))
            return ~(own | (marked_q & ~marked_k & (block_k == block_q - 1)))
        return ~torch.where(marked_q, frame_k <= frame_q, (frame_k < frame_q) | (block_k == block_q))


def segments(token_mask: torch.Tensor, kind: str) -> Segments:
    """Blocks from token marks.

    Args:
        token_mask: [B, L], non-zero where a frame carries a token mark.
        kind: one of `KINDS`. Encoder v2 (used by the published codec): a mark opens its block, unmarked frames see
            unmarked frames of their block, a marked frame sees itself and the unmarked frames of its own and the
            previous block. Decoder v2: a mark closes its block, each frame sees its own and the previous block.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown segment mask {kind!r}, expected one of {', '.join(KINDS)}")
    marked = token_mask.bool()
    opened = marked.long().cumsum(-1)
    return Segments(marked, opened if kind == "encoder_v2" else opened - marked.long(), kind)


def segment_mask(token_mask: torch.Tensor, kind: str) -> torch.Tensor:
    """The whole mask, bool [B, L, L] indexed [query, key]; arguments and errors as `segments`."""
    return segments(token_mask, kind).blocked(slice(None), slice(None))
