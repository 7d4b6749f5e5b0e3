"""Which frame may see which: segment masks from token marks (TADA, spec section 6.3).

Axes: B batch, L frames. In every mask True means blocked.
"""

from __future__ import annotations

import torch

KINDS = ("encoder_v1", "encoder_v2", "decoder_v1", "decoder_v2")


def segment_mask(token_mask: torch.Tensor, kind: str) -> torch.Tensor:
    """Attention mask from token marks.

    Args:
        token_mask: [B, L], non-zero where a frame carries a token mark.
        kind: one of `KINDS`. Encoder v2 (used by the published codec): a mark opens its block, unmarked frames see
            unmarked frames of their block, a marked frame sees itself and the unmarked frames of its own and the
            previous block. Decoder v2: a mark closes its block, each frame sees its own and the previous block.

    Returns:
        bool [B, L, L] indexed [query, key], True = blocked.

    Raises:
        ValueError: for an unknown kind.
    """
    marked = token_mask.bool()
    count = marked.long().cumsum(-1)
    key_marked, query_marked = marked[:, None, :], marked[:, :, None]
    if kind == "encoder_v2":
        block_q, block_k = count[:, :, None], count[:, None, :]
        itself = torch.eye(marked.shape[-1], dtype=torch.bool, device=marked.device)
        own = (block_q == block_k) & (~key_marked | itself)
        previous = query_marked & ~key_marked & (block_k == block_q - 1)
        return ~(own | previous)
    closing = count - marked.long()
    block_q, block_k = closing[:, :, None], closing[:, None, :]
    if kind == "encoder_v1":
        return ~((block_k == block_q) | ((block_k == block_q + 1) & ~key_marked))
    if kind == "decoder_v2":
        return ~((block_k == block_q) | (block_k == block_q - 1))
    if kind == "decoder_v1":
        frame = torch.arange(marked.shape[-1], device=marked.device)
        at_or_before = frame[None, :] <= frame[:, None]
        before = frame[None, :] < frame[:, None]
        return ~torch.where(query_marked, at_or_before, before | (block_k == block_q))
    raise ValueError(f"unknown segment mask {kind!r}, expected one of {', '.join(KINDS)}")
