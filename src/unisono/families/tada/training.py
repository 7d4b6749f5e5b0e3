"""What training shows TADA's language model: sequences, tables and targets (spec sections 9, 13.2, 13.3 and 17).

Axes: B batch, P positions, A = vector width, b bits a duration. Slots and positions as in spec section 9.1: the step
at position p reads slot p − S − 1 and produces slot p − S.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from unisono.families.tada.prompt import chat_prefix, negative_ids
from unisono.interface import Tokenizer

__all__ = ["Hiding", "Layout", "Passage", "collate", "hide_text", "lay_out", "negative_ids"]

LAST_AFTER = 1  # *after* of the end slot, as the speed pass has it


@dataclass
class Passage:
    """One utterance or several in a row by one speaker, ready to be laid out.

    Attributes:
        ids: token ids int64 [T]. vectors: float32 [T, A], normalised. positions: int64 [T], 1-based frames.
        frames: total length. system: text of the system turn.
    """

    ids: np.ndarray
    vectors: np.ndarray
    positions: np.ndarray
    frames: int
    system: str


@dataclass
class Layout:
    """One sequence of P positions: what each step reads, and what it should produce.

    Attributes:
        ids [P]; vectors [P, A], masks [P], before [P], after [P]: inputs of each step.
        target_vectors [P, A], target_before [P], target_after [P]; vector_loss, time_loss [P]: 1 where it counts.
        text_loss [P]: 1 where the next id is a target. hidden: first and last position of body text.
    """

    ids: np.ndarray
    vectors: np.ndarray
    masks: np.ndarray
    before: np.ndarray
    after: np.ndarray
    target_vectors: np.ndarray
    target_before: np.ndarray
    target_after: np.ndarray
    vector_loss: np.ndarray
    time_loss: np.ndarray
    text_loss: np.ndarray
    body: tuple[int, int]


def lay_out(passage: Passage, tokenizer: Tokenizer, shift: int, classes: int) -> Layout:
    """Arrange a passage with `shift` end tokens; durations are clamped to classes − 1."""
    prefix = chat_prefix(tokenizer, passage.system)
    lead, count = len(prefix), len(passage.ids)
    ids = np.concatenate([[tokenizer.bos_id], prefix, passage.ids, [tokenizer.eot_id] * shift]).astype(np.int64)
    width, size = len(ids), passage.vectors.shape[1]
    gaps = np.diff(np.concatenate([[1], passage.positions, [max(passage.frames, passage.positions[-1] + 1)]]))
    gaps = gaps.clip(0, classes - 1)  # [T + 1]; the last is the distance to the end

    # Slots 0 .. lead + count: prefix slots, text slots, the end slot.
    slots = lead + count + 1
    slot_vector = np.zeros((slots, size), np.float32)
    slot_mask, slot_before, slot_after = (np.zeros(slots, np.int64) for _ in range(3))
    slot_vector[lead : lead + count] = passage.vectors
    slot_mask[lead - 1 : lead + count] = 1
    slot_before[lead:] = gaps
    slot_after[lead - 1 : lead + count] = gaps
    slot_after[-1] = LAST_AFTER

    tables = [np.zeros((width, size), np.float32)] + [np.zeros(width, np.int64) for _ in range(3)]
    sources = slot_vector, slot_mask, slot_before, slot_after
    read = min(slots, width - shift - 1)
    for table, source in zip(tables, sources, strict=True):
        table[shift + 1 : shift + 1 + read] = source[:read]
    targets = [np.zeros_like(table) for table in tables]
    made = min(slots, width - shift)
    for target, source in zip(targets, sources, strict=True):
        target[shift : shift + made] = source[:made]

    vector_loss, time_loss, text_loss = (np.zeros(width, np.float32) for _ in range(3))
    vector_loss[shift + lead : shift + lead + count] = 1
    time_loss[shift + lead : shift + lead + count + 1] = 1
    text_loss[lead : lead + count + 1] = 1
    return Layout(
        ids,
        *tables,
        targets[0],
        targets[2],
        targets[3],
        vector_loss,
        time_loss,
        text_loss,
        (lead + 1, lead + 1 + count),
    )


@dataclass
class Hiding:
    """Chances of what is hidden from the model: text of the whole body, of a prefix of it, of its end; vectors."""

    all_text: float = 0.1
    prefix: float = 0.3
    suffix: float = 0.1
    vector: float = 0.05


def hide_text(layout: Layout, pad_id: int, hiding: Hiding, rng: np.random.Generator) -> None:
    """Replace part of the body text by the pad id, in place; pads carry no text loss (spec section 17)."""
    first, last = layout.body
    draw, at = rng.random(), int(rng.integers(first, last + 1))
    if draw < hiding.all_text:
        span = slice(first, last)
    elif draw < hiding.all_text + hiding.prefix:
        span = slice(first, at)
    elif draw < hiding.all_text + hiding.prefix + hiding.suffix:
        span = slice(at, last)
    else:
        return
    layout.ids[span] = pad_id
    layout.text_loss[max(span.start - 1, 0) : span.stop] = 0


def collate(layouts: list[Layout], pad_id: int) -> dict[str, torch.Tensor]:
    """Stack layouts, right-padded, into tensors [B, P, ...] plus `inside` [B, P]."""
    width = max(len(layout.ids) for layout in layouts)
    names = [name for name in Layout.__dataclass_fields__ if name != "body"]
    out = {}
    for name in names:
        first = getattr(layouts[0], name)
        fill = pad_id if name == "ids" else 0
        stacked = np.full((len(layouts), width, *first.shape[1:]), fill, first.dtype)
        for row, layout in enumerate(layouts):
            value = getattr(layout, name)
            stacked[row, : len(value)] = value
        out[name] = torch.from_numpy(stacked)
    lengths = torch.tensor([len(layout.ids) for layout in layouts])
    out["inside"] = torch.arange(width)[None] < lengths[:, None]
    return out
