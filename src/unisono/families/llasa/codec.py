"""X-Codec 2 of transformers as a codec: 16 kHz, fifty codes a second, one code book (spec/llasa_dia.md section 1).

Axes: N samples, T frames, Q = 1 code books.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.nn import functional

MEL_BANDS, MEL_STRIDE = 80, 2  # of the semantic path: two mel frames of 10 ms a code


class XCodec:
    """`Xcodec2Model` without its feature extractor, which would need torchaudio."""

    books = 1

    def __init__(self, model: Any) -> None:
        self.model = model
        self.sample_rate, self.hop = model.config.sampling_rate, model.config.hop_length
        self.size = math.prod(model.config.quantization_levels)

    @cached_property
    def features(self) -> Any:
        """The mel spectrogram that the semantic path reads; the one upstream was trained with."""
        from transformers import SeamlessM4TFeatureExtractor

        return SeamlessM4TFeatureExtractor(
            feature_size=MEL_BANDS, num_mel_bins=MEL_BANDS, stride=MEL_STRIDE, padding_value=1.0
        )

    def inputs(self, wave: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Input values [1, 1, S] and features [1, S / hop, 160] of a wave [N]: one zero, then zeros to whole frames."""
        missing = -(len(wave) + 1) % self.hop + 1
        padded = functional.pad(wave.float(), (0, missing))
        around = np.pad(padded.cpu().numpy(), self.hop // 2)
        mel = self.features(around, sampling_rate=self.sample_rate, return_tensors="pt")["input_features"]
        device = self.model.device
        return padded[None, None].to(device), mel.to(device)

    @torch.inference_mode()
    def encode(self, wave: torch.Tensor) -> torch.Tensor:
        """Codes int64 [T, 1] of a wave [N], T = ceil((N + 1) / hop)."""
        values, features = self.inputs(wave)
        return self.model.encode(values, features).audio_codes[0].T.long().cpu()

    @torch.inference_mode()
    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """The wave float32 [T · hop] of codes [T, 1]. One at a time: the decoder knows no padding."""
        return self.model.decode(audio_codes=codes.T[None].to(self.model.device)).audio_values[0, 0].float().cpu()
