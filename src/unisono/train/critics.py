"""Discriminators for the waveform stages: several STFT resolutions and several periods, least-squares losses.

After UnivNet (multi-resolution) and HiFi-GAN (multi-period), small. Axes: B batch, N samples, C channels.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional

from unisono.audio.mel import stft

Judged = tuple[torch.Tensor, list[torch.Tensor]]


class SpectralCritic(nn.Module):
    """Judges the complex spectrogram of one resolution: wave [B, N] -> scores and feature maps."""

    def __init__(self, n_fft: int, channels: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        widths = [2, channels, channels, channels, channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, (7, 3), stride=(2, 1), padding=(3, 1)) for a, b in itertools.pairwise(widths)
        )
        self.score = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, wave: torch.Tensor) -> Judged:
        """Scores [B, 1, ·, ·] and the feature maps before them."""
        spectrum = stft(wave, self.n_fft, self.n_fft // 4, self.window)
        x = torch.view_as_real(spectrum).permute(0, 3, 1, 2)
        # Compressed: loud and quiet parts weigh alike, as they do for the ear.
        x = x / (x.square().sum(1, keepdim=True) + 1e-6) ** 0.35
        return _run(self.convs, self.score, x)


class PeriodCritic(nn.Module):
    """Judges every p-th sample side by side: wave [B, N] -> scores and feature maps."""

    def __init__(self, period: int, channels: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, channels, 2 * channels, 4 * channels, 4 * channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, (5, 1), stride=(3, 1), padding=(2, 0)) for a, b in itertools.pairwise(widths)
        )
        self.score = nn.Conv2d(4 * channels, 1, (3, 1), padding=(1, 0))

    def forward(self, wave: torch.Tensor) -> Judged:
        """Scores [B, 1, ·, p] and the feature maps before them."""
        wave = functional.pad(wave, (0, -wave.shape[-1] % self.period))
        return _run(self.convs, self.score, wave.view(len(wave), 1, -1, self.period))


def _run(convs: nn.ModuleList, score: nn.Module, x: torch.Tensor) -> Judged:
    maps = []
    for conv in convs:
        x = functional.leaky_relu(conv(x), 0.1)
        maps.append(x)
    return score(x), maps


class Critics(nn.Module):
    """All discriminators of a stage, and the losses on both sides."""

    def __init__(
        self, channels: int = 16, sizes: tuple[int, ...] = (2048, 1024, 512), periods: tuple[int, ...] = (2, 3, 5, 7)
    ) -> None:
        super().__init__()
        spectral = [SpectralCritic(size, channels) for size in sizes]
        self.members = nn.ModuleList([*spectral, *(PeriodCritic(period, channels) for period in periods)])

    def critic_loss(self, made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """What the critics minimise: 1 for recordings, 0 for what was made; waves [B, N], `made` detached."""
        total = made.new_zeros(())
        for member in self.members:
            real, fake = member(wanted)[0], member(made)[0]
            total = total + (real - 1).square().mean() + fake.square().mean()
        return total / len(self.members)

    def maker_loss(self, made: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the maker minimises: adversarial loss, and feature-matching loss."""
        adversarial, matching = made.new_zeros(()), made.new_zeros(())
        for member in self.members:
            with torch.no_grad():
                wanted_maps = member(wanted)[1]
            scores, maps = member(made)
            adversarial = adversarial + (scores - 1).square().mean()
            distances = [(a - b).abs().mean() / b.abs().mean() for a, b in zip(maps, wanted_maps, strict=True)]
            matching = matching + sum(distances) / len(distances)
        return adversarial / len(self.members), matching / len(self.members)


class Adversary:
    """Critics with the weights of their losses, as a stage uses them; keeps the last sounds for the critics' turn."""

    def __init__(self, device: torch.device, weight: float = 0.3, matching: float = 1.0, channels: int = 16) -> None:
        self.critics = Critics(channels).to(device)
        self.weight, self.matching = weight, matching
        self.pair: tuple[torch.Tensor, torch.Tensor] | None = None

    @classmethod
    def of(cls, options: dict[str, float], device: torch.device) -> Adversary | None:
        """From a recipe's `adversarial` mapping (weight, matching, channels); an empty one means none."""
        return cls(device, **options) if options else None

    def add(
        self, loss: torch.Tensor, numbers: dict[str, float], made: torch.Tensor, wanted: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """The maker's loss with the adversarial terms, and the numbers to log; waves [B, N]."""
        self.pair = made.detach(), wanted
        with torch.autocast(made.device.type, enabled=False):
            adversarial, matching = self.critics.maker_loss(made.float(), wanted.float())
        numbers = numbers | {"adversarial": float(adversarial.detach()), "matching": float(matching.detach())}
        return loss + self.weight * adversarial + self.matching * matching, numbers

    def critic_loss(self) -> torch.Tensor:
        """The critics' loss on the last pair."""
        return self.critics.critic_loss(*self.pair)
