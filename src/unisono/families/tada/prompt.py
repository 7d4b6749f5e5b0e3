"""What the language model reads: the id sequence and the tables of a voice prompt (TADA, spec sections 13.2 to 13.4).

Axes: B rows, N ids, T prompt tokens, R prefix length, P columns of the prompt tables, A acoustic width, S shift.
Slot j is the acoustic item of sequence position j + 1; position p reads slot p − S − 1 and produces slot p − S.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from unisono.interface import Tokenizer


@dataclass(frozen=True)
class PromptTables:
    """Columns per slot: `vectors` [B, P, A] and `masks` int64 [B, P]; `before` and `after` int64 [B, W], frames.

    Reading slot j takes vector and mask from column j and durations from column j + 1. W is P except in the speed
    pass, which knows every duration.
    """

    vectors: torch.Tensor
    masks: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor

    @property
    def width(self) -> int:
        """P."""
        return self.vectors.shape[1]

    @property
    def times(self) -> int:
        """W."""
        return self.before.shape[1]


@dataclass(frozen=True)
class ReadInputs:
    """What each position reads beside its id: [B, N, A], and three int64 [B, N]."""

    vectors: torch.Tensor
    masks: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor


def chat_prefix(tokenizer: Tokenizer, system: str = "", user: str | None = None) -> list[int]:
    """Ids between begin-of-text and the body: the system turn, a user turn if given, and the opened assistant turn."""

    # Tokenizers of ours have one token a role; in the published one the word itself is a single token.
    role_ids = getattr(tokenizer, "role_ids", tokenizer.encode)

    def header(role: str) -> list[int]:
        return [tokenizer.start_header_id, *role_ids(role), tokenizer.end_header_id]

    prefix = [*header("system"), *tokenizer.encode(system), tokenizer.eot_id]
    if user is not None:
        prefix += [*header("user"), *tokenizer.encode(user), tokenizer.eot_id]
    return prefix + header("assistant")


def sequence_ids(tokenizer: Tokenizer, prefix: Sequence[int], body: Sequence[int], end_tokens: int) -> torch.Tensor:
    """Begin-of-text, prefix, body (prompt and target tokens) and `end_tokens` end-of-turn ids: int64 [1, N]."""
    return torch.tensor([[tokenizer.bos_id, *prefix, *body, *[tokenizer.eot_id] * end_tokens]])


def gaps(positions: torch.Tensor, classes: int) -> torch.Tensor:
    """1-based frames [B, T] -> frames since the mark before, within 0 .. classes − 1; the first counts from frame 1."""
    first = torch.ones_like(positions[:, :1])
    return torch.diff(positions, dim=1, prepend=first).clamp(0, classes - 1)


def prompt_tables(
    vectors: torch.Tensor, positions: torch.Tensor, prefix_length: int, dropped: int, classes: int
) -> PromptTables:
    """Tables of a voice prompt, the last `dropped` columns cut off (`num_transition_steps`).

    The mask row is shifted left by one and a 1 appended, as published (spec section 18, quirk 6).

    Args:
        vectors: [B, T, A], normalised. positions: int64 [B, T], 1-based frames.
    """
    batch, tokens, _ = vectors.shape
    distance = gaps(positions, classes)
    width = max(prefix_length + tokens - dropped, 0)
    padded = functional.pad(vectors, (0, 0, prefix_length, 0))[:, :width]
    spoken = torch.arange(prefix_length + tokens, device=vectors.device) >= prefix_length
    masks = functional.pad(spoken[None, :width].long()[:, 1:], (0, min(width, 1)), value=1)
    before = functional.pad(distance, (prefix_length + 1, 0))[:, :width]
    after = functional.pad(distance, (prefix_length, 0))[:, :width]
    return PromptTables(padded, masks.expand(batch, -1), before, after)


def read_inputs(tables: PromptTables, length: int, shift: int) -> ReadInputs:
    """What positions 0 .. length − 1 read; zeros where a position reads nothing or a table has ended."""

    def place(table: torch.Tensor, first_column: int) -> torch.Tensor:
        kept = table[:, first_column : first_column + max(length - shift - 1, 0)]
        start = min(shift + 1, length)
        spare = length - start - kept.shape[1]
        return functional.pad(kept, (0, 0, start, spare) if table.ndim == 3 else (start, spare))

    return ReadInputs(place(tables.vectors, 0), place(tables.masks, 0), place(tables.before, 1), place(tables.after, 1))


def hide_text(ids: torch.Tensor, upto: int, tokenizer: Tokenizer) -> torch.Tensor:
    """Replace text before position `upto` by the pad id; headers, roles and turn marks stay.

    System and user text is hidden too, as published (spec section 18, quirk 8).
    """
    shown = ids.clone()
    lasting = (tokenizer.eot_id, tokenizer.bos_id, tokenizer.eos_id)
    for row, original in zip(shown, ids[:, :upto].tolist(), strict=True):
        inside = False
        for position, token in enumerate(original):
            if token in (tokenizer.start_header_id, tokenizer.end_header_id):
                inside = token == tokenizer.start_header_id
            elif not inside and token not in lasting:
                row[position] = tokenizer.pad_id
    return shown


def negative_ids(ids: torch.Tensor, tokenizer: Tokenizer) -> torch.Tensor:
    """Ids of the guidance branch: pad everywhere but at header marks and end-of-turn."""
    kept = torch.tensor([tokenizer.start_header_id, tokenizer.end_header_id, tokenizer.eot_id], device=ids.device)
    return torch.where(torch.isin(ids, kept), ids, tokenizer.pad_id)


def prefill_length(ids: int, tables: PromptTables, shift: int) -> int:
    """Positions that can be run at once (spec section 13.5); 0 = step by step from the beginning."""
    room = (ids - shift - 1, tables.width - 1, tables.times - 1)
    if tables.width == 0 or min(room) <= 0:
        return 0
    columns = min(*room, max(0, tables.times - 2))
    return min(ids, shift + columns + 1) if columns > 0 else 0
