"""A tiny TASTE model with random weights, laid out as ours are: a few hundred kilobytes in all."""

from __future__ import annotations

import json
from pathlib import Path

import torch

HEARD, LEVELS = 16, 3  # width of speech vectors, codes of a tuple


def tiny_config(
    vocabulary: int,
    kind: str = "autoregressive",
    quantiser: str = "rvq",
    lora: bool = False,
    units: int = 64,
    decoder: dict | None = None,
    **spoken: object,
) -> dict:
    """Sections of a `TasteConfig`."""
    stack = {"num_blocks": 1, "attention_heads": 2, "linear_units": 24, "dropout_rate": 0.0}
    stack["positional_dropout_rate"] = 0.0
    stacks = {f"{side}__{name}": value for side in ("encoder", "audio_encoder", "llm") for name, value in stack.items()}
    return {
        "audio_tower_config": {
            "text_token_size": vocabulary,
            "audio_embed_dim": HEARD,
            "kwargs_for_joint_encoder_segmenter": {
                "encoder": "mel_ctc",
                "target_hidden_layer": 1,
                "prefix_ids": [1],
                "end_id": 2,
                "skip_prefix_idx": 1,
                "aggregator_layers": 1,
            },
            "kwargs_for_quantizer": {
                "quantizer_class": quantiser,
                "dim": HEARD,
                "codebook_dim": 6,
                "codebook_size": 8,
                "num_quantizers": LEVELS,
                "kmeans_iters": 5,
                "levels": [2, 2, 2],
                "quantize_dropout": False,
            },
        },
        "speech_decoder_config": {
            "encoder_input_size": 12,
            "audio_encoder_input_size": HEARD,
            "llm_input_size": 16,
            "llm_output_size": 16,
            "text_token_size": vocabulary,
            "speech_token_size": units,
            "spk_embed_dim": 60,
            "kind": kind,
            **stacks,
            **(decoder or {}),
        },
        "spoken_lm_config": {
            "sos_id": 1,
            "use_lora": lora,
            "kwargs_for_lora": {"lora_r": 2, "lora_alpha": 4, "lora_dropout": 0.0},
            **spoken,
        },
        "text_config": {
            "vocab_size": vocabulary,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 4,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
        },
        "asr_config": {
            "d_model": HEARD,
            "num_mel_bins": 200,
            "encoder_layers": 2,
            "encoder_kernel": 3,
            "decoder_attention_heads": 2,
            "decoder_ffn_dim": 24,
            "max_source_positions": 400,
            "max_target_positions": 200,
        },
    }


def tiny_taste(vocabulary: int = 40, seed: int = 0, **changes: object):
    """A model in evaluation mode, its code books set from noise."""
    from unisono.families.taste import TasteConfig, TasteForCausalLM

    torch.manual_seed(seed)
    model = TasteForCausalLM(TasteConfig(**tiny_config(vocabulary, **changes)))
    for name, value in model.named_parameters():  # adapters begin at zero, which would hide mistakes
        if "lora_B" in name or ("weight" in name and value.dim() == 2 and "embed" not in name):
            torch.nn.init.normal_(value, std=0.4)
    if model.audio_tower.kind == "rvq":
        model.audio_tower.quantiser.initialise(torch.randn(4, 40, HEARD))
    return model.eval()


def build_taste(folder: Path, tada: Path, **changes: object) -> Path:
    """A model folder inside that of the tiny TADA model `tada`, whose aligner, tokenizer and decoder it shares."""
    from unisono.families.tada import Decoder
    from unisono.families.taste.sound.unit_codec import UnitCodec, UnitCodecConfig
    from unisono.text import load_tokenizer

    folder.mkdir()
    vocabulary = load_tokenizer(tada / "tokenizer").vocab_size
    tiny_taste(vocabulary, units=64, **changes).save_pretrained(folder)
    wide = Decoder.from_pretrained(tada / "decoder").wav_decoder.to_features.in_features
    sizes = UnitCodecConfig(levels=(4, 4, 4), channels=16, front_blocks=1, width=wide, blocks=1, inner=16)
    torch.manual_seed(0)
    UnitCodec(sizes).save_pretrained(folder / "sound")
    (folder / "unisono.json").write_text(json.dumps({"family": "taste", "name": "tiny-taste", "window": 10}))
    return folder
