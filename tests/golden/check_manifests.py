"""Golden names and shapes of the published full-size modules, built without memory (spec section 2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from golden_harness import Golden, checker
from torch import nn

from unisono.families.tada import AcousticSpkrVerf, Aligner, Decoder, Encoder, TadaConfig, TadaForCausalLM
from unisono.families.tada.aligner import AlignerConfig

IGNORED = "_precomputed_mask"  # all true and useless: skipped on purpose (quirk 2)
Shapes = Mapping[str, list[int]]


@checker("state_dict_manifests")
def check_manifests(golden: Golden) -> None:
    for module, manifest in json.loads(golden.path.read_text()).items():
        published = {name: shape for name, (shape, _) in manifest["tensors"].items() if not name.endswith(IGNORED)}
        builder = BUILDERS.get(module.partition("-")[0]) or BUILDERS.get(module)
        assert builder is not None, f"{module} is a module that this check cannot build"
        with torch.device("meta"):
            built = builder(published, manifest)
        ours = {name: list(tensor.shape) for name, tensor in built.state_dict().items()}
        missing, stray = sorted(set(published) - set(ours)), sorted(set(ours) - set(published))
        assert not missing and not stray, f"{module}: missing {missing[:5]}, unknown {stray[:5]}"
        wrong = {name: (ours[name], shape) for name, shape in published.items() if ours[name] != shape}
        assert not wrong, f"{module}: shapes differ {dict(list(wrong.items())[:5])}"
        counted = sum(parameter.numel() for parameter in built.parameters())
        assert counted == manifest["num_parameters"], f"{module}: {counted} parameters"


def _language_model(shapes: Shapes, manifest: Mapping[str, Any]) -> nn.Module:
    """Sizes from shapes; the number of attention heads leaves no trace in them and does not change any."""
    vocabulary, hidden = shapes["model.embed_tokens.weight"]
    keys = shapes["model.layers.0.self_attn.k_proj.weight"][0]
    inner, width = shapes["prediction_head.layers.0.ffn.gate_proj.weight"]
    head_dim = 64 if hidden % 64 == 0 and keys % 64 == 0 else 1
    return TadaForCausalLM(
        TadaConfig(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=shapes["model.layers.0.mlp.gate_proj.weight"][0],
            num_hidden_layers=_count(shapes, "model.layers."),
            num_attention_heads=hidden // head_dim,
            num_key_value_heads=keys // head_dim,
            head_dim=head_dim,
            tie_word_embeddings="lm_head.weight" not in shapes,
            acoustic_dim=shapes["acoustic_proj.weight"][1],
            num_time_classes=shapes["time_start_embed.weight"][0],
            head_layers=_count(shapes, "prediction_head.layers."),
            head_ffn_ratio=inner / width,
            bottleneck_dim=width if "bottleneck_proj.weight" in shapes else None,
        )
    )


def _count(shapes: Shapes, prefix: str) -> int:
    """Layers below a prefix."""
    return 1 + max(int(name[len(prefix) :].split(".")[0]) for name in shapes if name.startswith(prefix))


def _aligner(shapes: Shapes, manifest: Mapping[str, Any]) -> nn.Module:
    config = {**manifest.get("config_of_wav2vec2", {}), "vocab_size": shapes["encoder.lm_head.bias"][0]}
    vocabulary = config.pop("vocab_size")
    return Aligner(AlignerConfig(vocab_size=vocabulary, wav2vec2_config=config))


BUILDERS: Mapping[str, Callable[[Shapes, Mapping[str, Any]], nn.Module]] = {
    "encoder": lambda shapes, manifest: Encoder(),
    "decoder": lambda shapes, manifest: Decoder(),
    "spkr-verf": lambda shapes, manifest: AcousticSpkrVerf(),
    "aligner": _aligner,
    "tada": _language_model,
}
