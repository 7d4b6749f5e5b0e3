"""The delay pattern and the labels: written by hand, and equal to what transformers' processor makes."""

from types import SimpleNamespace

import pytest
import torch

from unisono.families.dia.delay import decoder_prompt, training_rows, undelayed

END, PAD, BOS, X = 1024, 1025, 1026, -100
# Three channels, of which the second runs one step behind and the third two.
SMALL = SimpleNamespace(
    delay_pattern=[0, 1, 2],
    decoder_config=SimpleNamespace(num_channels=3, bos_token_id=BOS, eos_token_id=END, pad_token_id=PAD),
)
CODES = torch.tensor([[1, 11, 21], [2, 12, 22]])


def test_labels_written_by_hand():
    made = training_rows([CODES], SMALL)
    assert made["decoder_input_ids"][0].tolist() == [
        [BOS, BOS, BOS],
        [1, BOS, BOS],
        [2, 11, BOS],
        [END, 12, 21],
        [PAD, END, 22],
    ]
    assert made["labels"].tolist() == [[1, 2, END, X, X], [X, 11, 12, END, X], [X, X, 21, 22, END]]
    assert made["decoder_attention_mask"].tolist() == [[1, 1, 1, 1, 1]]


def test_a_shorter_row_begins_with_more_of_the_beginning():
    made = training_rows([CODES, CODES[:1]], SMALL)
    assert made["decoder_input_ids"][1, :, 0].tolist() == [BOS, BOS, 1, END, PAD]
    assert made["decoder_attention_mask"][1].tolist() == [0, 1, 1, 1, 1]
    assert made["labels"][3:].tolist() == [[X, 1, END, X, X], [X, X, 11, END, X], [X, X, X, 21, END]]


def test_prompt_and_its_inverse_written_by_hand():
    ids, mask = decoder_prompt(CODES, 1, SMALL)
    assert ids[0].tolist() == [
        [BOS, BOS, BOS],
        [1, BOS, BOS],
        [2, 11, BOS],
        [PAD, 12, 21],
        [PAD, PAD, 22],
    ]
    assert mask.tolist() == [[1] * 5]
    steps = torch.tensor([[BOS] * 3, [1, BOS, BOS], [2, 11, BOS], [END, 12, 21], [PAD, END, 22], [PAD, PAD, END]])
    assert undelayed(steps, 1, SMALL).equal(CODES)
    assert undelayed(steps, 2, SMALL).equal(CODES[1:])


@pytest.fixture(scope="module")
def processor(dia):
    from transformers import DiaFeatureExtractor, DiaProcessor, DiaTokenizer

    features = DiaFeatureExtractor(sampling_rate=44100, hop_length=512)
    return DiaProcessor(features, DiaTokenizer(), dia.engine.codec.model)


@pytest.fixture(scope="module")
def wave():
    return torch.rand(512 * 12, generator=torch.Generator().manual_seed(0)) - 0.5


# The processor pads audio to its longest, whatever the tokenizer's length; it says so once too often.
@pytest.mark.filterwarnings("ignore:.max_length. is ignored")
def test_rows_are_those_of_the_library_s_processor(dia, processor, wave):
    waves = [wave, wave[: 512 * 7]]
    given = processor(
        text=["[S1] Hi.", "[S2] Hello."], audio=[w.numpy() for w in waves], generation=False, output_labels=True
    )
    ours = training_rows([dia.engine.codec.encode(w) for w in waves], dia.engine.config)
    for name in ("decoder_input_ids", "decoder_attention_mask", "labels"):
        assert ours[name].tolist() == given[name].tolist(), name


@pytest.mark.filterwarnings("ignore:.max_length. is ignored")
def test_prompts_are_those_of_the_library_s_processor(dia, processor, wave):
    given = processor(text=["[S1] Hi."])
    ids, mask = decoder_prompt(None, 1, dia.engine.config)
    assert ids.tolist() == given["decoder_input_ids"].tolist()
    assert mask.tolist() == given["decoder_attention_mask"].tolist()
    given = processor(text=["[S1] Hi."], audio=[wave.numpy()])
    ids, mask = decoder_prompt(dia.engine.codec.encode(wave), 1, dia.engine.config)
    assert ids.tolist() == given["decoder_input_ids"].tolist()
    assert mask.tolist() == given["decoder_attention_mask"].tolist()
    assert dia.engine.text_ids("[S1] Hi. [S2] No.") == processor(text=["[S1] Hi. [S2] No."])["input_ids"][0].tolist()
