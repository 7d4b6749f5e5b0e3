"""Golden files of whole chains: recording and text to a prompt, and on to speech (spec sections 5, 6.4, 13, 14)."""

from __future__ import annotations

import torch
from check_align import tiny_aligner
from check_generate import check_generation
from golden_harness import GENERATE_TOLERANCE, MODULE_TOLERANCE, Golden, checker
from golden_models import TinyTokenizer, language_model, strictly

from unisono.families.tada import Decoder, Encoder, EncoderOutput
from unisono.families.tada.decoder import DecoderConfig
from unisono.families.tada.encoder import EncoderConfig, LatentNoise
from unisono.text import normalize


@checker("encoder_end_to_end")
def check_encoder_end_to_end(golden: Golden) -> None:
    cases = golden.meta["cases"]
    labels = ("_aligner.", *(f"{case}." for case in cases))
    weights = {name: tensor for name, tensor in golden.tensors.items() if not name.startswith(labels)}
    encoder = strictly(Encoder(EncoderConfig(**golden.meta["encoder_config"])), weights)
    encoder.attach(tiny_aligner(golden, "_aligner."), TinyTokenizer(golden.meta["tokenizer_base"]))
    for case, entry in cases.items():
        assert normalize(entry["text"], style="tada").spoken == entry["normalized"]
        prompt = encoder(golden[f"{case}.audio"], text=[entry["text"]], sample_rate=entry["sample_rate"], sample=False)
        assert prompt.text == [entry["normalized"]]
        _check_prompt(golden, prompt, f"{case}.out.", MODULE_TOLERANCE)


def _check_prompt(golden: Golden, prompt: EncoderOutput, prefix: str, tolerance: float) -> None:
    """Compare every field of a prompt that the file holds."""
    for name, expected in golden.part(prefix).items():
        made = getattr(prompt, name)
        if expected.is_floating_point():
            golden.close(made.float(), f"{prefix}{name}", tolerance)
        else:
            golden.equal(made, f"{prefix}{name}")


@checker("pipeline")
def check_pipeline(golden: Golden) -> None:
    meta = golden.meta
    tokenizer = TinyTokenizer(meta["tokenizer_base"])
    encoder = strictly(Encoder(EncoderConfig(**meta["encoder_config"])), golden.part("encoder."))
    encoder.attach(tiny_aligner(golden, "aligner."), tokenizer)
    decoder = strictly(Decoder(DecoderConfig(**meta["decoder_config"])), golden.part("decoder."))
    model = language_model(meta["lm_config"], golden.part("lm."))
    model.attach(tokenizer, decoder)
    prompt = encoder(
        golden["in.audio"],
        text=[meta["text"]],
        sample_rate=meta["sample_rate_in"],
        noise=LatentNoise(recorded=[golden["in.encoder_noise"]]),
    )
    assert isinstance(prompt.token_values, torch.Tensor) and prompt.text == [meta["prompt_text"]]
    _check_prompt(golden, prompt, "prompt.", GENERATE_TOLERANCE)
    check_generation(golden, model, prompt)
