"""Models of the true published shape with random weights, so that speed can be measured by anyone without a download.

Made in memory, in place and once: nothing is drawn twice and nothing is written to disk. What such a model says is
noise of speech-like length: every token is spoken, and gaps are cut at `MAX_GAP`, which makes three tokens a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unisono.errors import InputError
from unisono.families.tada.card import Card
from unisono.families.tada.config import TadaConfig
from unisono.families.tada.decoder import Decoder, DecoderConfig
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.speech import TadaSpeech
from unisono.files.checkpoint import as_dtype, without_init
from unisono.interface import AlignedTokens, Voice
from unisono.text import CharacterTokenizer

PREFIX = "random:"
_LLAMA_3_2 = {
    "vocab_size": 128256,
    "intermediate_size": 8192,
    "num_key_value_heads": 8,
    "tie_word_embeddings": True,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 131072,
    "num_time_classes": 256,
    "head_layers": 6,
    "head_ffn_ratio": 4.0,
}
# The released configurations (TADA, spec section 2.1).
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "tada-1b": {
        **_LLAMA_3_2,
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "head_dim": 64,
    },
    "tada-3b": {
        **_LLAMA_3_2,
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "head_dim": 128,
    },
}
MAX_GAP = 17  # frames; bits of noise draw gaps of 0 to 255, nearly all of which are cut to this
PROMPT_TOKENS, PROMPT_GAP = 24, 17  # a voice of eight seconds
STD = 0.02
POOL = 2**20 + 7  # numbers drawn; no width divides it, so that rows differ
STEPS = 10


def is_random(name: str | None) -> bool:
    """Whether a model name asks for random weights."""
    return name is not None and name.startswith(PREFIX)


def random_shape(name: str) -> TadaConfig:
    """The configuration behind "random:tada-1b". Raises InputError for a shape that is not known."""
    shape = SHAPES.get(name.removeprefix(PREFIX))
    if shape is None:
        known = ", ".join(PREFIX + known for known in SHAPES)
        raise InputError(f"there is no model {name!r} with random weights: use {known}")
    return TadaConfig(**shape)


def random_speech(
    name: str, *, device: str = "cpu", dtype: str | None = None, quantize: str | None = None, copies: float = 0.0
) -> tuple[TadaSpeech, Voice]:
    """A speech model with random weights and a voice for it.

    Args:
        name: "random:tada-1b" or "random:tada-3b".
        dtype: of the language model; the decoder is float32. quantize: see `TadaForCausalLM.quantize`.
        copies: how many times the weights' bytes shall be free beside them.

    Raises:
        InputError: an unknown shape, an impossible packing, or more bytes than this machine has free.
    """
    config, number = random_shape(name), as_dtype(dtype) or torch.float32
    with torch.device("meta"), without_init():
        model = TadaForCausalLM(config).to(number).eval()
    weights = sum(value.numel() * value.element_size() for value in model.parameters())
    _check_memory(name, int(weights * (1 + copies)), device)
    model.to_empty(device=device)
    with without_init():
        decoder = Decoder(DecoderConfig()).to(device).eval()
    pool = torch.empty(POOL).normal_(std=STD, generator=torch.Generator().manual_seed(0)).to(device)
    for part in (model, decoder):
        fill(part, pool)
    model.quantize(quantize or "none")
    card = Card(
        name=name,
        style="tada",
        leading_space=False,
        speaker_prompt=False,
        show_prompt_text=False,
        end_vector=True,
        max_gap=MAX_GAP,
        options={"steps": STEPS},
    )
    tts = TadaSpeech(model.attach(CharacterTokenizer(), decoder), card, Path(name), Path(name))
    return tts, _voice(tts)


@torch.no_grad()
def fill(module: nn.Module, pool: torch.Tensor) -> None:
    """Give every parameter numbers of a pool, one after the other: norms and gains 1, biases 0."""
    for name, value in module.named_parameters():
        owner, _, last = name.rpartition(".")
        if last in ("original0", "alpha") or (last == "weight" and "norm" in owner.rpartition(".")[2]):
            value.fill_(1.0)
        elif last == "bias":
            value.zero_()
        else:
            flat = value.data.view(-1)
            for start in range(0, len(flat), len(pool)):
                piece = flat[start : start + len(pool)]
                piece.copy_(pool[: len(piece)])


def _voice(tts: TadaSpeech) -> Voice:
    """A voice of random vectors."""
    generator = torch.Generator().manual_seed(1)
    text = ("some words that were never said " * 2)[:PROMPT_TOKENS]
    frames = PROMPT_TOKENS * PROMPT_GAP
    tokens = AlignedTokens(
        text_ids=torch.tensor(tts.tokenizer.encode(text)),
        positions=torch.arange(1, PROMPT_TOKENS + 1) * PROMPT_GAP,
        frames=frames,
        samples=frames * tts.hop,
        sample_rate=tts.sample_rate,
        text=text,
        family=tts.family,
        model=tts.name,
        vectors=torch.randn(PROMPT_TOKENS, tts.model.config.acoustic_dim, generator=generator),
    )
    return Voice("random", tokens)


def _check_memory(name: str, wanted: int, device: str) -> None:
    """Raise InputError when the machine says that it has less memory free than the weights take."""
    free = _free_bytes(device)
    if free is not None and wanted > free:
        raise InputError(
            f"{name} needs {wanted / 1e9:.1f} GB here and {free / 1e9:.1f} GB are free: "
            "use --dtype bfloat16, a smaller shape, or another machine"
        )


def _free_bytes(device: str) -> int | None:
    """Bytes free on a device, or None where nobody says."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
