"""Spectral losses of the codec and vocoder.

Axes: B batch, N samples, F bands or bins, M frames.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from unisono.audio.mel import stft

FLOOR = 1e-4
CEPSTRA = 20  # of the envelope that hearing follows
SLOPE = 4  # mel frames between which its change is compared


class MultiResolutionSTFT(nn.Module):
    """Mean over resolutions of log-magnitude L1 and linear-magnitude L1 (relative), as in Parallel WaveGAN and DDSP."""

    def __init__(self, sizes: tuple[int, ...] = (2048, 1024, 512)) -> None:
        super().__init__()
        self.sizes = sizes
        for size in sizes:
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Waves [B, N] -> scalar."""
        total = made.new_zeros(())
        for size in self.sizes:
            window = getattr(self, f"window_{size}")
            a = stft(made.float(), size, size // 4, window).abs()
            b = stft(wanted.float(), size, size // 4, window).abs()
            log = ((a + FLOOR * size / 16).log() - (b + FLOOR * size / 16).log()).abs().mean()
            linear = (a - b).abs().mean() / b.mean().clamp_min(FLOOR)
            total = total + log + 0.5 * linear
        return total / len(self.sizes)


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of values where mask (same shape, broadcastable) is 1."""
    weights = mask.expand_as(values)
    return (values * weights).sum() / weights.sum().clamp_min(1)


def cepstra(mel: torch.Tensor, count: int = CEPSTRA) -> torch.Tensor:
    """Log-mel [B, F, M] -> its first `count` cepstra [B, count, M] (orthonormal cosine transform over the bands)."""
    bands = mel.shape[1]
    place = (torch.arange(bands, device=mel.device) + 0.5) / bands
    waves = torch.cos(math.pi * torch.arange(count, device=mel.device)[:, None] * place)
    return torch.einsum("kf,bfm->bkm", (waves * math.sqrt(2 / bands)).to(mel), mel)


def feature_loss(
    predicted: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    wanted: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    mask: torch.Tensor,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Log-mel L1, cepstral L1 and that of its slope, log-pitch L1 where voiced, voicing cross-entropy.

    Bands of noise cannot be foretold one by one, and their L1 only blurs; low cepstra average over them and keep what
    is heard: the envelope.

    Args:
        predicted, wanted: (log-mel [B, F, M], log pitch [B, M], voicing logits or 0/1 [B, M]).
        mask: [B, M], 1 inside the clip.
    """
    mel, log_f0, voicing = predicted
    mel_wanted, f0_wanted, voiced = wanted
    error = mel - mel_wanted
    level = masked_mean(error.abs(), mask[:, None])
    envelope = cepstra(error)
    shape = masked_mean(envelope.abs(), mask[:, None])
    change = envelope[..., SLOPE:] - envelope[..., :-SLOPE]
    slope = masked_mean(change.abs(), mask[:, None, SLOPE:])
    tone = masked_mean((log_f0 - f0_wanted).abs(), mask * voiced)
    gate = nn.functional.binary_cross_entropy_with_logits(voicing, voiced, reduction="none")
    gate = masked_mean(gate, mask)
    loss = level + 0.6 * shape + 0.4 * slope + 2.0 * tone + 0.2 * gate
    parts = {"mel": level, "cepstra": shape, "pitch": tone, "voicing": gate}
    return loss, {name: float(part.detach()) for name, part in parts.items()}
