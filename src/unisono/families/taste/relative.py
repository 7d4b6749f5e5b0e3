"""Stacks of self-attention blocks with relative positions, as CosyVoice's encoders and language model have them.

Axes: B batch, P positions, H width, h heads, d = H / h. Parameter names are the published ones (spec section 5).
Used causally by the unit decoder (`static_chunk_size` 1) and with full attention by the flow decoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

BASE = 10000.0
EPS = 1e-5


def offset_table(offsets: torch.Tensor, width: int) -> torch.Tensor:
    """Sinusoids of signed distances: [O] -> [O, H], sines and cosines interleaved."""
    rates = torch.exp(torch.arange(0, width, 2, device=offsets.device).float() * -(math.log(BASE) / width))
    angles = offsets.float()[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


@lru_cache(maxsize=8)
def _offsets(width: int, reach: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """`offset_table` of the distances reach … −reach, kept from step to step; of use in training wherever it was made
    first."""
    with torch.inference_mode(False):
        return offset_table(torch.arange(reach, -reach - 1, -1, device=device), width).to(dtype)


def offsets_between(new: int, total: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Sinusoids [new + total − 1, H] of the distances from the last `new` of `total` positions to all of them, from
    total − 1 down to 1 − new, in the place and format of `like`."""
    reach = 1 << max(total - 1, 63).bit_length()
    table = _offsets(width, reach, like.device, like.dtype)
    return table[reach - total + 1 : reach + new]


@dataclass
class StackState:
    """What a causal stack keeps between calls: keys and values of each block [B, h, P, d], and how many positions."""

    keys: list[torch.Tensor] = field(default_factory=list)
    values: list[torch.Tensor] = field(default_factory=list)
    length: int = 0


class RelativeAttention(nn.Module):
    """score = ((q + u)·k_j + (q + v)·W p(i − j)) / √d (spec section 1.4)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_dim, self.dropout = heads, width // heads, dropout
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, self.head_dim))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, self.head_dim))
        nn.init.xavier_uniform_(self.pos_bias_u)
        nn.init.xavier_uniform_(self.pos_bias_v)

    def forward(
        self,
        x: torch.Tensor,
        offsets: torch.Tensor,
        allowed: torch.Tensor | None,
        past: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """New positions against themselves and a past.

        Args:
            x: [B, P, H]. offsets: what `offsets_between` gives [P + M − 1, H], where M are all keys.
            allowed: bool, True = may be attended, broadcast to [B, h, P, M].
            past: keys and values [B, h, M − P, d] of the positions before.

        Returns:
            [B, P, H], and keys and values of all M positions.
        """
        queries, keys, values = (self._split(layer(x)) for layer in (self.linear_q, self.linear_k, self.linear_v))
        if past is not None:
            keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
        new, total = x.shape[1], keys.shape[2]
        by_offset = self._by_offset(queries + self.pos_bias_v[:, None], offsets)  # [B, h, P, O]
        rows = torch.arange(new, device=x.device)[:, None]
        index = new - 1 - rows + torch.arange(total, device=x.device)  # entry of the distance i − j
        placed = by_offset.gather(-1, index.expand(*by_offset.shape[:2], -1, -1))
        bias = placed / math.sqrt(self.head_dim)
        if allowed is not None:
            bias = bias.masked_fill(~allowed, float("-inf"))
        attended = functional.scaled_dot_product_attention(
            queries + self.pos_bias_u[:, None],
            keys,
            values,
            attn_mask=bias,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.linear_out(attended.transpose(1, 2).flatten(2)), (keys, values)

    def _by_offset(self, queries: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Queries [B, h, P, d] times projected sinusoids [O, H] -> [B, h, P, O], in the cheaper order of the two."""
        if queries.shape[2] == 1:
            weight = self.linear_pos.weight.unflatten(0, (self.heads, self.head_dim))  # [h, d, H]
            return queries @ weight @ offsets.T
        table = self.linear_pos(offsets).unflatten(-1, (self.heads, self.head_dim)).transpose(0, 1)  # [h, O, d]
        return queries @ table.transpose(1, 2)

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)


