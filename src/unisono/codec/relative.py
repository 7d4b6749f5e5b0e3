"""The encoder with relative positions that TASTE's unit decoder and flow decoder are built of (TASTE, spec section 1.4).

Pre-norm transformer blocks; the score of query i and key j sees their distance through sinusoids and two learned biases
(after Transformer-XL). Parameter names are the published ones.

Axes: B batch, T positions, C width, H heads, K = C/H, R = 2T-1 distances.
"""

from __future__ import annotations

import math

import torch
from torch import nn

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU}
BASE = 10000.0


def distance_table(length: int, width: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Sinusoids [2·length-1, width] of the distances length-1 down to 1-length, sines and cosines interleaved."""
    distance = torch.arange(length - 1, -length, -1, dtype=torch.float32, device=device)
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32, device=device) * (-math.log(BASE) / width))
    angle = distance[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def by_distance(scores: torch.Tensor) -> torch.Tensor:
    """Scores [..., T, R] of each distance, ordered as in `distance_table`, as scores [..., T, T] of each key."""
    length = scores.shape[-2]
    place = torch.arange(length, device=scores.device)
    index = length - 1 - (place[:, None] - place)  # row of distance i - j
    return scores.gather(-1, index.expand(*scores.shape[:-2], length, length))


class RelativeAttention(nn.Module):
    """Multi-head attention; score = ((q+u)·k + (q+v)·W p)/sqrt(K) with the sinusoid p of the distance."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, size = heads, width // heads
        self.linear_q, self.linear_k = nn.Linear(width, width), nn.Linear(width, width)
        self.linear_v, self.linear_out = nn.Linear(width, width), nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, size))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, size))

    def forward(self, x: torch.Tensor, positions: torch.Tensor, blocked: torch.Tensor | None) -> torch.Tensor:
        """Attend.

        Args:
            x: [B, T, C]. positions: [R, C]. blocked: bool, broadcast to [B, H, T, T], True where nothing may be read.

        Returns:
            [B, T, C].
        """
        query, key, value = (self._split(layer(x)) for layer in (self.linear_q, self.linear_k, self.linear_v))
        distance = self._split(self.linear_pos(positions)[None])  # [1, H, R, K]
        content = (query + self.pos_bias_u[:, None]) @ key.transpose(-1, -2)
        place = by_distance((query + self.pos_bias_v[:, None]) @ distance.transpose(-1, -2))
        scores = (content + place) / math.sqrt(query.shape[-1])
        if blocked is not None:
            scores = scores.masked_fill(blocked, -math.inf)
        mixed = scores.softmax(-1) @ value
        return self.linear_out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, C] -> [B, H, T, K]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Linear, activation, Linear."""

    def __init__(self, width: int, inner: int, activation: str) -> None:
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, C] -> [B, T, C]."""
        return self.w_2(self.activation(self.w_1(x)))


class RelativeBlock(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)); `norms` names the two norms as the file does."""

    def __init__(self, width: int, heads: int, inner: int, activation: str, norms: tuple[str, str]) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(width, heads)
        self.feed_forward = FeedForward(width, inner, activation)
        self.norms = norms
        for name in norms:
            self.add_module(name, nn.LayerNorm(width))

    def forward(self, x: torch.Tensor, positions: torch.Tensor, blocked: torch.Tensor | None) -> torch.Tensor:
        """As `RelativeAttention.forward`."""
        first, second = (self.get_submodule(name) for name in self.norms)
        x = x + self.self_attn(first(x), positions, blocked)
        return x + self.feed_forward(second(x))


class LinearInput(nn.Module):
    """Linear and layer norm (`out.0`, `out.1`), a ReLU where asked for, and the scale sqrt(C)."""

    def __init__(self, inputs: int, width: int, relu: bool) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), *([nn.ReLU()] if relu else []))
        self.scale = math.sqrt(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, inputs] -> [B, T, C]."""
        return self.out(x) * self.scale


class RelativeEncoder(nn.Module):
    """A stack of relative blocks.

    Args:
        inputs: width of the input. width C, blocks, heads, inner: sizes. activation: "silu" or "relu".
        norms: names of the norms before attention and before the feed-forward. input_relu: ReLU in the input layer.
        causal: whether a position reads only itself and what comes before.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        blocks: int,
        heads: int,
        inner: int,
        *,
        activation: str = "silu",
        norms: tuple[str, str] = ("norm_mha", "norm_ff"),
        input_relu: bool = False,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.causal = width, causal
        self.embed = LinearInput(inputs, width, input_relu)
        self.encoders = nn.ModuleList(RelativeBlock(width, heads, inner, activation, norms) for _ in range(blocks))
        self.after_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Encode.

        Args:
            x: [B, T, inputs]. lengths: valid positions [B]; later ones are not read (their own rows mean nothing).

        Returns:
            [B, T, C].
        """
        length = x.shape[1]
        blocked = None
        if self.causal:
            blocked = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        if lengths is not None:
            outside = torch.arange(length, device=x.device) >= lengths[:, None]
            blocked = outside[:, None, None] if blocked is None else blocked | outside[:, None, None]
        positions = distance_table(length, self.width, x.device).to(x.dtype)
        x = self.embed(x)
        for block in self.encoders:
            x = block(x, positions, blocked)
        return self.after_norm(x)
