"""The least a token can cost at batch one: the bytes of weights it has to read, over the speed of reading memory.

Language model and head are read by every token, the head's layers once per solver step; modulation and condition of
all solver steps are one product, read once. Caches and activations are thousands of times smaller and left out. The
decoder runs once per sentence and computes more than it reads: its bytes, shared by the tokens, only show that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import nn

from unisono.families.tada.model import TadaForCausalLM

SCALE_BYTES = 2  # one bfloat16 per output of a packed product


def bytes_per_token(model: TadaForCausalLM, decoder: nn.Module, *, steps: int, packing: str, tokens: int) -> dict:
    """Bytes that one token reads.

    Args:
        steps: evaluations of the head. packing: one of `lm.packing.PACKINGS`.
        tokens: of the text, which share one decoder run.

    Returns:
        {"lm", "head_once", "head_steps", "decoder"}.
    """
    head = model.prediction_head
    once = [head.cond_proj, *(layer.adaLN_modulation for layer in head.layers), head.final_layer.adaLN_modulation]
    each = [*(layer.ffn for layer in head.layers), head.final_layer.linear]
    return {
        "lm": _bytes([model.model.layers], packing),
        "head_once": _bytes(once, packing),
        "head_steps": steps * (_bytes(each, packing) + _bytes([head.noisy_images_proj], "none")),
        "decoder": _bytes([decoder], "none") / max(tokens, 1),
    }


def reference_bytes(model: TadaForCausalLM, *, steps: int, separate: bool = False) -> dict:
    """Bytes that one token reads in the reference loop: {"lm", "logits", "head"}; all of the head at every step."""
    reads = steps * (2 if separate else 1)
    return {
        "lm": _bytes([model.model.layers], "none"),
        "logits": model.model.embed_tokens.weight.numel() * model.model.embed_tokens.weight.element_size(),
        "head": reads * _bytes([model.prediction_head], "none"),
    }


def floors(budget: Mapping[str, float], bandwidth: float) -> dict[str, float]:
    """Milliseconds that reading takes at a bandwidth in bytes a second: {"lm", "head", "total"} (language and head)."""
    lm, head = budget["lm"], budget["head_once"] + budget["head_steps"]
    return {name: 1000 * count / bandwidth for name, count in {"lm": lm, "head": head, "total": lm + head}.items()}


def _bytes(modules: Iterable[nn.Module], packing: str) -> float:
    """Bytes of weights; matrices may be packed."""
    total = 0
    for module in modules:
        for value in module.parameters():
            if packing == "int8" and value.ndim == 2:
                total += value.numel() + SCALE_BYTES * len(value)
            else:
                total += value.numel() * (2 if packing == "half" and value.ndim == 2 else value.element_size())
    return total
