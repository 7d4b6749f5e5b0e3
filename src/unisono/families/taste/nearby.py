"""Which frames of a recording a text token may attend: those near its mark.

The published aggregator attends all frames of 30 s and learned from 40,000 hours where to look. Trained on one hour it
does not find out; the aligner already knows. A deviation, switched on by a window of frames in the training recipe and
in the model's card; without it every frame may be attended, as published.

Axes: B batch, A text tokens, S source positions (frames at 50 Hz).
"""

from __future__ import annotations

import torch


def near_marks(
    positions: torch.Tensor, lengths: torch.Tensor, frames: torch.Tensor, longest: int, window: int
) -> torch.Tensor:
    """Frames from `window` before a token's mark to `window` behind the next one's.

    Args:
        positions: int64 [B, A], 1-based marks, padded with anything. lengths: int64 [B], tokens.
        frames: int64 [B], of each recording. longest: S. window: frames.

    Returns:
        bool [B, A, S], True = may be attended; padding tokens may attend the recording's first frame only.
    """
    inside = torch.arange(positions.shape[1], device=positions.device) < lengths[:, None]
    marks = torch.where(inside, positions, frames[:, None])
    after = torch.cat([marks[:, 1:], frames[:, None]], 1)
    place = torch.arange(longest, device=positions.device) + 1
    near = (place >= (marks - window)[..., None]) & (place <= (after + window)[..., None])
    near = near & inside[..., None] & (place <= frames[:, None, None])
    return near | (~inside[..., None] & (place == 1))
