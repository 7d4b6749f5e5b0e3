"""Golden `generate_*`: whole generations, every intermediate value (spec sections 12 to 15)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from golden_harness import GENERATE_TOLERANCE, Golden, checker
from golden_models import RecordedDraws, generate_models, prompt_object

from unisono.families.tada import EncoderOutput, InferenceOptions, TadaForCausalLM
from unisono.families.tada.published import GenerationOutput, plan_speech
from unisono.families.tada.state import Prefilled, Stepped


@checker("generate_*_weights")
def check_weights(golden: Golden) -> None:
    generate_models(golden)


@checker("generate_*")
def check_generate(golden: Golden) -> None:
    model = generate_models(golden.sibling(f"generate_{golden.meta['model']}_weights"))
    ids = model.tokenizer.encode(golden.meta["prompt_text"])
    assert len(ids) == int(golden["prompt.text_tokens_len"][0])
    prompt = prompt_object(
        golden.meta["prompt_text"],
        golden["prompt.token_values"],
        golden["prompt.token_positions"],
        golden["prompt.audio_len"],
        ids,
    )
    check_generation(golden, model, prompt)


def check_generation(golden: Golden, model: TadaForCausalLM, prompt: EncoderOutput) -> None:
    """Speak through the published call with recorded draws and compare everything that was recorded."""
    options = InferenceOptions(**golden.meta["options"])
    draws, seen = RecordedDraws(golden.tensors), []
    output = model.generate(
        prompt, inference_options=options, draws=draws, observer=seen.append, **golden.meta["generate_kwargs"]
    )
    assert output.text == golden.meta["normalized_text"]
    prefills = [record for record in seen if isinstance(record, Prefilled)]
    steps = [record for record in seen if isinstance(record, Stepped)]
    _check_plan(golden, model, prompt, options, output.text[0])
    _check_prefills(golden, prefills, steps)
    _check_inputs(golden, steps)
    _check_solutions(golden, steps)
    _check_text(golden, steps, draws)
    _check_output(golden, output, prefills)
    assert draws.used_up, f"{golden.stem}: {len(draws.noises)} noises and {len(draws.tokens)} ids were not drawn"


def _check_plan(
    golden: Golden, model: TadaForCausalLM, prompt: EncoderOutput, options: InferenceOptions, text: str
) -> None:
    """Sequence and tables before the first step."""
    extra = {
        name: value for name, value in golden.meta["generate_kwargs"].items() if name not in ("text", "normalize_text")
    }
    plan = plan_speech(model, prompt, text, options, **extra)
    golden.equal(plan.raw_ids, "call.input_ids")
    golden.close(plan.tables.vectors, "call.acoustic_features", GENERATE_TOLERANCE)
    golden.equal(plan.tables.masks, "call.acoustic_masks")
    golden.equal(plan.tables.before, "call.time_before")
    golden.equal(plan.tables.after, "call.time_after")
    assert plan.steps == golden.meta["num_steps"][0]


def _check_prefills(golden: Golden, prefills: Sequence[Prefilled], steps: Sequence[Stepped]) -> None:
    """Number of passes, prefill lengths, hidden ids and prefill embeddings."""
    assert len(prefills) == golden.meta["n_passes"]
    lengths = [record.embeds.shape[1] for record in prefills]
    assert [length for length in lengths if length] == golden.meta["prefill_len"]
    singles = sum(total - length for total, length in zip(golden.meta["num_steps"], lengths, strict=True))
    assert len(steps) == singles
    if golden.meta["n_passes"] == 2:
        shown = prefills[1].ids
        hidden_part = shown != golden["call2.input_ids"]
        assert shown.shape == golden["call2.input_ids"].shape and not hidden_part[:, lengths[1] :].any()
    for index, record in enumerate(prefills):
        if f"prefill{index}.input_ids" in golden:
            golden.equal(record.ids, f"prefill{index}.input_ids")
            golden.close(record.embeds, f"prefill{index}.embeds", GENERATE_TOLERANCE)


def _check_inputs(golden: Golden, steps: Sequence[Stepped]) -> None:
    """What each branch reads at each step: rows are positive, negative, text-only."""
    golden.equal(torch.tensor([record.position for record in steps]), "step.position")
    golden.equal(torch.stack([record.ids[:, 0] for record in steps]), "step.input_ids")
    voiced = golden["step.input_ids"].shape[1] - bool(
        InferenceOptions(**golden.meta["options"]).text_only_row
    )  # rows that read sound

    def rows(name: str) -> torch.Tensor:
        heard = torch.stack([getattr(record, name)[0] for record in steps])
        silent = torch.zeros_like(heard)
        branches = golden["step.input_ids"].shape[1]
        return torch.stack([heard if index < voiced else silent for index in range(branches)], 1)

    golden.close(rows("vector"), "step.acoustic_in", GENERATE_TOLERANCE)
    golden.equal(rows("mask"), "step.mask_in")
    golden.equal(rows("before"), "step.time_before_in")
    golden.equal(rows("after"), "step.time_after_in")


def _check_solutions(golden: Golden, steps: Sequence[Stepped]) -> None:
    """Conditions, noise, solutions, scores and choices."""
    zeros = torch.zeros_like(golden["step.neg_cond"][0])
    negative = [zeros if record.negative is None else record.negative for record in steps]
    golden.close(torch.stack([record.condition for record in steps]), "step.cond", GENERATE_TOLERANCE)
    golden.close(torch.stack(negative), "step.neg_cond", GENERATE_TOLERANCE)
    golden.close(torch.stack([record.noise for record in steps]), "step.solver_noise", GENERATE_TOLERANCE)
    golden.close(torch.stack([record.solved for record in steps]), "step.solver_out", GENERATE_TOLERANCE)
    golden.close(torch.stack([record.chosen for record in steps]), "step.chosen", GENERATE_TOLERANCE)
    if "step.candidate_scores" in golden:
        scores = torch.stack([record.scores[:, 0] for record in steps])
        golden.close(scores, "step.candidate_scores", GENERATE_TOLERANCE)


def _check_text(golden: Golden, steps: Sequence[Stepped], draws: RecordedDraws) -> None:
    """Logits and probabilities where a token was chosen."""
    chosen = [record for record in steps if record.token is not None]
    assert len(chosen) == len(golden.tensors.get("step.logits_last", ()))
    if chosen:
        golden.close(torch.stack([record.logits[:, 0] for record in chosen]), "step.logits_last", GENERATE_TOLERANCE)
    if "text.probs" in golden:
        golden.close(torch.cat(draws.probabilities), "text.probs", GENERATE_TOLERANCE)


def _check_output(golden: Golden, output: GenerationOutput, prefills: Sequence[Prefilled]) -> None:
    """Slots, durations, ids and sound. The recorded ids lack the one at the prefill's length (quirk 14)."""
    golden.close(output.acoustic_features[0], "out.acoustic_features", GENERATE_TOLERANCE)
    golden.equal(output.time_before[0], "out.time_before")
    ids, gap = output.text_ids[0], prefills[-1].embeds.shape[1]
    kept = torch.cat([ids[:, : gap - 1], ids[:, gap:]], 1) if gap else ids
    golden.equal(kept, "out.text_ids")
    golden.close(output.audio[0], "out.audio", GENERATE_TOLERANCE)
