"""Golden `generate_*`: whole completions, every intermediate value (spec/taste.md section 4.2)."""

from __future__ import annotations

from typing import Any

import torch
from golden_harness import ALIGNER_TOLERANCE, GENERATE_TOLERANCE, MODULE_TOLERANCE, Golden, checker
from taste_models import RecordedUnits, tiny_model, tiny_tokenizers

from unisono.families.taste.conditions import UnitSampling
from unisono.families.taste.generate import Step
from unisono.families.taste.model import TasteForCausalLM

LOGITS_TOLERANCE = ALIGNER_TOLERANCE  # logits go up to 20
OUT_MODULES = {"emb": "continue_latent_linear_last", "tok": "linear_last", "multi": "multi_linear_last"}
# What the header of a case may hand to the published call, under the published names.
PASSED = (
    "extra_words",
    "text_top_p",
    "taste_top_p",
    "text_temperature",
    "repetition_penalty",
    "out_generated_part_only",
    "stop_id",
    "instruct_prefix_ids",
    "instruct_suffix_ids",
)


class RecordedDraws:
    """Text ids and codes of a golden file, in order."""

    def __init__(self, golden: Golden) -> None:
        self.ids = golden["step.text_id"].tolist()
        codes = golden["step.codes"]
        self.rows = list(codes[(codes >= 0).all(-1)])
        self.units = RecordedUnits(golden["units.chosen"])

    def text(self, probabilities: torch.Tensor) -> int:
        """The next recorded id."""
        return self.ids.pop(0)

    def codes(self, probabilities: torch.Tensor) -> torch.Tensor:
        """The next recorded tuple."""
        return self.rows.pop(0)


def model_of(golden: Golden) -> TasteForCausalLM:
    """The tiny model in the variant and with the delay that a header names."""
    meta = golden.meta
    changes = {
        "delay": meta["delay"],
        "delay_level": meta["delay_level"],
        "out_llm_module": OUT_MODULES[meta["variant"]],
    }
    parts = golden.part(f"{meta['variant']}.") if meta["variant"] != "emb" else None
    return tiny_model(golden, {"spoken_lm_config": changes}, parts)


@checker("generate_*", "taste")
def check_generate(golden: Golden) -> None:
    model = model_of(golden)
    asr, llm = tiny_tokenizers(golden.path.parent)
    draws, steps = RecordedDraws(golden), []
    options: dict[str, Any] = {name: golden.meta[name] for name in PASSED if name in golden.meta}
    result = model.inference_completion(
        **golden.part("in."),
        conditional_mode=golden.meta["mode"],
        asr_tokenizer=asr,
        llm_tokenizer=llm,
        draws=draws,
        observer=steps.append,
        unit_observer=draws.units,
        sampling=UnitSampling(top_k=golden.meta["top_k_units"]),
        **options,
    )
    _check_steps(golden, steps)
    _check_prompt(golden, model)
    _check_result(golden, result)
    draws.units.check(golden, "units.", LOGITS_TOLERANCE)


def _check_steps(golden: Golden, steps: list[Step]) -> None:
    """What was decided, from what, and what was read next."""
    golden.equal(torch.tensor([step.text_id for step in steps]), "step.text_id")
    golden.equal(torch.tensor([step.move.action for step in steps]), "step.action")
    heard = torch.tensor([step.move.heard for step in steps])
    golden.equal(heard[:-1], golden["step.audio_action"][:-1], "step.audio_action")
    none = torch.full_like(golden["step.codes"][0], -1)
    codes = torch.stack([none if step.codes is None else step.codes for step in steps])
    golden.equal(codes, "step.codes")
    columns = golden["columns"]
    golden.close(torch.stack([step.text_logits for step in steps])[:, columns], "step.text_logits", LOGITS_TOLERANCE)
    if "step.text_probs" in golden:
        made = torch.stack([step.text_probs for step in steps])[:, columns]
        golden.close(made, "step.text_probs", GENERATE_TOLERANCE)
    if "step.z" in golden:
        golden.close(torch.stack([step.latent for step in steps]), "step.z", GENERATE_TOLERANCE)
    if "step.taste_logits" in golden:
        golden.close(torch.stack([step.taste_logits for step in steps]), "step.taste_logits", LOGITS_TOLERANCE)
    drawn = [step.taste_probs for step in steps if step.taste_probs is not None]
    if drawn:
        wanted = golden["taste_probs"]
        golden.close(torch.stack(drawn)[: len(wanted)], wanted, GENERATE_TOLERANCE, "taste_probs")
    fed = torch.stack([step.fed for step in steps[:-1]])
    golden.close(fed, golden["last_inputs_embeds"][0, -len(fed) :], GENERATE_TOLERANCE, "last_inputs_embeds")


def _check_prompt(golden: Golden, model: TasteForCausalLM) -> None:
    """Codes of the prompt, and what the language model read before the first step."""
    given = golden.part("in.")
    if "prompt.asr_codes" in golden:
        asr, words = model.extract_codes(
            given["audio_features"],
            given["asr_token_ids"],
            given["asr_token_lengths"],
            given["asr_word_ids"],
            given["llm_token_lengths"],
            given["llm_word_ids"],
        )
        golden.equal(asr, "prompt.asr_codes")
        golden.equal(words, "prompt.llm_codes")


def _check_result(golden: Golden, result: dict[str, Any]) -> None:
    made = result["completion"]
    assert result["generated_text"] == golden.meta["generated_text"]
    golden.equal(torch.tensor([made.written.ids]), "out.token_ids")
    golden.equal(torch.tensor([made.written.word_ids]), "out.word_ids")
    _same_rows(golden, made.written.rows(golden["out.codes"].shape[-1]), "out.codes")
    _same_rows(golden, made.rows[0], "out.all_code_rows")
    golden.equal(made.asr_ids, "out.asr_token_ids")
    golden.equal(torch.tensor([made.worded.word_ids]), "out.asr_word_ids")
    golden.close(made.embeds, "out.audio_unit_embeds", MODULE_TOLERANCE)
    golden.equal(result["speech_token_ids"], "out.speech_token_ids")


def _same_rows(golden: Golden, rows: torch.Tensor, name: str) -> None:
    """The codes of all words in order. Rows of −1 between them lie one delay earlier in the recording than with us,
    where codes stand at the token they belong to."""
    wanted = golden[name][0]
    assert rows.shape == wanted.shape, name
    golden.equal(rows[(rows >= 0).all(-1)], wanted[(wanted >= 0).all(-1)], name)
