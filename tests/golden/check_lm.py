"""Golden files of `lm/` and of the language model itself (spec sections 8 to 12 and 16)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from golden_harness import GENERATE_TOLERANCE, MODULE_TOLERANCE, Golden, checker
from golden_models import RecordedDraws, language_model, strictly
from torch import nn

from unisono.families.tada import AcousticSpkrVerf, InferenceOptions, TadaConfig, TadaForCausalLM
from unisono.families.tada.prompt import PromptTables, read_inputs
from unisono.families.tada.speaker import AcousticSpkrVerfConfig
from unisono.lm.backbone import LlamaBackbone
from unisono.lm.candidates import choose, duration_median_scores, likelihood_scores, repeat_rows, speaker_scores
from unisono.lm.flow import FlowRecipe, FlowTable, flow_table, guidance_weights, guided_velocity, solve_flow
from unisono.lm.gray import decode_gray, digits, encode_gray
from unisono.lm.head import FlowHead, sinusoid
from unisono.lm.schedules import guidance_scale, time_grid


@checker("gray_code")
def check_gray_code(golden: Golden) -> None:
    for bits in golden.meta["bits"]:
        golden.close(encode_gray(golden[f"b{bits}.values"], bits), f"b{bits}.bits", 0.0)
        golden.close(encode_gray(golden[f"b{bits}.clamp_values"], bits), f"b{bits}.clamp_bits", 0.0)
        golden.equal(decode_gray(golden[f"b{bits}.soft"]), f"b{bits}.soft_decoded")
        golden.equal(decode_gray(golden[f"b{bits}.edge"]), f"b{bits}.edge_decoded")
    golden.equal(digits(golden["edge_single"]), "edge_single_digit")


@checker("schedules")
def check_schedules(golden: Golden) -> None:
    times = golden["cfg.t"].tolist()
    for name in golden.tensors:
        kind, schedule, value = (*name.split(".", 2), "")[:3]
        if kind == "time":
            golden.close(time_grid(schedule, int(value)), name, MODULE_TOLERANCE)
        elif name != "cfg.t":
            scales = [guidance_scale(schedule, float(value), time) for time in times]
            golden.close(torch.tensor(scales, dtype=torch.float64), name, MODULE_TOLERANCE)


@checker("diffusion_head")
def check_diffusion_head(golden: Golden) -> None:
    for name in golden.tensors:
        if name.startswith("temb.dim"):
            golden.close(sinusoid(golden["temb.t"], int(name.removeprefix("temb.dim"))), name, MODULE_TOLERANCE)
    for index, sizes in golden.meta["configs"].items():
        head = FlowHead(
            sizes["hidden_size"],
            sizes["latent_size"],
            sizes["head_layers"],
            sizes["head_ffn_ratio"],
            sizes["rms_norm_eps"],
        )
        strictly(head, golden.part(f"head{index}."))
        given = golden.part(f"in{index}.")
        golden.close(head(given["x"], given["t"], given["cond"]), f"out{index}.velocity", MODULE_TOLERANCE)
        golden.close(head.t_embedder(given["t"]), f"out{index}.t_emb", MODULE_TOLERANCE)


@checker("flow_matching")
def check_flow_matching(golden: Golden) -> None:
    for index, values in enumerate(golden.meta["configs"]):
        config = TadaConfig(**values)
        head, narrow = _head(golden, config, f"m{index}.")
        for case, options in golden.meta["cases"].items():
            if case.startswith(f"m{index}."):
                _check_flow_case(golden, case, options, config, head, narrow)
        _check_scores_and_velocities(golden, f"m{index}.", config, head, narrow)


Narrow = Callable[[torch.Tensor], torch.Tensor]


def _head(golden: Golden, config: TadaConfig, prefix: str = "") -> tuple[FlowHead, Narrow]:
    """The flow head below a prefix, and the bottleneck that turns given conditions [.., H] into [M, C]."""
    head = FlowHead(config.head_width, config.vector_width, config.head_layers, config.head_ffn_ratio)
    strictly(head, golden.part(f"{prefix}prediction_head."))
    if config.bottleneck_dim is None:
        return head, lambda condition: condition.reshape(-1, config.hidden_size)
    narrow = strictly(nn.Linear(config.hidden_size, config.bottleneck_dim), golden.part(f"{prefix}bottleneck_proj."))
    return head, lambda condition: narrow(condition.reshape(-1, config.hidden_size))


def _check_flow_case(
    golden: Golden, case: str, options: dict, config: TadaConfig, head: FlowHead, narrow: Narrow
) -> None:
    recipe = FlowRecipe(
        acoustic_dim=config.acoustic_dim,
        steps=options["num_steps"],
        time_schedule=options["time_schedule"],
        cfg_schedule=options["cfg_schedule"],
        acoustic_scale=options["acoustic_cfg_scale"],
        duration_scale=options["duration_cfg_scale"],
    )
    given = golden.part(f"{case}.")
    places = {"forced_before": config.acoustic_dim, "forced_after": config.acoustic_dim + config.duration_bits}
    forced = {start: given[name] for name, start in places.items() if name in given}
    solved = solve_flow(
        head, flow_table(head, recipe), given["noise"], narrow(given["cond"]), narrow(given["neg_cond"]), forced
    )
    golden.close(solved, f"{case}.out", MODULE_TOLERANCE)


def _check_scores_and_velocities(
    golden: Golden, prefix: str, config: TadaConfig, head: FlowHead, narrow: Narrow
) -> None:
    given = golden.part(f"{prefix}score.")
    condition, negative = narrow(given["cond"]), narrow(given["cond"].flip(0))
    scores = likelihood_scores(head, condition, given["noise"], given["samples"], config.acoustic_dim)
    golden.close(scores, f"{prefix}score.out", MODULE_TOLERANCE)
    time = 0.37  # as the README of the golden files says
    for name in golden.tensors:
        if name.startswith(f"{prefix}velocity."):
            acoustic, duration = map(float, name.removeprefix(f"{prefix}velocity.").split("_"))
            weight = guidance_weights(head, acoustic, duration, config.acoustic_dim)
            table = FlowTable((time, 1.0), head.t_embedder(torch.tensor([time])), (weight,), "euler")
            velocity = guided_velocity(head, table, condition, negative)
            golden.close(velocity(0, given["samples"]), name, MODULE_TOLERANCE)


@checker("ranked_candidates")
def check_ranked_candidates(golden: Golden) -> None:
    config = TadaConfig(**golden.meta["config"])
    head, narrow = _head(golden, config)
    scorer = AcousticSpkrVerf(AcousticSpkrVerfConfig(**golden.meta["spkr_config"]))
    strictly(scorer, golden.part("_acoustic_spkr_verf."))

    def embed(vectors: torch.Tensor) -> torch.Tensor:
        return scorer((vectors - config.acoustic_mean) / config.acoustic_std)

    for case, entry in golden.meta["cases"].items():
        given, options = golden.part(f"{case}."), InferenceOptions(**entry["options"])
        count, width = options.num_acoustic_candidates, config.acoustic_dim
        noise = given["raw_noise"] * options.noise_temperature
        condition = repeat_rows(narrow(given["cond"]), count)
        negative = repeat_rows(narrow(given["neg_cond"]), count)
        solved = solve_flow(head, flow_table(head, options.recipe(width)), noise, condition, negative)
        if options.scorer == "likelihood":
            scores = likelihood_scores(head, condition, noise, solved, width).view(count, -1)
        elif options.scorer == "duration_median":
            scores = duration_median_scores(solved, width, count)
        elif "ref" not in given or case.endswith("noref"):
            scores = torch.zeros(count, entry["batch"])  # nobody to compare with: the first candidate
        else:
            scores = speaker_scores(embed, solved, given["ref"], width)
        golden.close(choose(solved, scores), f"{case}.out", MODULE_TOLERANCE)


@checker("prompt_embeds_and_lm")
def check_prompt_embeds_and_lm(golden: Golden) -> None:
    for index, values in enumerate(golden.meta["configs"]):
        prefix = f"m{index}."
        cases = [case for case in golden.meta["cases"] if case.startswith(prefix)]
        weights = {
            name: tensor
            for name, tensor in golden.part(prefix).items()
            if not any(f"{prefix}{name}".startswith(f"{case}.") for case in cases)
        }
        model = language_model(values, weights, absent=("prediction_head.",))
        for case in cases:
            _check_prefill(golden, case, model)


def _check_prefill(golden: Golden, case: str, model: TadaForCausalLM) -> None:
    given, length = golden.part(f"{case}."), golden.meta["cases"][case]["prompt_len"]
    tables = PromptTables(given["acoustic"], given["masks"], given["time_before"], given["time_after"])
    read = read_inputs(tables, length, model.config.shift_acoustic)
    embeds = model.embed(given["ids"][:, :length], read.vectors, read.masks, read.before, read.after)
    golden.close(embeds, f"{case}.embeds", MODULE_TOLERANCE)
    backbone = LlamaBackbone(model.model)
    hidden, cache = backbone.start(embeds, torch.arange(len(embeds)), length + 1)
    golden.close(hidden, f"{case}.hidden", MODULE_TOLERANCE)
    golden.close(model.logits(hidden), f"{case}.logits", MODULE_TOLERANCE)
    step = 0
    while f"step{step}.ids" in given:
        inputs = (
            given[f"step{step}.{name}"][:, 0] for name in ("ids", "acoustic", "mask", "time_before", "time_after")
        )
        hidden = backbone.step(model.embed(*inputs), cache)
        golden.close(hidden[:, None], f"{case}.step{step}.hidden", MODULE_TOLERANCE)
        golden.close(model.logits(hidden)[:, None], f"{case}.step{step}.logits", MODULE_TOLERANCE)
        step += 1


@checker("speaker_verification")
def check_speaker_verification(golden: Golden) -> None:
    for index, sizes in golden.meta["configs"].items():
        net = strictly(AcousticSpkrVerf(AcousticSpkrVerfConfig(**sizes)), golden.part(f"m{index}."))
        embedding = net(golden[f"m{index}_x"])
        golden.close(embedding, f"m{index}_emb", MODULE_TOLERANCE)
        golden.close(net(golden[f"m{index}_x3"]), f"m{index}_emb3", MODULE_TOLERANCE)
        golden.close(net.similarity(embedding, embedding.flip(0)), f"m{index}_sim", MODULE_TOLERANCE)
    zero = golden["zero_emb"]
    width = zero.shape[-1]
    silent = AcousticSpkrVerf(AcousticSpkrVerfConfig(input_dim=width, hidden_dim=width, embed_dim=width)).eval()
    for parameter in silent.parameters():
        parameter.zero_()
    golden.close(silent(torch.zeros_like(zero)), "zero_emb", 0.0)


@checker("slm_logits")
def check_slm_logits(golden: Golden) -> None:
    from golden_models import generate_models, prompt_object

    from unisono.families.tada.score import score_speech

    model = generate_models(golden.sibling(golden.meta["weights"]))
    for case, entry in golden.meta["cases"].items():
        given = golden.part(f"{case}.")
        # Beside the options of the case, the file was made with these (README of the golden files).
        fixed = {"text_do_sample": False, "noise_temperature": 0.5, "num_flow_matching_steps": 4}
        prompt = prompt_object(
            entry["text"],
            given["token_values"],
            given["token_positions"],
            given["audio_len"],
            model.tokenizer.encode(entry["text"]),
        )
        scored = score_speech(
            model,
            prompt,
            InferenceOptions(**{**fixed, **entry["options"]}),
            draws=RecordedDraws(given),
            blend_steps=False,
        )
        golden.equal(scored.ids, f"{case}.input_ids")
        golden.close(scored.logits, f"{case}.logits", GENERATE_TOLERANCE)
        golden.close(scored.nll, f"{case}.nll", GENERATE_TOLERANCE)
