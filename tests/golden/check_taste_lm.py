"""Golden files of TASTE's spoken language model, of its text, and of what it reads (spec/taste.md sections 1.1, 2)."""

from __future__ import annotations

import json
from typing import Any

import torch
from check_taste_codec import check_gradients
from check_taste_generate import OUT_MODULES
from golden_harness import GENERATE_TOLERANCE, MODULE_TOLERANCE, Golden, checker
from taste_models import dense, table_sizes, tiny_model, tiny_tokenizers

from unisono.families.taste import TasteConfig
from unisono.families.taste.adapters import CausalLM
from unisono.families.taste.choosing import keep_mass
from unisono.families.taste.features import kaldi_fbank, log_mel, mean_speaker, speaker_features, whisper_features
from unisono.families.taste.sequence import codes_at_tokens, codes_to_words, fill_forward, word_matrix
from unisono.families.taste.spoken import SpokenLoss
from unisono.families.taste.vocabulary import read_words, split_words, vocabulary_of
from unisono.lm.llama import rope_frequencies
from unisono.lm.sampling import penalise

FAMILY = "taste"
FBANK_TOLERANCE = 2e-3


@checker("text", FAMILY)
def check_text(golden: Golden) -> None:
    """Words and their ids on both sides, and what ids may do."""
    asr, llm = tiny_tokenizers(golden.path.parent)
    lines = [json.loads(line) for line in golden.path.read_text(encoding="utf-8").split("\n") if line]
    assert lines
    for line in lines:
        if "text" not in line:
            _check_vocabulary(line, llm)
            continue
        words = split_words(line["text"], leading_space=line["side"] == "inference")
        assert words == line.get("words", words) and "".join(words) == line.get("joined", "".join(words))
        for name, tokenizer in (("asr", asr), ("llm", llm)):
            made = read_words(words, tokenizer)
            assert made.ids == line[f"{name}_token_ids"], line["text"]
            assert made.word_ids == line[f"{name}_word_ids"], line["text"]
            assert [len(made.ids)] == line[f"{name}_token_lengths"]


def _check_vocabulary(line: dict[str, Any], llm: Any) -> None:
    """The tables of what may be drawn, for ids that stand for something."""
    tables = vocabulary_of(llm)
    real = [index for index in range(llm.vocab_size) if llm.decode([index]) != "§"]
    for name, table in (("banned", tables.banned), ("word_start", tables.starts), ("sentence_end", tables.ends)):
        assert [index for index in real if table[index]] == line[name], name


@checker("tokenizer", FAMILY)
def check_tokenizer(golden: Golden) -> None:
    """Both tokenizers give back what they read."""
    values = json.loads(golden.path.read_text(encoding="utf-8"))
    for tokenizer, name in zip(tiny_tokenizers(golden.path.parent), ("asr", "llm"), strict=True):
        text = "".join(values[f"{name}_pieces"])
        assert tokenizer.decode(tokenizer.encode(text)) == text


@checker("sampler", FAMILY)
def check_sampler(golden: Golden) -> None:
    for name in golden.tensors:
        kind, _, value = name.partition(".")
        if kind == "top_p" and value != "logits":
            golden.close(keep_mass(golden["top_p.logits"], float(value)), name, MODULE_TOLERANCE)
        elif value.startswith("out_"):
            made = penalise(golden["top_p.logits"], golden["penalty.ids"], float(value.removeprefix("out_")))
            golden.close(made, name, MODULE_TOLERANCE)


@checker("features", FAMILY)
def check_features(golden: Golden) -> None:
    features, frames = whisper_features(golden["audio"])
    assert list(features.shape) == golden.meta["whisper_full_shape"]
    head, tail = golden["whisper.features_head"], golden["whisper.features_tail"]
    golden.close(features[0, : len(head)], head, MODULE_TOLERANCE, "whisper.features_head")
    golden.close(features[0, -len(tail) :], tail, MODULE_TOLERANCE, "whisper.features_tail")
    golden.equal(frames, "whisper.length")
    golden.close(log_mel(golden["audio"]), "s3.log_mel_unpadded", MODULE_TOLERANCE)
    golden.close(kaldi_fbank(golden["audio"]), "fbank", FBANK_TOLERANCE)
    golden.close(speaker_features(golden["audio"]), "fbank_mean_removed", FBANK_TOLERANCE)
    golden.close(mean_speaker(golden["speaker.per_reference"]), "speaker.embed", MODULE_TOLERANCE)


@checker("lm_inputs", FAMILY)
def check_lm_inputs(golden: Golden) -> None:
    """What the language model reads and shall predict, at every delay."""
    model = tiny_model(golden)
    sizes = model.config.llama()
    frequencies = rope_frequencies(sizes.head_dim, sizes.rope)
    golden.close(frequencies, "rope.inv_freq_float32", 0.0)
    golden.close(frequencies.bfloat16().float(), "rope.inv_freq_used", 0.0)
    assert golden.meta["cases"]
    for case, options in golden.meta["cases"].items():
        utterance = golden.part(f"{case.split('.')[0]}.")
        spoken = tiny_model(
            golden, {"spoken_lm_config": {"delay": options["delay"], "delay_level": options["level"]}}
        ).spoken_lm
        inputs, audio, labels = spoken.lay_out(
            utterance["token_ids"], utterance["word_ids"], utterance["indices"], model.audio_tower.quantiser
        )
        golden.close(inputs, f"{case}.inputs_embeds", GENERATE_TOLERANCE)
        golden.close(audio, f"{case}.audio_embeds", GENERATE_TOLERANCE)
        golden.equal(labels, f"{case}.taste_labels")
    _check_maps(golden, model)


