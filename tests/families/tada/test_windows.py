"""Windows give what the whole gives: both heads, both front ends, rotary tables of either precision."""

import pytest
import torch

from unisono.families.tada import Decoder, Encoder
from unisono.families.tada.decoder import DecoderConfig
from unisono.families.tada.encoder import EncoderConfig
from unisono.families.tada.windows import Grid, decode_grid, decode_windows, encode_marks, hidden_frames

ATTENTION = {"embed_dim": 8, "num_attn_layers": 2, "num_attn_heads": 2, "attn_dim_feedforward": 16, "max_frames": 100}
HEADS = {
    "dac": {"head": "dac", "wav_decoder_channels": 32},
    "source_filter": {
        "head": "source_filter",
        "mark_context": True,
        "frame_blocks": 1,
        "vocoder_channels": 16,
        "vocoder_blocks": 1,
        "vocoder_inner": 16,
    },
}
FRONTS = {
    "waveform": {"frontend": "waveform", "wav_encoder_d_model": 2, "hidden_dim": 32},
    "log_mel": {"frontend": "log_mel", "vector_norm": True, "front_blocks": 1, "hidden_dim": 16},
}


def some_grid(length: int, longest: int = 12, seed: int = 0) -> Grid:
    """Random vectors at random frames."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(1, longest, (length,), generator=generator).cumsum(0)
    frames = frames[frames < length - 3]
    return Grid(torch.randn(len(frames), 8, generator=generator), frames, length)


def some_decoder(head: str, rounded: bool = False) -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(DecoderConfig(hidden_dim=16, **ATTENTION, **HEADS[head])).eval()
    for layer in decoder.local_attention_decoder.layers:
        if rounded:  # as published files have it
            layer.self_attn.rope_freqs.copy_(layer.self_attn.rope_freqs.bfloat16())
    return decoder


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("window", "longest", "rounded"), [(37, 12, False), (64, 90, True), (150, 12, True)])
@torch.inference_mode()
def test_decoding_by_windows_is_decoding_the_whole(head, window, longest, rounded):
    decoder, grid = some_decoder(head, rounded), some_grid(260, longest)
    whole = decoder(*grid.expanded(0, grid.length))[0, 0]
    parts = list(decode_windows(decoder, grid, window))
    assert len(parts) > 1 and torch.cat(parts).shape == whole.shape
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(decode_grid(decoder, grid, window), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("head", HEADS)
@torch.inference_mode()
def test_the_stated_reach_is_enough_and_needed(head):
    """What lies within the reach of a change moves, what lies outside does not."""
    decoder, grid = some_decoder(head), some_grid(200)
    token = len(grid.frames) // 2
    changed = grid._replace(vectors=grid.vectors.clone())
    changed.vectors[token] += 1
    first, second = (hidden_frames(decoder, g)(0, 200) for g in (grid, changed))
    moved = (first - second).abs().amax((0, 1)) > 1e-7
    low, high = int(grid.frames[token - 1]) + 1, int(grid.frames[token + decoder.reach + 1])
    assert moved[low : int(grid.frames[token]) + 1].all() and not moved[:low].any()
    assert not moved[high + 1 :].any() and moved[int(grid.frames[token + decoder.reach - 1]) + 1 : high].any()


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("samples", [480 * 220, 480 * 220 + 479, 480 * 180 + 1])
@torch.inference_mode()
def test_encoding_by_windows_is_encoding_the_whole(front, samples):
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(**ATTENTION, **FRONTS[front])).eval()
    wave = 0.1 * torch.randn(samples)
    frames = some_grid(samples // 480, 20).frames
    masks = torch.zeros(1, encoder.frame_count(samples), dtype=torch.long)
    masks[0, frames] = 1
    whole = encoder.frames(wave[None], masks)[0]
    assert len(whole) == encoder.frame_count(samples)
    for window in (15, 90):
        found = encode_marks(encoder, wave, frames + 1, window)
        torch.testing.assert_close(found, whole[frames], atol=1e-5, rtol=0)
