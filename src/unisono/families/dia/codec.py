"""transformers' DAC as a codec: 44.1 kHz, 86 frames a second, nine code books (spec/llasa_dia.md section 2).

Axes: N samples, T frames, Q code books.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional


class DacCodec:
    """`DacModel`, one recording at a time: upstream found its batches broken."""

    def __init__(self, model: Any) -> None:
        config = model.config
        self.model, self.sample_rate, self.hop = model, config.sampling_rate, math.prod(config.downsampling_ratios)
        self.books, self.size = config.n_codebooks, config.codebook_size

    @torch.inference_mode()
    def encode(self, wave: torch.Tensor) -> torch.Tensor:
        """Codes int64 [T, Q] of a wave [N], T = ceil(N / hop)."""
        padded = functional.pad(wave.float(), (0, -len(wave) % self.hop))[None, None].to(self.model.device)
        return self.model.encode(padded).audio_codes[0].T.long().cpu()

    @torch.inference_mode()
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """The wave float32 [T · hop] of codes [T, Q]."""
        wave = self.model.decode(audio_codes=codes.T[None].to(self.model.device)).audio_values.reshape(-1)
        length = len(codes) * self.hop
        return functional.pad(wave, (0, max(length - len(wave), 0)))[:length].float().cpu()
