"""What a frame knows of the marks around it, derived from the expanded vectors alone.

Axes: B batch, L frames, D vector width.
"""

from __future__ import annotations

import torch
from torch import nn

FAR = 32


def neighbours(token_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For each frame the index of the last mark before it and of the first mark at or after it.

    Args:
        token_mask: [B, L], non-zero at marks.

    Returns:
        previous, following: int64 [B, L]; −1 and L where there is none.
    """
    length = token_mask.shape[-1]
    frame = torch.arange(length, device=token_mask.device).expand_as(token_mask)
    marked = token_mask.bool()
    at_or_before = torch.where(marked, frame, -1).cummax(-1).values
    previous = torch.cat([torch.full_like(at_or_before[:, :1], -1), at_or_before[:, :-1]], dim=-1)
    following = torch.where(marked, frame, length).flip(-1).cummin(-1).values.flip(-1)
    return previous, following


class MarkContext(nn.Module):
    """Gives every frame the vectors of the marks before and after it and its distance to both.

    The frames concerned lie inside the decoder's own two blocks, so the receptive field does not grow.
    """

    def __init__(self, vector_dim: int, d_model: int) -> None:
        super().__init__()
        self.before = nn.Linear(vector_dim, d_model, bias=False)
        self.after = nn.Linear(vector_dim, d_model, bias=False)
        self.since = nn.Embedding(FAR + 1, d_model)
        self.until = nn.Embedding(FAR + 1, d_model)

    def forward(self, expanded: torch.Tensor, token_mask: torch.Tensor) -> torch.Tensor:
        """Expanded vectors [B, L, D] (zeros between marks), marks [B, L] -> [B, L, d_model]."""
        length = expanded.shape[1]
        previous, following = neighbours(token_mask)
        frame = torch.arange(length, device=expanded.device)
        padded = torch.cat([expanded, expanded.new_zeros(expanded.shape[0], 1, expanded.shape[2])], dim=1)
        index_before = torch.where(previous < 0, length, previous)[..., None].expand(-1, -1, expanded.shape[-1])
        index_after = following[..., None].expand(-1, -1, expanded.shape[-1])
        since = torch.where(previous < 0, FAR, frame - previous).clamp(max=FAR)
        until = torch.where(following >= length, FAR, following - frame).clamp(max=FAR)
        context = self.before(padded.gather(1, index_before)) + self.after(padded.gather(1, index_after))
        return context + self.since(since) + self.until(until)