class FeedForward(nn.Module):
    """w_2(act(w_1(x)))."""

    def __init__(self, width: int, inner: int, dropout: float, activation: nn.Module) -> None:
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.activation, self.dropout = activation, nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., H] -> [.., H]."""
        return self.w_2(self.dropout(self.activation(self.w_1(x))))


class Block(nn.Module):
    """Pre-norm attention and feed-forward. The norms are named after the place: `norm_mha`, `norm_ff` in encoders,
    `norm1`, `norm2` in the language model."""

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
        attention_dropout: float,
        activation: nn.Module,
        norms: tuple[str, str],
    ) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(width, heads, attention_dropout)
        self.feed_forward = FeedForward(width, inner, dropout, activation)
        self.norms = norms
        for name in norms:
            self.add_module(name, nn.LayerNorm(width, eps=EPS))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: torch.Tensor,
        offsets: torch.Tensor,
        allowed: torch.Tensor | None,
        past: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """As `RelativeAttention.forward`."""
        first, second = (getattr(self, name) for name in self.norms)
        attended, kept = self.self_attn(first(x), offsets, allowed, past)
        x = x + self.dropout(attended)
        return x + self.dropout(self.feed_forward(second(x))), kept


class InputLayer(nn.Module):
    """Linear, LayerNorm, dropout, in the language model a ReLU; then times √H."""

    def __init__(self, width_in: int, width: int, dropout: float, relu: bool) -> None:
        super().__init__()
        parts = [nn.Linear(width_in, width), nn.LayerNorm(width, eps=EPS), nn.Dropout(dropout)]
        self.out = nn.Sequential(*parts, *([nn.ReLU()] if relu else []))
        self.scale = math.sqrt(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[.., in] -> [.., H]."""
        return self.out(x) * self.scale


class RelativeStack(nn.Module):
    """Input layer, blocks, final norm.

    Args:
        width_in, width, heads, inner, blocks: sizes.
        lm: the language model's variant: ReLU instead of SiLU, another ReLU at the input, norms called norm1, norm2.
        causal: a position attends to itself and what is before it; else to all valid positions.
    """

    def __init__(
        self,
        width_in: int,
        width: int,
        heads: int,
        inner: int,
        blocks: int,
        dropout: float = 0.0,
        positional_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        lm: bool = False,
        causal: bool = True,
    ) -> None:
        super().__init__()
        self.width, self.causal = width, causal
        self.embed = InputLayer(width_in, width, dropout, lm)
        self.positional_dropout = nn.Dropout(positional_dropout)
        norms = ("norm1", "norm2") if lm else ("norm_mha", "norm_ff")
        self.encoders = nn.ModuleList(
            Block(width, heads, inner, dropout, attention_dropout, nn.ReLU() if lm else nn.SiLU(), norms)
            for _ in range(blocks)
        )
        self.after_norm = nn.LayerNorm(width, eps=EPS)

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor | None = None, state: StackState | None = None
    ) -> torch.Tensor:
        """Whole sequences, or the next positions of a causal stack with a state, which is filled.

        Args:
            x: [B, P, in], padded on the right. lengths: int64 [B], valid positions; None = all. Needed only with full
                attention: causal stacks never look at what comes later.

        Returns:
            [B, P, H].
        """
        if state is not None and not self.causal:
            raise ValueError("only causal stacks can go on from a state")
        past = 0 if state is None else state.length
        new, total = x.shape[1], past + x.shape[1]
        table = self.positional_dropout(offsets_between(new, total, self.width, x))
        allowed = self._allowed(new, total, lengths, x.device)
        x = self.positional_dropout(self.embed(x))
        for index, block in enumerate(self.encoders):
            before = (state.keys[index], state.values[index]) if past else None
            x, kept = block(x, table, allowed, before)
            if state is not None:
                _put(state, index, kept)
        if state is not None:
            state.length = total
        return self.after_norm(x)

    def _allowed(self, new: int, total: int, lengths: torch.Tensor | None, device: torch.device) -> torch.Tensor | None:
        """Which keys each new position may attend: bool, broadcast to [B, h, P, M]; None = all."""
        keys = torch.arange(total, device=device)
        if self.causal:
            return None if new == 1 else keys <= torch.arange(total - new, total, device=device)[:, None]
        return None if lengths is None else (keys < lengths[:, None])[:, None, None]


def _put(state: StackState, index: int, kept: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Keep keys and values of a block."""
    if index == len(state.keys):
        state.keys.append(kept[0])
        state.values.append(kept[1])
    else:
        state.keys[index], state.values[index] = kept
