"""The language model with or without LoRA adapters, run whole or step by step (spec section 2).

Adapters are peft's, put into our own Llama, so that names are the published ones. A model with merged adapters needs
no peft. Axes: R rows, P positions, H width, k key and value heads, d head width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from unisono.errors import CheckpointError
from unisono.families.taste.config import LoraSizes
from unisono.lm.backbone import Backbone, LlamaBackbone
from unisono.lm.llama import KeyValues, Llama, LlamaSizes, rope_frequencies, rotate

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class RoundedLlama(Llama):
    """Llama whose rotary frequencies went through bfloat16, as the published model's did (spec section 2)."""

    def rope(self, length: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Llama.rope`."""
        frequencies = rope_frequencies(self.sizes.head_dim, self.sizes.rope).bfloat16().float().to(like.device)
        angles = torch.arange(length, device=like.device).float()[:, None] * frequencies
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([cos, cos], -1).to(like.dtype), torch.cat([-sin, sin], -1).to(like.dtype)


class CausalLM(nn.Module):
    """A Llama; its head is its embedding table, and no tensor of its own."""

    def __init__(self, sizes: LlamaSizes, rounded: bool = True) -> None:
        super().__init__()
        self.model = (RoundedLlama if rounded else Llama)(sizes)

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        """[R, P, H] -> hidden [R, P, H]."""
        return self.model(embeds)[0]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[.., H] -> [.., V]."""
        return functional.linear(hidden, self.model.embed_tokens.weight)


def add_adapters(model: CausalLM, sizes: LoraSizes) -> nn.Module:
    """Put LoRA adapters into every linear layer; all else is frozen.

    Returns:
        peft's wrapper, below which the model is `base_model.model`.

    Raises:
        CheckpointError: peft is not installed, or an option that was never published.
    """
    for name in ("lora_target_modules", "lora_fan_in_fan_out", "lora_modules_to_save"):
        if getattr(sizes, name):
            raise CheckpointError(f"{name} is {getattr(sizes, name)!r}: adapters go into every linear layer here")
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise CheckpointError(
            "a language model with LoRA adapters needs peft: run pip install 'unisono[taste]', or merge the adapters"
        ) from None
    return get_peft_model(
        model,
        LoraConfig(
            r=sizes.lora_r,
            lora_alpha=sizes.lora_alpha,
            lora_dropout=sizes.lora_dropout,
            bias="none",
            target_modules=list(TARGETS),
        ),
    )


def causal_lm(model: nn.Module) -> CausalLM:
    """The model itself, whether wrapped by `add_adapters` or not."""
    return model if isinstance(model, CausalLM) else model.base_model.model


def merge_adapters(model: nn.Module) -> CausalLM:
    """The model with its adapters added to its weights; a model without adapters is handed back."""
    return model if isinstance(model, CausalLM) else model.merge_and_unload()


def make_backbone(model: nn.Module) -> Backbone:
    """What runs a language model step by step: fused weights where there are no adapters."""
    return LlamaBackbone(model.model) if isinstance(model, CausalLM) else AdaptedBackbone(causal_lm(model).model)


class AdaptedBackbone:
    """`lm.backbone.Backbone` that calls every layer as a module, so that adapters take part."""

    def __init__(self, model: Llama) -> None:
        self.model = model

    def start(self, embeds: torch.Tensor, branches: torch.Tensor, capacity: int) -> tuple[torch.Tensor, Any]:
        """As `Backbone.start`; the cache is a list of `KeyValues` that grows."""
        hidden, kept = self.model(embeds)
        return hidden, [KeyValues(pair.keys[branches], pair.values[branches]) for pair in kept]

    def step(self, embeds: torch.Tensor, cache: list[KeyValues]) -> torch.Tensor:
        """As `Backbone.step`."""
        x, position = embeds[:, None], cache[0].keys.shape[2]
        cos, sin = (table[-1:] for table in self.model.rope(position + 1, embeds))
        for index, layer in enumerate(self.model.layers):
            attention = layer.self_attn

            def split(projected: torch.Tensor, width: int = attention.head_dim) -> torch.Tensor:
                return projected.unflatten(-1, (-1, width)).transpose(1, 2)

            normed = layer.input_layernorm(x)
            queries = rotate(split(attention.q_proj(normed)), cos, sin)
            keys = torch.cat([cache[index].keys, rotate(split(attention.k_proj(normed)), cos, sin)], 2)
            values = torch.cat([cache[index].values, split(attention.v_proj(normed))], 2)
            cache[index] = KeyValues(keys, values)
            grouped = attention.heads != attention.kv_heads
            attended = functional.scaled_dot_product_attention(queries, keys, values, enable_gqa=grouped)
            x = x + attention.o_proj(attended.transpose(1, 2).flatten(2))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.model.norm(x)[:, 0]
