"""A random Llasa toy: bytes as text, an X-Codec 2 of 64 codes, a Llama of one layer."""

from pathlib import Path

import torch

from unisono.families.fixed_rate.card import Card
from unisono.families.llasa.building import new_codec, new_model, new_tokenizer, save_folder, spread_codes

CODES = 64
CODEC = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "encoder_hidden_size": 4,
    "quantization_dim": 48,
    "quantization_levels": [4, 4, 4],
    "semantic": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "feature_projection_input_dim": 160,
        "conv_depthwise_kernel_size": 3,
        "vocab_size": None,
    },
}
MODEL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
}
CARD = Card(family="llasa", name="llasa-toy", window=20, context=40, ahead=5, options={"token_seconds": 0.05})


def write_toy(folder: Path, seed: int = 0) -> Path:
    """Write the folder."""
    torch.manual_seed(seed)
    codec = new_codec(CODEC)
    spread_codes(codec, torch.randn(16000).cumsum(0) / 100)
    tokenizer = new_tokenizer(CODES)
    save_folder(folder, new_model(MODEL, tokenizer), tokenizer, codec, CARD)
    return folder
