"""Builders the checkers share: the tiny tokenizer, modules from weights in golden files, recorded draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from golden_harness import Golden
from torch import nn

from unisono.families.tada import AcousticSpkrVerf, Decoder, EncoderOutput, TadaConfig, TadaForCausalLM
from unisono.families.tada.decoder import DecoderConfig
from unisono.families.tada.speaker import AcousticSpkrVerfConfig

Module = TypeVar("Module", bound=nn.Module)
SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "system",
    "user",
    "assistant",
)


class TinyTokenizer:
    """The golden files' tokenizer: some strings are one token each, every other UTF-8 byte is its value."""

    def __init__(self, base: int) -> None:
        self.base, self.vocab_size = base, base + len(SPECIAL)
        self.bos_id, self.eos_id, self.pad_id, self.start_header_id, self.end_header_id, self.eot_id = range(
            base, base + 6
        )

    def encode(self, text: str) -> list[int]:
        """Ids without special tokens around them."""
        ids: list[int] = []
        while text:
            found = next((index for index, special in enumerate(SPECIAL) if text.startswith(special)), None)
            if found is None:
                ids += text[0].encode()
                text = text[1:]
            else:
                ids.append(self.base + found)
                text = text[len(SPECIAL[found]) :]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of byte ids; special ids are left out."""
        return bytes(token for token in ids if token < 256).decode(errors="replace")


COMPUTED = "rope_freqs"  # golden files leave this buffer out


def strictly(module: Module, weights: Mapping[str, torch.Tensor], absent: Sequence[str] = ()) -> Module:
    """Load weights whose names must be the module's own; names that begin with an entry of `absent` may be missing."""
    missing, unexpected = module.load_state_dict(dict(weights), strict=False)
    missing = [name for name in missing if not name.endswith(COMPUTED) and not name.startswith(tuple(absent))]
    assert not missing and not unexpected, f"{type(module).__name__}: missing {missing}, unknown {unexpected}"
    return module.eval()


def language_model(
    config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], absent: Sequence[str] = ()
) -> TadaForCausalLM:
    """The language model of a golden file; see `strictly`."""
    return strictly(TadaForCausalLM(TadaConfig(**config)), weights, absent)


@cache
def generate_models(golden: Golden) -> TadaForCausalLM:
    """Language model, decoder, speaker scorer and tokenizer of a `generate_*_weights` file; strict in every name."""
    names = {"_decoder.": "decoder", "_acoustic_spkr_verf.": "speaker_scorer"}
    parts = {part: golden.part(prefix) for prefix, part in names.items()}
    own = {name: tensor for name, tensor in golden.tensors.items() if not name.startswith(tuple(names))}
    model = language_model(golden.meta["lm_config"], own)
    decoder = strictly(Decoder(DecoderConfig(**golden.meta["decoder_config"])), parts["decoder"])
    scorer = AcousticSpkrVerf(AcousticSpkrVerfConfig(**golden.meta["spkr_config"]))
    strictly(scorer, parts["speaker_scorer"])
    return model.attach(TinyTokenizer(golden.meta["tokenizer_base"]), decoder, scorer)


def prompt_object(
    text: str, values: torch.Tensor, positions: torch.Tensor, audio_len: torch.Tensor, ids: Sequence[int]
) -> EncoderOutput:
    """A voice prompt of which generation uses text, vectors [1, T, A] and positions [1, T]."""
    return EncoderOutput(
        audio=torch.zeros(1, 0),
        audio_len=audio_len,
        text=[text],
        text_tokens=torch.tensor([list(ids)], dtype=torch.int64).reshape(1, -1),
        text_tokens_len=torch.tensor([len(ids)]),
        token_positions=positions,
        token_masks=torch.zeros(1, 0, dtype=torch.int64),
        token_values=values,
        encoded_expanded=torch.zeros(1, 0, values.shape[-1]),
    )


class RecordedDraws:
    """Draws of a golden file, handed out in order; keeps the probabilities it was shown."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        if "raw_noise.joint" in tensors:
            joint = tensors["raw_noise.joint"]  # [n, K·B, X]
            self.noises = list(joint)
        else:
            self.noises = list(torch.cat([tensors["raw_noise.acoustic"], tensors["raw_noise.time"]], -1))
        self.tokens = list(tensors.get("text.sampled", torch.zeros(0, 1, dtype=torch.int64)))
        self.probabilities: list[torch.Tensor] = []

    def noise(self, acoustic: int, bits: int, candidates: int) -> torch.Tensor:
        """The next recorded noise [K·B, A + 2b]."""
        return self.noises.pop(0)

    def token(self, probabilities: torch.Tensor) -> torch.Tensor:
        """The next recorded id [B]."""
        self.probabilities.append(probabilities)
        return self.tokens.pop(0).reshape(-1)

    @property
    def used_up(self) -> bool:
        """Whether everything recorded was asked for."""
        return not self.noises and not self.tokens
