"""A random Dia toy: one layer each way, a DAC of nine small code books."""

from pathlib import Path

import torch

from unisono.families.dia.building import new_codec, new_model, save_folder
from unisono.families.fixed_rate.card import Card

CODEC = {
    "encoder_hidden_size": 4,
    "downsampling_ratios": [2, 4, 8, 8],
    "decoder_hidden_size": 32,
    "n_codebooks": 9,
    "codebook_dim": 2,
    "sampling_rate": 44100,
}
MODEL = {
    "encoder": {
        "max_position_embeddings": 256,
        "num_hidden_layers": 1,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 32,
    },
    "decoder": {
        "max_position_embeddings": 512,
        "num_hidden_layers": 1,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "cross_num_attention_heads": 2,
        "cross_head_dim": 8,
        "cross_num_key_value_heads": 2,
        "cross_hidden_size": 16,
    },
}
CARD = Card(
    family="dia",
    name="dia-toy",
    chunk_characters=60,
    max_length=512,
    window=40,
    context=20,
    ahead=10,
    options={"token_seconds": 0.02},
)


def write_toy(folder: Path, seed: int = 0) -> Path:
    """Write the folder."""
    torch.manual_seed(seed)
    save_folder(folder, new_model(MODEL), new_codec(CODEC), CARD)
    return folder
