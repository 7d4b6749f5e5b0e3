"""What training shows the model is what generation will show it (spec sections 9.1, 13.2 and 13.3)."""

import numpy as np
import torch

from unisono.families.tada.prompt import chat_prefix, prompt_tables, read_inputs
from unisono.families.tada.training import Hiding, Passage, collate, hide_text, lay_out
from unisono.text import CharacterTokenizer

SHIFT, CLASSES, TEXT = 3, 64, " some words."


def passage() -> Passage:
    rng = np.random.default_rng(0)
    ids = np.array(CharacterTokenizer().encode(TEXT))
    positions = np.cumsum(rng.integers(1, 9, len(ids)))
    return Passage(ids, rng.normal(size=(len(ids), 4)).astype(np.float32), positions, int(positions[-1]) + 7, "ann")


def test_inputs_equal_those_of_a_voice_prompt() -> None:
    given, tokenizer = passage(), CharacterTokenizer()
    layout = lay_out(given, tokenizer, SHIFT, CLASSES)
    prefix = chat_prefix(tokenizer, given.system)
    tables = prompt_tables(
        torch.from_numpy(given.vectors)[None], torch.from_numpy(given.positions)[None], len(prefix), 0, CLASSES
    )
    read = read_inputs(tables, len(layout.ids), SHIFT)
    # The last text token's *after* is the distance to the end, which a prompt does not know; compare up to there.
    known = SHIFT + 1 + len(prefix) + len(given.ids) - 1
    for name, wanted in (("vectors", read.vectors), ("masks", read.masks), ("before", read.before)):
        np.testing.assert_array_equal(getattr(layout, name)[:known], wanted[0, :known].numpy(), name)
    np.testing.assert_array_equal(layout.after[: known - 1], read.after[0, : known - 1].numpy())
    assert layout.ids.tolist() == [
        tokenizer.bos_id,
        *prefix,
        *given.ids.tolist(),
        *[tokenizer.eot_id] * SHIFT,
    ]


def test_a_step_produces_what_a_later_step_reads() -> None:
    layout = lay_out(passage(), CharacterTokenizer(), SHIFT, CLASSES)
    produced = np.flatnonzero(layout.vector_loss)
    later = produced[produced + 1 < len(layout.ids)]
    np.testing.assert_array_equal(layout.target_vectors[later], layout.vectors[later + 1])
    np.testing.assert_array_equal(layout.target_before[later], layout.before[later + 1])
    np.testing.assert_array_equal(layout.target_after[later], layout.after[later + 1])


def test_every_token_and_the_end_are_targets_and_gaps_add_up() -> None:
    given = passage()
    layout = lay_out(given, CharacterTokenizer(), SHIFT, CLASSES)
    assert layout.vector_loss.sum() == len(given.ids) and layout.time_loss.sum() == len(given.ids) + 1
    assert layout.target_before[layout.time_loss > 0].sum() == given.frames - 1
    assert layout.text_loss.sum() == len(given.ids) + 1


def test_hidden_text_becomes_pads_without_loss() -> None:
    tokenizer, rng = CharacterTokenizer(), np.random.default_rng(0)
    layout = lay_out(passage(), tokenizer, SHIFT, CLASSES)
    shown = layout.ids.copy()
    hide_text(layout, tokenizer.pad_id, Hiding(all_text=1.0), rng)
    first, last = layout.body
    assert (layout.ids[first:last] == tokenizer.pad_id).all() and layout.text_loss[first:last].sum() == 0
    assert (layout.ids[:first] == shown[:first]).all() and (layout.ids[last:] == shown[last:]).all()


def test_collate_pads_to_the_right() -> None:
    tokenizer = CharacterTokenizer()
    long = lay_out(passage(), tokenizer, SHIFT, CLASSES)
    given = passage()
    short = lay_out(Passage(given.ids[:3], given.vectors[:3], given.positions[:3], 40, ""), tokenizer, SHIFT, CLASSES)
    batch = collate([long, short], tokenizer.pad_id)
    assert batch["ids"].shape == (2, len(long.ids)) and batch["vectors"].shape[2] == 4
    assert batch["inside"][1].sum() == len(short.ids)
    assert (batch["ids"][1, len(short.ids) :] == tokenizer.pad_id).all()
    assert batch["time_loss"][1, len(short.ids) :].sum() == 0
