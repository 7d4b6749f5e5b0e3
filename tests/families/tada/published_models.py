"""A small random checkpoint laid out as TADA was published: names, formats, shards, a codec beside it."""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from unisono.families.tada import AcousticSpkrVerf, Aligner, Decoder, Encoder, TadaConfig, TadaForCausalLM
from unisono.families.tada.aligner import AlignerConfig
from unisono.families.tada.decoder import DecoderConfig
from unisono.families.tada.encoder import EncoderConfig
from unisono.families.tada.speaker import AcousticSpkrVerfConfig
from unisono.files.checkpoint import config_values
from unisono.text.hub_tokens import SPECIAL_NAMES

SHARDS = 3
FRAMES = 768
WIDTH = 16  # of an acoustic vector
LANGUAGE_MODEL = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "tie_word_embeddings": True,
    "acoustic_dim": WIDTH,
    "num_time_classes": 16,
    "head_layers": 2,
    "head_ffn_ratio": 4.0,
}
ATTENTION = {
    "hidden_dim": 32,
    "embed_dim": WIDTH,
    "num_attn_layers": 2,
    "num_attn_heads": 2,
    "attn_dim_feedforward": 32,
    "max_frames": FRAMES,
}
WAV2VEC2 = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


def published_tensors(module, generator):
    """Random bfloat16 values under the module's names, rotary tables rounded to bfloat16, and the useless masks."""
    tensors = {}
    for name, value in module.state_dict().items():
        if name.endswith("rope_freqs"):
            tensors[name] = value.bfloat16()
            rows = value.shape[0]
            tensors[name.replace("rope_freqs", "_precomputed_mask")] = torch.ones(rows, rows, dtype=torch.bool)
        elif name.endswith("alpha") or (value.dim() == 1 and name.endswith("weight")):
            tensors[name] = torch.ones_like(value).bfloat16()
        elif value.is_floating_point():
            tensors[name] = (0.2 * torch.randn(value.shape, generator=generator)).bfloat16()
        else:
            tensors[name] = value.clone()
    return tensors


def write_config(folder, module, name):
    """As transformers writes it."""
    values = {**config_values(module.config), "architectures": [name], "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps({**values, "transformers_version": "4.57.6"}, indent=2) + "\n")


def write_shards(folder, tensors, count=SHARDS):
    """Shards and the index that goes with them."""
    names, table = sorted(tensors), {}
    for index in range(count):
        shard = f"model-{index + 1:05d}-of-{count:05d}.safetensors"
        save_file({name: tensors[name] for name in names[index::count]}, folder / shard, {"format": "pt"})
        table |= dict.fromkeys(names[index::count], shard)
    content = {"metadata": {"total_size": sum(value.nbytes for value in tensors.values())}, "weight_map": table}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_tokenizer(folder):
    """A byte tokenizer with the special tokens of Llama 3."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = [names[0] for names in SPECIAL_NAMES.values()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=280, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    inner.train_from_iterator(["hello there the system user assistant"] * 3, trainer)
    folder.mkdir(exist_ok=True)
    inner.save(str(folder / "tokenizer.json"))
    return folder


def build_published(root: Path, **changes) -> Path:
    """`root/tada-1b` in shards and `root/tada-codec`; returns the former. `changes` are keys of its configuration."""
    generator = torch.Generator().manual_seed(0)
    folder, codec = root / "tada-1b", root / "tada-codec"
    folder.mkdir(parents=True)
    model = TadaForCausalLM(TadaConfig(**{**LANGUAGE_MODEL, **changes}))
    write_config(folder, model, "TadaForCausalLM")
    tensors = published_tensors(model, generator)
    tensors["_decoder.decoder_proj.bias"] = torch.ones(3)  # some repositories carry a copy of the codec
    write_shards(folder, tensors)
    (folder / "README.md").write_text("A random model.\n")
    write_tokenizer(folder)
    parts = {
        "encoder": Encoder(EncoderConfig(**ATTENTION, wav_encoder_d_model=2)),
        "decoder": Decoder(DecoderConfig(**ATTENTION, wav_decoder_channels=32)),
        "aligner": Aligner(AlignerConfig(vocab_size=320, eos_token_id=1, wav2vec2_config=WAV2VEC2)),
        "spkr-verf": AcousticSpkrVerf(AcousticSpkrVerfConfig(input_dim=WIDTH, hidden_dim=16, embed_dim=8)),
    }
    for name, part in parts.items():
        (codec / name).mkdir(parents=True)
        write_config(codec / name, part, type(part).__name__)
        save_file(published_tensors(part, generator), codec / name / "model.safetensors", {"format": "pt"})
    return folder


def put_into_cache(home: Path, name: str, folder: Path, commit: str, *refs: str) -> Path:
    """Lay a folder out as huggingface_hub does: blobs, a snapshot of links, refs; returns the snapshot."""
    place = home / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = place / "snapshots" / commit
    for source in sorted(path for path in folder.rglob("*") if path.is_file()):
        blob = place / "blobs" / f"{commit[:4]}{abs(hash(str(source.relative_to(folder)))):x}"
        target = snapshot / source.relative_to(folder)
        blob.parent.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(source.read_bytes())
        target.symlink_to(os.path.relpath(blob, target.parent))
    for ref in refs:
        (place / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (place / "refs" / ref).write_text(commit)
    return snapshot
