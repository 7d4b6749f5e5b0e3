"""The network that estimates the velocity of TASTE's flow decoder: a U-Net over mel frames (spec section 1.5).

Parameter names are those of the published `flow.decoder.estimator.*`.

Axes: B batch, C channels, M mel frames, E width of the time embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass
class EstimatorConfig:
    """Sizes; the defaults are the published ones.

    Attributes:
        in_channels: x, mu, speaker and condition together. out_channels: mel bands. channels: width of each stage.
        n_blocks: transformer blocks a stage. num_mid_blocks: stages in the middle. num_heads, attention_head_dim.
        groupnorm_groups: of every GroupNorm.
    """

    in_channels: int = 320
    out_channels: int = 80
    channels: Sequence[int] = (256, 256)
    n_blocks: int = 4
    num_mid_blocks: int = 12
    num_heads: int = 8
    attention_head_dim: int = 64
    groupnorm_groups: int = 8


def time_features(t: torch.Tensor, width: int, scale: float = 1000.0) -> torch.Tensor:
    """Sines and then cosines [B, width] of times t [B] in [0, 1]."""
    half = width // 2
    rate = torch.exp(torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(10000.0) / (half - 1)))
    angle = scale * t[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1)


class TimeMLP(nn.Module):
    """Linear, SiLU, Linear."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, inputs] -> [B, E]."""
        return self.linear_2(functional.silu(self.linear_1(x)))


class ConvNorm(nn.Module):
    """Convolution of three frames, GroupNorm, Mish; [B, C, M] -> [B, C', M]."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv1d(inputs, outputs, 3, padding=1), nn.GroupNorm(groups, outputs), nn.Mish())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, M] -> [B, C', M]."""
        return self.block(x)


class TimedResidual(nn.Module):
    """Two `ConvNorm` with the time added between, beside a 1×1 convolution of the input."""

    def __init__(self, inputs: int, outputs: int, time_width: int, groups: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_width, outputs))
        self.block1 = ConvNorm(inputs, outputs, groups)
        self.block2 = ConvNorm(outputs, outputs, groups)
        self.res_conv = nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """x [B, C, M], time [B, E] -> [B, C', M]."""
        return self.block2(self.block1(x) + self.mlp(time)[:, :, None]) + self.res_conv(x)


class SelfAttention(nn.Module):
    """Attention over all frames; projections without bias but the last."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, heads * size, bias=False)
        self.to_k = nn.Linear(width, heads * size, bias=False)
        self.to_v = nn.Linear(width, heads * size, bias=False)
        self.to_out = nn.Sequential(nn.Linear(heads * size, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, M, C] -> [B, M, C]."""
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class Projected(nn.Module):
    """Linear and GELU, under the published name `proj`."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, M, C] -> [B, M, 4C]."""
        return functional.gelu(self.proj(x))


class FourfoldMLP(nn.Module):
    """GELU layer of four times the width and back; `net.1` is the published dropout, without effect."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Projected(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, M, C] -> [B, M, C]."""
        return self.net(x)


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP; [B, M, C] -> [B, M, C]."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.norm1, self.attn1 = nn.LayerNorm(width), SelfAttention(width, heads, size)
        self.norm3, self.ff = nn.LayerNorm(width), FourfoldMLP(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, M, C] -> [B, M, C]."""
        x = x + self.attn1(self.norm1(x))
        return x + self.ff(self.norm3(x))


class Halve(nn.Module):
    """[B, C, M] -> [B, C, ceil(M/2)]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, M] -> [B, C, ceil(M/2)]."""
        return self.conv(x)


class Double(nn.Module):
    """[B, C, M] -> [B, C, 2M]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(width, width, 4, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, M] -> [B, C, 2M]."""
        return self.conv(x)


class UNet(nn.Module):
    """Velocity of the flow at a time, from the present mel and its conditions."""

    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = list(config.channels)
        self.time_mlp = TimeMLP(config.in_channels, 4 * widths[0])
        stages = zip([config.in_channels, *widths[:-1]], widths, strict=True)
        self.down_blocks = nn.ModuleList(
            self._stage(inputs, width, nn.Conv1d(width, width, 3, padding=1) if last else Halve(width))
            for (inputs, width), last in zip(stages, self._last_of(widths), strict=True)
        )
        self.mid_blocks = nn.ModuleList(self._stage(widths[-1], widths[-1]) for _ in range(config.num_mid_blocks))
        back = [*widths[::-1], widths[0]]
        self.up_blocks = nn.ModuleList(
            self._stage(2 * before, width, nn.Conv1d(width, width, 3, padding=1) if last else Double(width))
            for before, width, last in zip(back[:-1], back[1:], self._last_of(widths), strict=True)
        )
        self.final_block = ConvNorm(widths[0], widths[0], config.groupnorm_groups)
        self.final_proj = nn.Conv1d(widths[0], config.out_channels, 1)

    @staticmethod
    def _last_of(items: Sequence[int]) -> list[bool]:
        return [index == len(items) - 1 for index in range(len(items))]

    def _stage(self, inputs: int, width: int, sampler: nn.Module | None = None) -> nn.ModuleList:
        """`0` residual, `1` transformer blocks, `2` what changes the rate."""
        config = self.config
        residual = TimedResidual(inputs, width, 4 * config.channels[0], config.groupnorm_groups)
        blocks = nn.ModuleList(
            TransformerBlock(width, config.num_heads, config.attention_head_dim) for _ in range(config.n_blocks)
        )
        return nn.ModuleList([residual, blocks] + ([] if sampler is None else [sampler]))

    def time(self, t: torch.Tensor) -> torch.Tensor:
        """Times [B] -> embedding [B, E]."""
        return self.time_mlp(time_features(t, self.config.in_channels))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Velocity.

        Args:
            x: [B, in_channels, M]: mel, mu, speaker, condition. t: [B], 0 noise to 1 sound.

        Returns:
            [B, out_channels, M].
        """
        time, skips = self.time(t), []
        for stage in self.down_blocks:
            x = _run(stage, x, time)
            skips.append(x)
            x = stage[2](x)
        for stage in self.mid_blocks:
            x = _run(stage, x, time)
        for stage in self.up_blocks:
            skip = skips.pop()
            x = stage[2](_run(stage, torch.cat([x[..., : skip.shape[-1]], skip], 1), time))
        return self.final_proj(self.final_block(x))


def _run(stage: nn.ModuleList, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Residual and transformer blocks of a stage: [B, C, M] -> [B, C', M]."""
    x = stage[0](x, time).transpose(1, 2)
    for block in stage[1]:
        x = block(x)
    return x.transpose(1, 2)