def _check_maps(golden: Golden, model: Any) -> None:
    """Codes from one tokenization to the other and back."""
    given = golden.part("map.")
    made = codes_to_words(
        given["asr_codes"], given["asr_word_ids"], given["asr_lengths"], given["llm_word_ids"], given["llm_lengths"]
    )
    golden.equal(made, "map.llm_codes")
    for row, expected in enumerate(given["matrix"]):
        heard = (given["asr_word_ids"][row], int(given["asr_lengths"][row]))
        matrix = word_matrix(*heard, given["llm_word_ids"][row], int(given["llm_lengths"][row]))
        golden.close(matrix, expected, 0.0, f"map.matrix {row}")
    codes = codes_at_tokens(golden["back.taste_rows"][0], golden["back.asr_word_ids"][0])
    golden.close(model.audio_tower.embeds(codes)[None], "back.audio_unit_embeds", MODULE_TOLERANCE)
    golden.equal(fill_forward(golden["fill_forward.indices"]), "fill_forward.out")


def _reference(golden: Golden, config: TasteConfig) -> CausalLM:
    """The frozen reference model; its rotary frequencies are not rounded."""
    model = CausalLM(config.llama(), rounded=False)
    weights = dense(golden, table_sizes(golden.sibling(golden.meta["weights"]).meta["config"]))
    model.load_state_dict({name[4:]: value for name, value in weights.items() if name.startswith("ref.")})
    return model.requires_grad_(False)


@checker("lm_losses", FAMILY)
def check_lm_losses(golden: Golden) -> None:
    names = {tuple(name.split(".")[:2]) for name in golden.tensors if name.endswith(".loss")}
    assert names
    with torch.inference_mode(False), torch.enable_grad():
        for batch, case in sorted(names):
            _check_loss(golden, batch, case)


def _check_loss(golden: Golden, batch: str, case: str) -> None:
    """One batch in one variant: losses, logits, labels, latents, codes, gradients."""
    variant, training, reference = case.split("_")
    given = golden.part(f"{batch}.{case}.")
    parts = golden.part(f"{variant}.") if variant != "emb" else None
    if parts is not None:  # the published variant "multi" holds a variance that no computation uses
        parts = {name: value for name, value in parts.items() if not name.endswith("b_logvar")}
    changes = {"spoken_lm_config": {"out_llm_module": OUT_MODULES[variant]}}
    model = tiny_model(golden, changes, parts)
    spoken, quantiser = model.spoken_lm.train(training == "train").requires_grad_(), model.audio_tower.quantiser
    batch_of = {name: golden[f"{batch}.llm_{name}"].clone() for name in ("token_ids", "token_lengths", "word_ids")}
    made: SpokenLoss = spoken(
        *batch_of.values(),
        golden[f"{batch}.llm_indices"].clone(),
        quantiser,
        noise=given["eps"].clone() if "eps" in given else None,
        reference=_reference(golden, model.config) if reference == "ref" else None,
        published_labels=True,
    )
    prefix = f"{batch}.{case}"
    golden.close(made.loss, f"{prefix}.loss", MODULE_TOLERANCE)
    golden.close(made.text_ce, f"{prefix}.text_ce", MODULE_TOLERANCE)
    if made.text_kl is not None:
        golden.close(made.text_kl, f"{prefix}.text_kl", MODULE_TOLERANCE)
    if "taste_reg_kl" in given:
        golden.close(made.taste, f"{prefix}.taste_reg_kl", MODULE_TOLERANCE)
    for name in ("taste_ce", "taste_mse"):
        if name in given:
            golden.close(made.parts[name], f"{prefix}.{name}", MODULE_TOLERANCE)
    if "text_labels" in given:
        golden.equal(made.text_labels, f"{prefix}.text_labels")
        golden.equal(made.taste_labels, f"{prefix}.taste_labels")
        _check_states(golden, prefix, given, made, spoken, quantiser)
    if any(name.startswith("grad.") for name in given):
        made.loss.backward()
        check_gradients(golden, f"{prefix}.grad.", dict(spoken.named_parameters()), GENERATE_TOLERANCE)


def _check_states(
    golden: Golden, prefix: str, given: dict[str, torch.Tensor], made: SpokenLoss, spoken: Any, quantiser: Any
) -> None:
    """States and what is read off them, inside the lengths of the rows."""
    lengths = given["output_lengths"]
    inside = torch.arange(given["hidden"].shape[1]) < lengths[:, None]
    found = {**made.parts, "text_logits": made.parts["text_logits"].detach()[..., golden["columns"]]}
    for name in ("hidden", "text_logits", "mu", "z", "taste_logits", "agg_code"):
        if name in given:
            golden.close(found[name][inside], given[name][inside], GENERATE_TOLERANCE, f"{prefix}.{name}")
    if "codes" in given:
        golden.equal(quantiser.nearest(found["z"].detach())[inside], given["codes"][inside], f"{prefix}.codes")
