"""What the language model reads, against the worked example of the specification (section 13.8)."""

import pytest
import torch

from unisono.families.tada.prompt import (
    PromptTables,
    chat_prefix,
    gaps,
    hide_text,
    negative_ids,
    prefill_length,
    prompt_tables,
    read_inputs,
    sequence_ids,
)

SHIFT, CLASSES = 5, 256
POSITIONS = torch.tensor([[3, 5, 9, 10, 16, 30]])
GAPS = [2, 2, 4, 1, 6, 14]


class Letters:
    """Letters are their own ids, as are the digits of special tokens."""

    vocab_size, bos_id, eos_id, pad_id = 100, 90, 91, 92
    start_header_id, end_header_id, eot_id = 93, 94, 95

    def encode(self, text):
        roles = {"system": [96], "user": [97], "assistant": [98]}
        return roles.get(text, [ord(letter) - 96 for letter in text])


TOKENIZER = Letters()
PREFIX = chat_prefix(TOKENIZER)  # R = 7


@pytest.fixture
def tables():
    vectors = torch.arange(1.0, 7.0)[None, :, None].expand(1, 6, 2)
    return prompt_tables(vectors, POSITIONS, len(PREFIX), 2, CLASSES)


def test_the_prefix_has_no_newlines_and_opens_the_assistant_s_turn():
    assert PREFIX == [93, 96, 94, 95, 93, 98, 94]
    assert chat_prefix(TOKENIZER, "ab", "c") == [93, 96, 94, 1, 2, 95, 93, 97, 94, 3, 95, 93, 98, 94]


def test_gaps_are_1_based_and_clamped():
    assert gaps(POSITIONS, CLASSES).tolist() == [GAPS]
    assert gaps(POSITIONS, 5).tolist() == [[2, 2, 4, 1, 4, 4]]
    assert gaps(POSITIONS[:, :0], 5).shape == (1, 0)


def test_tables_of_the_example(tables):
    assert (tables.width, tables.times) == (11, 11)
    assert tables.vectors[0, :, 0].tolist() == [0] * 7 + [1, 2, 3, 4]
    assert tables.masks.tolist() == [[0] * 6 + [1] * 5]  # shifted left, a 1 appended
    assert tables.before.tolist() == [[0] * 8 + GAPS[:3]]
    assert tables.after.tolist() == [[0] * 7 + GAPS[:4]]


def test_what_positions_of_the_example_read(tables):
    ids = sequence_ids(TOKENIZER, PREFIX, range(1, 10), SHIFT)
    assert ids.shape == (1, 22) and prefill_length(22, tables, SHIFT) == 15
    read = read_inputs(tables, 15, SHIFT)
    assert read.vectors[0, :, 0].tolist() == [0] * 13 + [1, 2]
    assert read.masks[0].tolist() == [0] * 12 + [1, 1, 1]
    assert read.before[0].tolist() == [0] * 13 + GAPS[:2]
    assert read.after[0].tolist() == [0] * 12 + GAPS[:3]


def test_prompt_text_is_hidden_but_for_headers_and_the_last_tokens(tables):
    ids = sequence_ids(TOKENIZER, PREFIX, range(1, 10), SHIFT)
    shown = hide_text(ids, tables.width, TOKENIZER)
    pad = TOKENIZER.pad_id
    assert shown[0].tolist() == [90, *PREFIX, pad, pad, pad, 4, 5, 6, 7, 8, 9, *[95] * 5]
    assert negative_ids(shown, TOKENIZER)[0].tolist() == [pad, 93, pad, 94, 95, 93, pad, 94, *[pad] * 9, *[95] * 5]


def test_system_text_is_hidden_too():
    ids = sequence_ids(TOKENIZER, chat_prefix(TOKENIZER, "ab"), [1, 2], 0)
    assert hide_text(ids, 6, TOKENIZER)[0].tolist()[:6] == [90, 93, 96, 94, 92, 92]


@pytest.mark.parametrize(
    ("ids", "width", "times", "expected"),
    [(38, 14, 14, 18), (18, 2, 2, 0), (28, 19, 19, 23), (33, 14, 29, 19), (6, 9, 9, 0), (7, 9, 9, 7), (20, 0, 0, 0)],
)
def test_prefill_lengths(ids, width, times, expected):
    zeros = torch.zeros(1, times, dtype=torch.long)
    tables = PromptTables(torch.zeros(1, width, 2), torch.zeros(1, width, dtype=torch.long), zeros, zeros)
    assert prefill_length(ids, tables, SHIFT) == expected


def test_reading_beyond_the_tables_gives_zeros(tables):
    for length in (0, 1, 5, 6, 7, 40):
        read = read_inputs(tables, length, SHIFT)
        assert read.vectors.shape == (1, length, 2) and read.masks.shape == read.before.shape == (1, length)
    assert not read.vectors[0, SHIFT + 1 + tables.width :].any()
