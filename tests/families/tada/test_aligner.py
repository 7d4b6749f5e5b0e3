"""The aligner with tiny random weights: batches, budgets, windows, errors, files and the published names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from unisono.errors import AlignmentError, CheckpointError, InputError
from unisono.families.tada import Aligner
from unisono.families.tada.aligner import AlignerConfig, frame_budget

EOS = 3
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
WAV2VEC2 = AlignerConfig(vocab_size=20, eos_token_id=EOS, wav2vec2_config=TINY)
LOG_MEL = AlignerConfig(
    vocab_size=20,
    eos_token_id=EOS,
    frontend="log_mel",
    score="log_softmax",
    mel_ctc_config={"channels": 8, "blocks": 1},
)
CONFIGS = pytest.mark.parametrize("config", [WAV2VEC2, LOG_MEL], ids=["wav2vec2", "log_mel"])


class Letters:
    """A tokenizer of lower-case letters, a = 4."""

    eos_id = EOS

    def encode(self, text: str) -> list[int]:
        """Ids of the letters of `text`."""
        return [ord(letter) - 93 for letter in text]


def tiny(config: AlignerConfig) -> Aligner:
    """An aligner with the weights of one seed."""
    torch.manual_seed(0)
    return Aligner(config, Letters())


def noise(*samples: int) -> torch.Tensor:
    """[B, longest], zero-padded."""
    draw = torch.Generator().manual_seed(1)
    waves = [torch.randn(count, generator=draw) * 0.1 for count in samples]
    return torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)


@CONFIGS
def test_batch_row_equals_single(config: AlignerConfig) -> None:
    aligner, lengths = tiny(config), torch.tensor([24000, 15013])
    both = aligner(noise(24000, 15013), text=["abcde", "ab"], audio_length=lengths)
    assert both.token_positions.shape == (2, 5)
    assert both.token_masks.shape == (2, 50)
    for row, (length, text) in enumerate(zip(lengths.tolist(), ("abcde", "ab"), strict=True)):
        wave = noise(24000, 15013)[row : row + 1, :length]
        positions, masks = aligner(wave, text=text)
        assert positions[0].tolist() == [p for p in both.token_positions[row].tolist() if p]
        assert both.token_masks[row].nonzero().flatten().tolist() == [p - 1 for p in positions[0].tolist()]
        assert masks.shape[1] == -(-length // 480)


@CONFIGS
def test_columns_are_those_of_all_logits(config: AlignerConfig) -> None:
    aligner, wave, columns = tiny(config), noise(24000)[0], torch.tensor([7, 0, 7])
    for window in (None, (0.5, 0.3)):
        picked = aligner.logits(wave, columns=columns, window=window)
        torch.testing.assert_close(picked, aligner.logits(wave, window=window)[:, columns])
        assert picked.dtype == torch.float32


@CONFIGS
def test_windows_leave_no_row_of_a_long_sound_out(config: AlignerConfig) -> None:
    aligner = tiny(config)
    logits = aligner.logits(noise(48000)[0], window=(0.5, 0.25))
    assert logits.shape == (100, 20)
    assert (logits[:-1].abs().sum(-1) > 0).all()
    assert aligner(noise(48000), text="abc", inference_window_size=0.5).token_positions.shape == (1, 3)


@CONFIGS
def test_padding_tokens_are_removed(config: AlignerConfig) -> None:
    aligner, wave = tiny(config), noise(24000)
    plain = aligner(wave, text_tokens=torch.tensor([[5, 6]]))
    padded = aligner(wave, text_tokens=torch.tensor([[[5, 6, EOS, EOS]]]))
    assert plain.token_positions.equal(padded.token_positions)


def test_padded_sound_keeps_its_tokens_inside_the_budget() -> None:
    aligner = tiny(LOG_MEL)
    positions, masks = aligner(noise(24000), text="abcdefghij", audio_length=torch.tensor([4801]))
    assert masks.shape == (1, 11)
    assert int(positions.max()) <= 11


def test_budget_is_the_published_arithmetic() -> None:
    lengths = torch.tensor([1, 480, 481, 24000])
    assert frame_budget(lengths, 24000).tolist() == [1, 1, 2, 50]


@CONFIGS
@pytest.mark.parametrize(
    ("text", "samples", "error", "word"),
    [
        ("", 24000, AlignmentError, "no token"),
        ("a" * 51, 24000, AlignmentError, "51 tokens"),
        ("~", 24000, AlignmentError, "vocabulary of 20"),
        ("a", 0, AlignmentError, "longer recording"),
        (["a", "b"], 24000, InputError, "2 texts"),
        (None, 24000, InputError, "neither text"),
    ],
)
def test_refuses(config: AlignerConfig, text: object, samples: int, error: type, word: str) -> None:
    with pytest.raises(error, match=word):
        tiny(config)(noise(samples), text=text)


def test_refuses_more() -> None:
    with pytest.raises(InputError, match="no tokenizer"):
        Aligner(LOG_MEL)(noise(4800), text="a")
    with pytest.raises(InputError, match="window"):
        tiny(LOG_MEL)(noise(4800), text="a", inference_window_size=1.0, inference_window_stride=0.0)
    with pytest.raises(CheckpointError, match="frontend"):
        AlignerConfig(frontend="mel")
    with pytest.raises(CheckpointError, match="score"):
        AlignerConfig(score="softmax")
    with pytest.raises(CheckpointError, match="wav2vec2_config"):
        Aligner(AlignerConfig(base_model_name="other/network"))


@CONFIGS
def test_file_round_trip(config: AlignerConfig, tmp_path: Path) -> None:
    aligner = tiny(config)
    aligner.save_pretrained(tmp_path / "aligner")
    again = Aligner.from_pretrained(tmp_path, subfolder="aligner")
    assert again.config == aligner.config
    assert not again.training
    torch.testing.assert_close(again.logits(noise(9000)[0]), aligner.logits(noise(9000)[0]), rtol=0, atol=0)


def test_a_published_config_has_no_sizes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["Aligner"], "hidden_size": 3}))
    with pytest.raises(CheckpointError, match="hidden_size"):
        Aligner.from_pretrained(tmp_path)


def test_published_size_has_the_published_order_of_norms() -> None:
    with torch.device("meta"):
        aligner = Aligner()
    assert sum(value.numel() for value in aligner.parameters()) == 446_891_392
    assert aligner.encoder.config.do_stable_layer_norm is False
    gain = aligner.encoder.wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original0
    assert gain.shape == (1, 1, 128)
