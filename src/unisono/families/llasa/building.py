"""New Llasa models of any size: what training starts from, and what tests speak with.

The text side of a new tokenizer is bytes, with Llama 3's special tokens and its chat template, so that prompts have the
published layout.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from unisono.errors import CheckpointError
from unisono.families.fixed_rate.card import FILE, Card
from unisono.families.fixed_rate.loading import quietly
from unisono.families.llasa.codec import XCodec
from unisono.families.llasa.vocabulary import END_OF_TURN, add_speech_tokens

BEGIN = "<|begin_of_text|>"
SPECIAL = (BEGIN, "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", END_OF_TURN)
# The turns of Llama 3.2: a system turn with two dates, then each message between headers.
TEMPLATE = """\
{{- bos_token }}
{%- if not date_string is defined %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n<|eot_id|>" }}
{%- for message in messages %}
{{- "<|start_header_id|>" + message["role"] + "<|end_header_id|>\\n\\n" + message["content"] | trim + "<|eot_id|>" }}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}{%- endif %}
"""


def new_tokenizer(codes: int) -> Any:
    """A tokenizer of bytes, Llama 3's special tokens, the marks and `codes` speech codes, in that order."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: index for index, letter in enumerate(letters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(list(SPECIAL))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=BEGIN, eos_token=END_OF_TURN, pad_token=END_OF_TURN
    )
    tokenizer.chat_template = TEMPLATE
    add_speech_tokens(tokenizer, codes)
    return tokenizer


def new_codec(values: Mapping[str, Any]) -> Any:
    """A new X-Codec 2 from configuration keys; `semantic` holds those of the model of its semantic path.

    Raises:
        CheckpointError: values that no codec can be built from.
    """
    from transformers import Wav2Vec2BertConfig, Xcodec2Config, Xcodec2Model

    given = dict(values)
    semantic = given.pop("semantic", {})
    try:
        return Xcodec2Model(Xcodec2Config(semantic_model_config=Wav2Vec2BertConfig(**semantic), **given)).eval()
    except (ValueError, TypeError, RuntimeError) as problem:
        raise CheckpointError(f"no X-Codec 2 can be built from these values: {problem}") from problem


def spread_codes(codec: Any, wave: torch.Tensor) -> None:
    """Scale the projection before the quantiser so that a wave [N] meets many codes; a new one meets a single code."""
    inner = codec.quantizer.project_in
    seen: list[torch.Tensor] = []
    hook = inner.register_forward_hook(lambda module, given, made: seen.append(made))
    try:
        XCodec(codec).encode(wave)
    finally:
        hook.remove()
    values = seen[0].flatten(0, -2).clone()  # [T, digits]
    with torch.no_grad():
        factor = 1 / values.std(0).clamp_min(1e-9)
        inner.bias.sub_(values.mean(0)).mul_(factor)
        inner.weight.mul_(factor[:, None])


def new_model(values: Mapping[str, Any], tokenizer: Any) -> Any:
    """A new Llama for a tokenizer. Raises CheckpointError for values that none can be built from."""
    from transformers import LlamaConfig, LlamaForCausalLM

    ids = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    try:
        return LlamaForCausalLM(LlamaConfig(**{**ids, **values})).eval()
    except (ValueError, TypeError, RuntimeError) as problem:
        raise CheckpointError(f"no Llama can be built from these values: {problem}") from problem


def save_folder(folder: Path, model: Any, tokenizer: Any, codec: Any, card: Card) -> None:
    """Write a model folder that `unisono.load` reads."""
    with quietly():
        model.save_pretrained(folder)
        codec.save_pretrained(folder / "codec")
    tokenizer.save_pretrained(folder)
    (folder / FILE).write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")
