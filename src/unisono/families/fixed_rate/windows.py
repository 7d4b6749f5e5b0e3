"""Codes to sound, window by window: what is spoken while it is generated equals what is spoken at once.

The decoders look around themselves (X-Codec 2 at everything), so sound cannot be decoded code by code. A window of
`window` frames is decoded together with `context` frames before it and `ahead` after it, and only its own samples are
kept. That is the rule for whole speeches as well as for streams, so that both are the same sound; the look-ahead is
what a listener waits for beyond the window itself. Speeches of at most `window + ahead` frames are one window.

Axes: T frames, Q code books, N samples = T · hop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

Decode = Callable[[torch.Tensor], torch.Tensor]  # codes [T, Q] -> wave [T · hop]


@dataclass(frozen=True)
class Window:
    """Frames of a window, of what is decoded before it, and of the look-ahead."""

    size: int
    context: int
    ahead: int


class WindowDecoder:
    """Takes codes as they come and hands back the sound that is ready.

    Args:
        decode: codes [T, Q] -> wave [T · hop]. hop: samples of a frame.
        prompt: codes [P, Q] of a voice, decoded together with what follows them and cut off to the sample.
    """

    def __init__(self, decode: Decode, hop: int, window: Window, prompt: torch.Tensor | None = None) -> None:
        self.decode, self.hop, self.window = decode, hop, window
        self.codes = prompt
        self.done = 0 if prompt is None else len(prompt)  # frames whose sound is out

    def push(self, codes: torch.Tensor) -> Iterator[torch.Tensor]:
        """Waves of the windows that further codes [t, Q] complete."""
        self.codes = codes if self.codes is None else torch.cat([self.codes, codes])
        while len(self.codes) - self.done >= self.window.size + self.window.ahead:
            yield self._next(self.done + self.window.size, self.done + self.window.size + self.window.ahead)

    def finish(self) -> Iterator[torch.Tensor]:
        """The wave of what is left."""
        if self.codes is not None and self.done < len(self.codes):
            yield self._next(len(self.codes), len(self.codes))

    def _next(self, stop: int, seen: int) -> torch.Tensor:
        """The wave of frames [done, stop), decoded with those up to `seen`."""
        first = max(self.done - self.window.context, 0)
        wave = self.decode(self.codes[first:seen])
        wave = wave[(self.done - first) * self.hop : (stop - first) * self.hop]
        self.done = stop
        return wave


def decode_whole(
    decode: Decode, hop: int, window: Window, codes: torch.Tensor, prompt: torch.Tensor | None = None
) -> torch.Tensor:
    """The wave [T · hop] of codes [T, Q], as a stream of them would give it."""
    decoder = WindowDecoder(decode, hop, window, prompt)
    return torch.cat([*decoder.push(codes), *decoder.finish()])
