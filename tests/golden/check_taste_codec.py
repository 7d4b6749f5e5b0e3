"""Golden files of TASTE's codec: weights, aggregator, quantiser, unit decoder (spec/taste.md section 1)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from golden_harness import MODULE_TOLERANCE, Golden, checker
from taste_models import RecordedUnits, tiny_model
from torch import nn

from unisono.codec.quantisers import ResidualVQ
from unisono.families.taste.conditions import UnitSampling
from unisono.families.taste.relative import offset_table
from unisono.families.taste.tower import length_mask

FAMILY = "taste"


@checker("model_weights", FAMILY)
def check_model_weights(golden: Golden) -> None:
    """Every tensor of the file has its place, and every place its tensor."""
    model = tiny_model(golden)
    names = {name.removesuffix(".rows").removesuffix(".row_ids") for name in golden.tensors}
    assert names - set(model.state_dict()) == {name for name in names if ".mlps." in name}
    assert set(model.state_dict()) <= names


@checker("aggregator", FAMILY)
def check_aggregator(golden: Golden) -> None:
    tower = tiny_model(golden).audio_tower
    for case in golden.meta["cases"]:
        given = golden.part(f"{case}.")
        text = (given["asr_token_ids"], given["asr_token_lengths"], given["asr_word_ids"])
        made = tower.audio_joint_encoder_segmenter(given["audio_features"], *text, end=True)
        golden.equal(made.ids, f"{case}.decoder_input_ids")
        for name, value in (("keys", made.keys), ("values", made.values), ("decoder_hidden", made.hidden)):
            golden.close(value, f"{case}.{name}", MODULE_TOLERANCE)
        heard = tower(given["audio_features"], *text)
        inside = length_mask(text[1], text[0].shape[1])
        golden.equal(text[1], f"{case}.audio_unit_lengths")
        if case.startswith("quirk"):  # padding joins the first word there; here it does not (spec section 7.5)
            inside = inside & _many_words(text[2], inside)[:, None]
        golden.close(made.states[inside], given["word_states"][inside], MODULE_TOLERANCE, f"{case}.word_states")
        inside = inside | ~length_mask(text[1], text[0].shape[1])
        golden.equal(heard.codes[inside], given["quantized_indices"][inside], f"{case}.quantized_indices")
        golden.close(heard.embeds[inside], given["audio_unit_embeds"][inside], MODULE_TOLERANCE, f"{case}.embeds")


def _many_words(word_ids: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """bool [B]: rows of more than one word, which padding cannot join."""
    return (word_ids * inside).amax(1) > 0


def _after(golden: Golden, quantiser: ResidualVQ, prefix: str) -> None:
    """Compare the code books' buffers with those below a prefix."""
    for name, expected in golden.part(prefix).items():
        _, level, buffer = name.split(".")
        golden.close(getattr(quantiser.books[int(level)], buffer), expected, MODULE_TOLERANCE, f"{prefix}{name}")


@checker("rvq", FAMILY)
def check_rvq(golden: Golden) -> None:
    quantiser = tiny_model(golden).audio_tower.quantiser
    for prefix, mask in (("eval", golden["mask"]), ("eval_nomask", None)):
        made = quantiser(golden["x"], mask)
        golden.close(made.output, f"{prefix}.quantized", MODULE_TOLERANCE)
        golden.equal(made.indices, f"{prefix}.indices")
    golden.close(quantiser(golden["x"], golden["mask"]).losses[None], "eval.losses", MODULE_TOLERANCE)
    golden.close(quantiser.codes(golden["decode.indices"]), "decode.codes", MODULE_TOLERANCE)
    golden.close(quantiser.latent(golden["decode.indices"]), "decode.code_sum", MODULE_TOLERANCE)
    decoded = quantiser.project(quantiser.latent(golden["decode.indices"]))
    golden.close(decoded, "decode.output", MODULE_TOLERANCE)
    golden.equal(quantiser.nearest(golden["from_code.z"]), "from_code.indices")
    golden.close(quantiser.expected_codes(golden["distributed.logits"]), "distributed.codes", MODULE_TOLERANCE)
    with torch.inference_mode(False), torch.enable_grad():
        _check_training(golden)
        _check_means(golden)
    for prefix in ("kmeans_eval", "kmeans_train"):
        _check_kmeans(golden, prefix)


def _check_training(golden: Golden) -> None:
    """Outputs, losses, gradients and buffers of one training call at every cutoff."""
    prefixes = sorted({name.split(".")[0] for name in golden.tensors if name.startswith("train_cutoff")})
    assert prefixes
    for prefix in prefixes:
        quantiser = tiny_model(golden).audio_tower.quantiser.train()
        quantiser.requires_grad_()
        x = golden["x"].clone().requires_grad_()
        made = quantiser(x, golden["mask"].clone(), cutoff=int(prefix.removeprefix("train_cutoff")))
        (made.output * golden["train.grad_out"].clone()).sum().add(made.losses.sum()).backward()
        given = golden.part(f"{prefix}.")
        found = {"quantized": made.output, "losses": made.losses[None], "grad_x": x.grad}
        found |= {f"grad.{name}": value.grad for name, value in quantiser.named_parameters()}
        golden.equal(made.indices, f"{prefix}.indices")
        for name in given:
            if name in found:
                golden.close(found[name], f"{prefix}.{name}", MODULE_TOLERANCE)
            else:
                assert name == "indices" or name.startswith("after."), f"{prefix}.{name} is not compared"
        _after(golden, quantiser, f"{prefix}.after.")


