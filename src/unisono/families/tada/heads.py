"""From hidden frames to samples, whole or piece by piece: the two heads of the codec's decoder.

A piece is rendered from hidden frames that reach further than the samples that are kept, by the head's `margin`. All
else that passes from one piece to the next is the phase of the harmonic source, handed on as a value.

Axes: B batch, L frames at 50 Hz, M mel frames (2L), F mel bands, C hidden width, N samples at 24 kHz.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from unisono.audio.mel import unstack_pairs
from unisono.codec.convnext import REACH, ConvNeXtBlock
from unisono.codec.pulses import Anchor, pull, pulses
from unisono.codec.vocoder import SourceFilterVocoder, fixed_noise

if TYPE_CHECKING:
    from unisono.codec.dac import WavDecoder
    from unisono.families.tada.decoder import DecoderConfig

HOP = 480  # samples of one frame
LEAD = 6  # mel frames before the first kept sample from which on the phase must be right


class Piece(NamedTuple):
    """Hidden frames [1, C, l], the position of the first one, and which frames [start, stop) of the whole to keep.

    `last` says that the hidden frames end where the whole does.
    """

    hidden: torch.Tensor
    first: int
    start: int
    stop: int
    last: bool

    @property
    def kept(self) -> slice:
        """The kept samples, counted from the first hidden frame; what a head gives beyond the last frame included."""
        return slice(HOP * (self.start - self.first), None if self.last else HOP * (self.stop - self.first))


class SourceFilterHead(nn.Module):
    """Hidden frames -> log-mel, log-pitch and voicing at 100 Hz -> waveform."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.bands = config.mel_bands
        width, blocks = config.hidden_dim, config.frame_blocks
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, 2 * width, 0.1) for _ in range(blocks))
        self.to_features = nn.Linear(config.hidden_dim, 2 * (config.mel_bands + 2))
        self.vocoder = SourceFilterVocoder(
            config.mel_bands, config.vocoder_channels, config.vocoder_blocks, config.vocoder_inner
        )

    @property
    def margin(self) -> int:
        """Frames to each side that take part in one sample, the phase apart."""
        return REACH * len(self.blocks) + math.ceil(max(self.vocoder.margin, LEAD + 2) / 2)

    def features(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hidden [B, C, L] -> log-mel [B, F, M], log f0 [B, M] (natural log of Hz), voicing logits [B, M]."""
        mel, log_f0, voicing = self._exact_features(hidden)
        return mel, log_f0.float(), voicing

    def _exact_features(self, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `features`, log f0 in float64: rounding it would add up in the phase."""
        for block in self.blocks:
            hidden = block(hidden)
        frames = unstack_pairs(self.to_features(hidden.transpose(1, 2)).transpose(1, 2)).float()
        return frames[:, : self.bands], frames[:, self.bands].double() * 0.25 + 5.3, frames[:, self.bands + 1]

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[B, C, L] -> [B, 1, 480·L]."""
        mel, log_f0, voicing = self._exact_features(hidden)
        return self.vocoder(mel, log_f0, voicing.sigmoid())[:, None]

    def render(self, piece: Piece, phases: Phases, meet: Phases | None, noise: torch.Tensor | None) -> Rendering:
        """As `render`."""
        mel, log_f0, voicing = self._exact_features(piece.hidden)
        voicing, hop = voicing.sigmoid(), self.vocoder.hop
        begin, end = max(2 * piece.start - LEAD, 0), 2 * piece.stop - (0 if piece.last else LEAD)  # mel frames
        offset = 2 * piece.first
        track = self.vocoder.track(log_f0, voicing, Anchor((begin - offset) * hop, phases.at(begin).to(mel.device)))
        if meet is not None:
            met = Anchor((meet.first - offset) * hop, meet.at(meet.first).to(mel.device))
            track = pull(track, met, start=(begin - offset) * hop)
        if noise is None:
            noise = fixed_noise(mel.shape[-1] * hop, mel.device, offset * hop)
        wave = self.vocoder.shape(mel, log_f0, voicing, pulses(track, self.vocoder.sample_rate), noise[None])
        after = track.phase[0, (torch.arange(begin, end) + 1 - offset) * hop - 1].cpu()  # of frames [begin, end)
        return Rendering(wave[0, piece.kept], Phases(begin + 1, after))


class Phases(NamedTuple):
    """Known phases, in cycles: before mel frame `first` + i of the whole it is `values`[i], float64 [n]."""

    first: int
    values: torch.Tensor

    def at(self, frame: int) -> torch.Tensor:
        """The phase [1] before a mel frame. Raises IndexError for one that is not known."""
        if not 0 <= frame - self.first < len(self.values):
            raise IndexError(f"the phase before mel frame {frame} is not known")
        return self.values[frame - self.first, None]

    def extended(self, more: Phases) -> Phases:
        """This and what follows it."""
        return Phases(self.first, torch.cat([self.values[: more.first - self.first], more.values]))


SILENT = Phases(0, torch.zeros(1, dtype=torch.float64))  # before the first sample


class Rendering(NamedTuple):
    """The kept samples [N], and the phases before the mel frames that the piece answers for."""

    wave: torch.Tensor
    phases: Phases


def render(
    head: SourceFilterHead | WavDecoder,
    piece: Piece,
    phases: Phases = SILENT,
    *,
    meet: Phases | None = None,
    noise: torch.Tensor | None = None,
) -> Rendering:
    """Samples of a piece, as they are in the whole.

    Args:
        phases: known so far; it must hold mel frame 2 · start - `LEAD`.
        meet: a phase that has to be met further on, at its first frame; the track is bent by half a cycle at most.
        noise: for all of the hidden frames [480·l]; None = what belongs to their place in the whole.
    """
    if isinstance(head, SourceFilterHead):
        return head.render(piece, phases, meet, noise)
    return Rendering(head(piece.hidden)[0, 0, piece.kept], phases)
