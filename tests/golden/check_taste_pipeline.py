"""Golden `pipeline`: recording and text through tower, quantiser, language model and unit decoder; the manifest."""

from __future__ import annotations

import json
from typing import Any

import torch
from check_taste_codec import check_gradients
from golden_harness import GENERATE_TOLERANCE, MODULE_TOLERANCE, Golden, checker
from taste_models import RecordedUnits, tiny_model, tiny_tokenizers

from unisono.families.taste import TasteConfig, TasteForCausalLM
from unisono.families.taste.conditions import UnitSampling
from unisono.families.taste.model import MODES
from unisono.families.taste.vocabulary import read_words, split_words
from unisono.files.checkpoint import matches

FAMILY = "taste"


def _audio_side(golden: Golden) -> dict[str, torch.Tensor]:
    """What stage 1 is given."""
    names = ("asr_token_ids", "asr_token_lengths", "asr_word_ids", "speaker_embeds", "speech_token_ids")
    return {name: golden[f"in.{name}"].clone() for name in (*names, "speech_token_lengths", "audio_features")}


@checker("pipeline", FAMILY)
def check_pipeline(golden: Golden) -> None:
    model = tiny_model(golden)
    _check_text(golden)
    given = golden.part("in.")
    asr, llm = model.extract_codes(
        given["audio_features"],
        given["asr_token_ids"],
        given["asr_token_lengths"],
        given["asr_word_ids"],
        given["llm_token_lengths"],
        given["llm_word_ids"],
    )
    golden.equal(asr, "extract.asr_codes")
    golden.equal(llm, "extract.llm_codes")
    _check_autoencoder(golden, model)
    _check_spoken(golden, model, llm)
    with torch.inference_mode(False), torch.enable_grad():
        for prefix in sorted({n.rsplit(".", 1)[0] for n in golden.tensors if n.endswith(".loss") and "cutoff" in n}):
            _check_training(golden, prefix)
    for mode in MODES:
        _check_reconstruction(golden, model, mode)


def _check_text(golden: Golden) -> None:
    for row, text in enumerate(golden.meta["texts"]):
        words = split_words(text, leading_space=False)
        for name, tokenizer in zip(("asr", "llm"), tiny_tokenizers(golden.path.parent), strict=True):
            made, count = read_words(words, tokenizer), int(golden[f"in.{name}_token_lengths"][row])
            assert made.ids == golden[f"in.{name}_token_ids"][row, :count].tolist()
            assert made.word_ids == golden[f"in.{name}_word_ids"][row, :count].tolist()


def _check_autoencoder(golden: Golden, model: TasteForCausalLM) -> None:
    """Teacher-forced units with and without recording and quantiser."""
    for audio in (0, 1):
        for quantiser in (0, 1):
            made = model(**_audio_side(golden), skip_audio=bool(audio), skip_vq=bool(quantiser))
            _check_units(golden, made.units, f"autoenc_eval.skipaudio{audio}_skipvq{quantiser}", "autoenc_eval")


def _check_units(golden: Golden, units: Any, logits: str, labels: str) -> None:
    """Labels, and logits where a label stands or stands further on in the row."""
    golden.equal(units.labels, f"{labels}.speech_labels")
    inside = (units.labels >= 0).flip(1).cumsum(1).flip(1) > 0
    golden.close(units.logits[inside], golden[f"{logits}.speech_logits"][inside], GENERATE_TOLERANCE, logits)