def _check_means(golden: Golden) -> None:
    """Successive training steps move the code books."""
    quantiser = tiny_model(golden).audio_tower.quantiser.train()
    last = len(quantiser.sizes) - 1
    steps = sorted({name.split(".")[1] for name in golden.tensors if name.startswith("ema.")})
    assert steps
    for step in steps:
        given = golden.part(f"ema.{step}.")
        made = quantiser(given["x"].clone(), given["mask"].clone(), cutoff=last)
        golden.close(made.output, f"ema.{step}.quantized", MODULE_TOLERANCE)
        golden.equal(made.indices, f"ema.{step}.indices")
        golden.close(made.losses[None], f"ema.{step}.losses", MODULE_TOLERANCE)
        _after(golden, quantiser, f"ema.{step}.after.")


def _check_kmeans(golden: Golden, prefix: str) -> None:
    """Code books from the first batch. In evaluation that is asked for, never done by itself (spec section 7.15)."""
    options, given = golden.meta["kmeans"], golden.part(f"{prefix}.")
    width, latent = given["project_out.weight"].shape
    quantiser = ResidualVQ(
        width, latent, options["codebook_size"], options["num_quantizers"], iterations=options["kmeans_iters"]
    )
    for name in ("project_in", "project_out"):
        layer: nn.Linear = getattr(quantiser, name)
        layer.load_state_dict({part: given[f"{name}.{part}"] for part in ("weight", "bias")})
    picks = [given[f"picks.{level}"] for level in range(options["num_quantizers"])]
    quantiser.initialise(given["x"], given["mask"], picks)
    quantiser.train(prefix.endswith("train"))
    made = quantiser(given["x"], given["mask"], cutoff=options["num_quantizers"] - 1)
    golden.close(made.output, f"{prefix}.quantized", MODULE_TOLERANCE)
    golden.equal(made.indices, f"{prefix}.indices")
    golden.close(made.losses[None], f"{prefix}.losses", MODULE_TOLERANCE)
    _after(golden, quantiser, f"{prefix}.after.")


@checker("unit_decoder", FAMILY)
def check_unit_decoder(golden: Golden) -> None:
    for name in golden.tensors:
        if name.startswith("pos_emb.size"):
            size = int(name.removeprefix("pos_emb.size"))
            made = offset_table(torch.arange(size - 1, -size, -1), golden[name].shape[1])
            golden.close(made, name, MODULE_TOLERANCE)
    with torch.inference_mode(False), torch.enable_grad():
        for prefix in ("fused", "text_only"):
            _check_teacher_forcing(golden, prefix)


def _inside(golden: Golden, actual: torch.Tensor, name: str, lengths: torch.Tensor) -> None:
    """Compare two batches inside the lengths of their rows."""
    inside = length_mask(lengths, actual.shape[1])
    golden.close(actual[inside], golden[name][inside], MODULE_TOLERANCE, name)


def _check_teacher_forcing(golden: Golden, prefix: str) -> None:
    decoder = tiny_model(golden).speech_decoder.requires_grad_()
    text, lengths = golden["asr_token_ids"].clone(), golden["asr_token_lengths"].clone()
    units, counts = golden["speech_token_ids"].clone(), golden["speech_token_lengths"].clone()
    embeds = None if prefix == "text_only" else golden["audio_unit_embeds"].clone()
    speaker = golden["speaker_embeds"].clone()
    made = decoder(text, lengths, speaker, embeds, units, counts)
    made.loss.backward()
    condition = decoder.condition(text, embeds, lengths)
    projected = decoder.project_speaker(speaker)
    inputs, labels = decoder.lay_out(condition, lengths, projected, units, counts)
    golden.close(projected, f"{prefix}.speaker_projected", MODULE_TOLERANCE)
    _inside(golden, decoder.encode_text(text), f"{prefix}.text_encoded", lengths)
    if embeds is not None:
        _inside(golden, decoder.encode_audio(embeds), f"{prefix}.audio_encoded", lengths)
    _inside(golden, condition, f"{prefix}.condition", lengths)
    golden.close(inputs, f"{prefix}.lm_input", MODULE_TOLERANCE)
    golden.equal(labels, f"{prefix}.labels")
    golden.equal(made.labels, f"{prefix}.labels")
    _inside(golden, made.logits, f"{prefix}.logits", golden[f"{prefix}.lm_input_lengths"])
    golden.close(made.loss, f"{prefix}.loss", MODULE_TOLERANCE)
    check_gradients(golden, f"{prefix}.grad.", dict(decoder.named_parameters()), MODULE_TOLERANCE)


def check_gradients(golden: Golden, prefix: str, parameters: Mapping[str, nn.Parameter], tolerance: float) -> None:
    """Compare the gradients that a file holds below a prefix."""
    given = golden.part(prefix)
    assert given, f"{golden.stem} has no gradients below {prefix}"
    for name, expected in given.items():
        found = parameters[name].grad
        golden.close(torch.zeros_like(expected) if found is None else found, f"{prefix}{name}", tolerance)


@checker("unit_generate", FAMILY)
def check_unit_generate(golden: Golden) -> None:
    decoder = tiny_model(golden).speech_decoder
    for case, entry in golden.meta["cases"].items():
        given = golden.part(f"{case}.")
        recorded = RecordedUnits(given["chosen"])
        positions = given["asr_token_ids"].shape[1] + 3
        sampling = UnitSampling(top_k=given["topk_ids"].shape[1])
        assert (int(positions * sampling.least), int(positions * sampling.most)) == (
            entry["min_units"],
            entry["max_units"],
        )
        units = decoder.decode(
            given["asr_token_ids"],
            given["asr_token_lengths"],
            given["speaker_embeds"],
            given["audio_unit_embeds"],
            recorded,
            sampling,
            recorded,
        )
        golden.equal(units[0][None], f"{case}.speech_token_ids")
        recorded.check(golden, f"{case}.", MODULE_TOLERANCE)
