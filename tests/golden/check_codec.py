"""Golden files of the codec: masks, attention, encoder, decoder, resampling (spec sections 4, 6, 7 and 14)."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from golden_harness import MODULE_TOLERANCE, Golden, checker
from golden_models import strictly

from unisono.audio import resample_sinc
from unisono.codec.attention import LocalAttentionEncoder, LocalSelfAttention, apply_rope, rope_table
from unisono.codec.dac import WavEncoder
from unisono.codec.segments import segment_mask
from unisono.families.tada import Decoder, Encoder
from unisono.families.tada.decoder import DecoderConfig
from unisono.families.tada.encoder import TAIL_SAMPLES, EncoderConfig, LatentNoise
from unisono.families.tada.render import HOP, expand, render

FRAMES_PER_SECOND = 50
# What the README of the golden files says of cases whose header does not; the noise tells the other kinds apart.
KNOWN_CASES = {"mean_std": {"acoustic_mean": 0.25, "acoustic_std": 0.8}}


@checker("segment_masks")
def check_segment_masks(golden: Golden) -> None:
    for name, expected in golden.tensors.items():
        group, dot, rest = name.rpartition("coder.")
        if dot:
            prefix, side = ("len1.", group[5:]) if group.startswith("len1.") else ("", group)
            mask = segment_mask(golden[f"{prefix}token_mask"], f"{side}coder_{rest}")
            golden.equal(mask, expected, name)


@checker("attention")
def check_attention(golden: Golden) -> None:
    sizes = golden.meta["config"]
    width, heads = sizes["d_model"], sizes["num_heads"]
    table = rope_table(sizes["max_seq_len"], width // heads)
    golden.close(table[: len(golden["rope.table"])], "rope.table", MODULE_TOLERANCE)
    golden.close(apply_rope(golden["rope.in"], table), "rope.out", MODULE_TOLERANCE)
    layer = strictly(LocalSelfAttention(width, heads, max_frames=sizes["max_seq_len"]), golden.part("self_attn."))
    for name in ("mask2", "mask3"):
        golden.close(layer(golden["attn.x"], golden[f"attn.{name}"]), f"attn.out_{name}", MODULE_TOLERANCE)
    with pytest.raises(ValueError, match="mask"):  # the reference returns NaN instead (quirk 2)
        layer(golden["attn.x"], None)
    _check_stacks(golden, sizes)


def _check_stacks(golden: Golden, sizes: dict) -> None:
    common = {"num_heads": sizes["num_heads"], "ff_dim": sizes["d_ff"], "max_frames": sizes["max_seq_len"]}
    stack = LocalAttentionEncoder(sizes["d_model"], sizes["num_layers"], d_input=sizes["d_input"], **common)
    strictly(stack, golden.part("enc."))
    for name in golden.tensors:
        if name.startswith("enc_out."):
            blocked = segment_mask(golden["enc_in.token_mask"], name.removeprefix("enc_out."))
            golden.close(stack(golden["enc_in.x"], blocked), name, MODULE_TOLERANCE)
    single = strictly(LocalAttentionEncoder(sizes["d_model"], 1, **common), golden.part("enc2."))
    blocked = segment_mask(golden["win.token_mask"], "encoder_v2")
    for index, seconds in enumerate(sizes["windows"]):
        window, stride = (int(value * FRAMES_PER_SECOND) for value in seconds)
        golden.close(single(golden["win.x"], blocked, window, stride), f"win.out{index}", MODULE_TOLERANCE)


@checker("wav_encoder")
def check_wav_encoder(golden: Golden) -> None:
    sizes = golden.meta["config"]
    module = WavEncoder(sizes["d_model"], sizes["strides"], sizes["d_latent"])
    strictly(module, golden.part("wav_encoder."))
    for name in golden.tensors:
        if re.fullmatch(r"x\d+", name):
            golden.close(module(golden[name]), f"y{name[1:]}", MODULE_TOLERANCE)

    def frames(samples: int) -> int:
        try:
            return module(torch.zeros(1, 1, samples)).shape[-1]
        except RuntimeError:  # shorter than a kernel
            return -1

    lengths = golden["frames.n_samples"].tolist()
    golden.equal(torch.tensor([frames(length) for length in lengths]), "frames.unpadded")
    golden.equal(torch.tensor([frames(length + TAIL_SAMPLES) for length in lengths]), "frames.padded960")


@checker("codec_encoder*")
def check_codec_encoder(golden: Golden) -> None:
    base = EncoderConfig(**golden.meta["config"])
    cases = golden.meta["cases"]
    labels = (*(f"{case}." for case in cases), "bf16rope.")
    weights = {name: tensor for name, tensor in golden.tensors.items() if not name.startswith(labels)}
    for case in cases:
        given = golden.part(f"{case}.")
        noises = [given[f"noise{index}"] for index in range(len(given)) if f"noise{index}" in given]
        known = cases[case] if isinstance(cases, dict) else KNOWN_CASES.get(case, {})
        changes = {**known, "dist_type": "gaussian"} if len(noises) > 1 else dict(known)
        if found := re.fullmatch(r"block_(v\d)", case):
            changes["block_attention"] = found[1]
        encoder = strictly(Encoder(replace(base, **changes)), weights)
        if case == "bf16_rope":
            _round_tables(golden, encoder)
        found = re.fullmatch(r"window(\d+)", case)
        window, stride = golden.meta["windows"][int(found[1])] if found else (None, None)
        made = encoder(
            given["audio"],
            token_positions=given["positions"],
            token_masks=given["masks"],
            sample=bool(noises),
            noise=LatentNoise(recorded=noises),
            window=window,
            stride=stride,
        )
        for name, expected in given.items():
            if name.startswith("out."):
                compare = golden.close if expected.is_floating_point() else golden.equal
                arguments = (MODULE_TOLERANCE,) if expected.is_floating_point() else ()
                compare(getattr(made, name[4:]), f"{case}.{name}", *arguments)


def _round_tables(golden: Golden, encoder: Encoder) -> None:
    """Give an encoder rotary tables that went through bfloat16, as the published files hold them."""
    for index, layer in enumerate(encoder.local_attention_encoder.layers):
        table = layer.self_attn.rope_freqs
        table.copy_(table.bfloat16().float())
        stored = golden[f"bf16rope.rope_freqs_first256.{index}"]
        golden.close(table[: len(stored)], stored, 0.0, f"bf16rope.{index}")


@checker("decoder")
def check_decoder(golden: Golden) -> None:
    labels = re.compile(r"(x|mask|wav|x_|mask_|wav_)(\d+|dense)$|dur\d+\.")
    weights = {name: tensor for name, tensor in golden.tensors.items() if not labels.match(name)}
    decoder = strictly(Decoder(DecoderConfig(**golden.meta["config"])), weights)
    for name in golden.tensors:
        if found := re.fullmatch(r"x(_?\w+)", name):
            wave = decoder(golden[name], golden[f"mask{found[1]}"])
            golden.close(wave, f"wav{found[1]}", MODULE_TOLERANCE)
        elif found := re.fullmatch(r"(dur\d+\.)encoded", name):
            case = found[1]
            vectors, before = golden[name], golden[f"{case}time_before"]
            expanded, mask = expand(vectors, before)
            golden.close(expanded, f"{case}expanded", 0.0)
            golden.equal(mask, f"{case}mask")
            golden.close(decoder(expanded, mask), f"{case}wav", MODULE_TOLERANCE)
            rendered = render(decoder, vectors, before)
            golden.close(rendered.audio, f"{case}wav_trimmed", MODULE_TOLERANCE)
            assert int(rendered.positions[-1]) * HOP <= len(rendered.audio) + HOP


@checker("resample")
def check_resample(golden: Golden) -> None:
    for index, (old, new) in golden.meta["rates"].items():
        golden.close(resample_sinc(golden[f"x{index}"], old, new), f"y{index}", MODULE_TOLERANCE)
