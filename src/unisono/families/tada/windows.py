"""Sound of any length, coded and decoded by windows that give what the whole would, in bounded memory.

What a sample depends on is finite: a hidden frame of the decoder sees its own block of frames and one block further
back with every layer, a head sees its `margin` of frames. So a window takes in that much more than it keeps; frames
keep their rotary positions; only the phase of a harmonic source is handed from window to window (`heads.Phases`).
A vector of the encoder depends on the two blocks of frames beside its mark, whatever the number of layers.

Axes: L frames of 1/50 s, l frames of a window, T tokens, D vector width, C hidden width, N samples at 24 kHz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from unisono.errors import GenerationError
from unisono.families.tada.heads import HOP, SILENT, Phases, Piece, render

if TYPE_CHECKING:
    from unisono.families.tada.decoder import Decoder
    from unisono.families.tada.encoder import Encoder

WINDOW = 1000  # frames kept of a window: 20 seconds


class Grid(NamedTuple):
    """Vectors on the frame grid: `vectors` [T, D], not normalised; `frames` int64 [T], 0-based, rising; `length` L.

    Vectors are where the decoder is, frames on the CPU.
    """

    vectors: torch.Tensor
    frames: torch.Tensor
    length: int

    def expanded(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames [start, stop) of the expanded vectors [1, l, D] and their marks int64 [1, l].

        A zero vector is no mark, as published.
        """
        low, high = torch.searchsorted(self.frames, torch.tensor([start, stop])).tolist()
        expanded = self.vectors.new_zeros(1, stop - start, self.vectors.shape[1])
        expanded[0, self.frames[low:high] - start] = self.vectors[low:high]
        return expanded, (expanded.norm(dim=-1) != 0).long()

    def marks(self) -> torch.Tensor:
        """0-based frames int64 [<= T] that carry a mark."""
        return self.frames[(self.vectors.norm(dim=-1) != 0).cpu()]


HiddenOf = Callable[[int, int], torch.Tensor]  # frames [start, stop) -> [1, C, l]


def hidden_frames(decoder: Decoder, grid: Grid) -> HiddenOf:
    """A function that gives hidden frames [start, stop) of the whole, from no more vectors than it must."""
    marks = grid.marks()

    def hidden(start: int, stop: int) -> torch.Tensor:
        # A mark closes its block: block d is what lies behind mark d - 1, up to mark d.
        block = int(torch.searchsorted(marks, start)) - decoder.reach
        # The mark before the first block belongs to what its frames know (`MarkContext`).
        low = int(marks[block - 1]) if block > 0 else 0
        own = int(torch.searchsorted(marks, stop - 1))
        high = int(marks[own]) + 1 if own < len(marks) else grid.length
        expanded, masks = grid.expanded(low, high)
        made = decoder.hidden(expanded, masks, first=low)
        return made[..., start - low : stop - low]

    return hidden


def decode_stretch(
    decoder: Decoder,
    hidden: HiddenOf,
    start: int,
    stop: int,
    length: int,
    phases: Phases = SILENT,
    window: int = WINDOW,
) -> Iterator[tuple[torch.Tensor, Phases]]:
    """Samples of frames [start, stop) of `length`, window by window, each with the phases it answers for."""
    head, margin = decoder.wav_decoder, decoder.wav_decoder.margin
    for begin in range(start, stop, window):
        end = min(begin + window, stop)
        first, behind = max(begin - margin, 0), min(end + margin, length)
        piece = Piece(hidden(first, behind), first, begin, end, last=end == length)
        wave, phases = render(head, piece, phases)
        yield wave, phases


def decode_windows(decoder: Decoder, grid: Grid, window: int = WINDOW) -> Iterator[torch.Tensor]:
    """The waveform of a grid in pieces [<= 480 · window] on the decoder's device; together they are the whole."""
    for wave, _ in decode_stretch(decoder, hidden_frames(decoder, grid), 0, grid.length, grid.length, window=window):
        yield wave


def decode_grid(decoder: Decoder, grid: Grid, window: int = WINDOW) -> torch.Tensor:
    """The waveform [N] of a grid: at once where it fits in a window, else by windows."""
    if grid.length <= window:
        return decoder(*grid.expanded(0, grid.length))[0, 0]
    return torch.cat(list(decode_windows(decoder, grid, window)))


def encode_marks(encoder: Encoder, wave: torch.Tensor, positions: torch.Tensor, window: int = WINDOW) -> torch.Tensor:
    """Vectors [T, D], without latent noise, of a recording of any length.

    Args:
        wave: [N] at 24 kHz. positions: int64 [T], rising 1-based frames.
    """
    marks = (positions - 1).cpu()
    front, length = front_frames(encoder, wave)
    vectors, token = [], 0
    while token < len(marks):
        # As many tokens as fit; a vector needs its own block, behind its mark, and the one before.
        after = max(int(torch.searchsorted(marks, int(marks[token]) + window)), token + 1)
        low = int(marks[token - 1]) if token else 0
        high = int(marks[after]) if after < len(marks) else length
        inside = marks[max(token - 1, 0) : after] - low
        masks = functional.one_hot(inside, high - low).sum(0)[None].to(wave.device)
        made = encoder.attend(front(low, high), masks, first=low)[0]
        vectors.append(made[(marks[token:after] - low).to(made.device)])
        token = after
    return torch.cat(vectors)


def front_frames(encoder: Encoder, wave: torch.Tensor, window: int = WINDOW) -> tuple[HiddenOf, int]:
    """A function that gives frames [start, stop) of the encoder's front end [1, l, C], and their number L."""
    length, margin = encoder.frame_count(len(wave)), encoder.margin

    def piece(start: int, stop: int) -> torch.Tensor:
        first, behind = max(start - margin, 0), stop + margin
        samples = wave[HOP * first :] if behind >= length else wave[HOP * first : HOP * behind]
        return encoder.front(samples[None], padded=behind >= length)[:, start - first : stop - first]

    def front(start: int, stop: int) -> torch.Tensor:
        return torch.cat([piece(at, min(at + window, stop)) for at in range(start, stop, window)], dim=1)

    return front, length


def fit(wave: torch.Tensor, samples: int) -> np.ndarray:
    """A wave [N] cut, or continued with silence, to float32 [samples]; the published decoder gives 6 too few.

    Raises:
        GenerationError: a value that is not finite.
    """
    if not bool(torch.isfinite(wave).all()):
        raise GenerationError("the decoder made a value that is not a finite number: the decoder or voice is damaged")
    return functional.pad(wave[:samples].float(), (0, max(samples - len(wave), 0))).cpu().numpy()