def _check_spoken(golden: Golden, model: TasteForCausalLM, codes: torch.Tensor) -> None:
    """Scores, and units from the codes that the language model predicts."""
    given = golden.part("in.")
    text = (given["llm_token_ids"], given["llm_token_lengths"], given["llm_word_ids"])
    quantiser, spoken = model.audio_tower.quantiser, model.spoken_lm
    made = spoken(*text, codes, quantiser, published_labels=True)
    golden.close(made.loss, "scoring.loss_batch", MODULE_TOLERANCE)
    count = int(text[1][0])
    single = spoken(*(part[:1, :count] if part.dim() == 2 else part[:1] for part in text), codes[:1, :count], quantiser)
    golden.close(single.loss, "scoring.loss_item0", MODULE_TOLERANCE)
    golden.equal(made.text_labels, "spoken_eval.text_labels")
    golden.equal(made.taste_labels, "spoken_eval.taste_labels")
    embeds, predicted = model.predicted_embeds(*text, codes, given["asr_word_ids"], given["asr_token_lengths"])
    inside = torch.arange(predicted.shape[1]) < (text[1] + spoken.own.delay + 1)[:, None]
    golden.equal(predicted[inside], golden["spoken_eval.codes"][inside], "spoken_eval.codes")
    units = model.speech_decoder(
        given["asr_token_ids"],
        given["asr_token_lengths"],
        given["speaker_embeds"],
        embeds,
        given["speech_token_ids"],
        given["speech_token_lengths"],
    )
    _check_units(golden, units, "spoken_eval", "spoken_eval")


def _check_training(golden: Golden, prefix: str) -> None:
    """Loss, gradients and code books of one step of stage 1-3."""
    model = tiny_model(golden).train().requires_grad_()
    made = model(**_audio_side(golden), cutoff=int(prefix.rpartition("cutoff")[2]))
    golden.close(made.loss, f"{prefix}.loss", MODULE_TOLERANCE)
    made.loss.backward()
    check_gradients(golden, f"{prefix}.grad.", dict(model.named_parameters()), MODULE_TOLERANCE)
    books = model.audio_tower.quantiser.books
    for name, expected in golden.part(f"{prefix}.vq_after.").items():
        _, level, buffer = name.split(".")
        golden.close(getattr(books[int(level)], buffer), expected, MODULE_TOLERANCE, f"{prefix}.{name}")


def _check_reconstruction(golden: Golden, model: TasteForCausalLM, mode: str) -> None:
    """Units of the first recording, drawn as recorded."""
    prefix = f"recon_{mode}."
    given = {}
    for name, value in golden.part("in.").items():
        side = name.split("_")[0]
        count = int(golden[f"in.{side}_token_lengths"][0]) if side in ("asr", "llm") else None
        given[name] = value[:1, :count] if value.dim() == 2 and count else value[:1]
    recorded = RecordedUnits(golden[f"{prefix}chosen"])
    sampling = UnitSampling(top_k=golden[f"{prefix}topk_ids"].shape[1])
    made = model.inference_reconstruction(
        **given, model_mode=mode, draws=recorded, observer=recorded, sampling=sampling
    )
    golden.close(made["audio_unit_embeds"], f"{prefix}audio_unit_embeds", MODULE_TOLERANCE)
    golden.equal(made["speech_token_ids"], f"{prefix}speech_token_ids")
    recorded.check(golden, prefix, GENERATE_TOLERANCE)


@checker("state_dict_manifest", FAMILY)
def check_manifest(golden: Golden) -> None:
    """The released configuration has exactly the released names and shapes, but for what nothing uses."""
    manifest = json.loads(golden.path.read_text(encoding="utf-8"))
    wanted = {name: list(shape) for name, shape in manifest["model"].items()}
    unused = [name for name in wanted if matches(name, TasteForCausalLM.ignored_keys)]
    for variant, replaced in ((None, {}), ("linear_last", manifest["taslm_tok_replaces"])):
        spoken = {} if variant is None else {"out_llm_module": variant}
        with torch.device("meta"):
            model = TasteForCausalLM(TasteConfig(spoken_lm_config=spoken))
        made = {name: list(value.shape) for name, value in model.state_dict().items()}
        expected = {name: shape for name, shape in wanted.items() if name not in unused}
        if variant is not None:
            expected = {name: shape for name, shape in expected.items() if "extract_for_bridge" not in name} | replaced
        assert made == expected, sorted(set(made) ^ set(expected))[:8]
    assert set(manifest["buffers"]) == {name for name, _ in model.named_buffers() if name in wanted}
