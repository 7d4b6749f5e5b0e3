"""The two choices of a step: which vector, and where the text is open, which token (TADA, spec sections 11 to 13.7).

Axes: B rows, V branches of each row, K candidates, X flowing width, H hidden width.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from unisono.errors import GenerationError
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.plan import Invention, Plan, speaker_embedder
from unisono.families.tada.prompt import negative_ids
from unisono.families.tada.state import State, Stepped
from unisono.lm.candidates import choose, duration_median_scores, likelihood_scores, repeat_rows, speaker_scores
from unisono.lm.flow import solve_flow
from unisono.lm.gray import decode_gray, encode_gray
from unisono.lm.sampling import text_probabilities


def solve(model: TadaForCausalLM, plan: Plan, state: State, seen: Stepped) -> Stepped:
    """Draw noise and solve the flow for every candidate, and keep one."""
    seen = ask(model, plan, state, seen)
    away = None if seen.negative is None else model.condition(seen.negative)
    solved = solve_flow(plan.head, plan.flow, seen.noise, model.condition(seen.condition), away)
    scores, chosen = pick(model, plan, seen, solved)
    return replace(seen, solved=solved, scores=scores, chosen=chosen, drawn=drawn_durations(model, plan, chosen))


def ask(model: TadaForCausalLM, plan: Plan, state: State, seen: Stepped) -> Stepped:
    """What a solve begins with: drawn noise, and the hidden states that condition it, for every candidate."""
    options, config = plan.options, model.config
    candidates = options.num_acoustic_candidates
    raw = state.draws.noise(config.acoustic_dim, 2 * config.duration_bits, candidates)
    noise = raw.to(seen.hidden) * options.noise_temperature  # cast, then scaled (spec section 11)
    if options.duration_noise_temperature is not None:
        bits = slice(config.acoustic_dim, None)
        torch.mul(raw[:, bits].to(noise), options.duration_noise_temperature, out=noise[:, bits])
    positive = repeat_rows(seen.hidden[0], candidates)
    negative = repeat_rows(_negative_hidden(plan, state, seen), candidates) if plan.flow.guided else None
    return replace(seen, condition=positive, negative=negative, noise=noise)


def pick(
    model: TadaForCausalLM, plan: Plan, seen: Stepped, solved: torch.Tensor
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """The scores of the solved candidates [K·B, X], if there are several, and the one that is kept [B, X]."""
    if plan.options.num_acoustic_candidates == 1:
        return None, solved
    scores = _scores(model, plan, model.condition(seen.condition), seen.noise, solved)
    return scores, choose(solved, scores)


def drawn_durations(model: TadaForCausalLM, plan: Plan, vectors: torch.Tensor) -> torch.Tensor:
    """Frames before and after, int64 [B, 2], of solved vectors [B, X], none above the longest that may be drawn."""
    bits = vectors[:, model.config.acoustic_dim :].reshape(len(vectors), 2, -1)
    return decode_gray(bits).clamp(0, plan.longest or model.config.num_time_classes - 1)


def keep_time(model: TadaForCausalLM, plan: Plan, state: State, seen: Stepped, slot: int) -> Stepped:
    """Decide the gaps of a slot. Where they are others than the drawn ones, solve again from the same noise with their
    bits held on their path, so that the vector is one that goes with them."""
    drawn = seen.drawn
    decided = [timer.decide(slot, *row) for timer, row in zip(state.timers, drawn.tolist(), strict=True)]
    gaps = torch.tensor(decided, device=drawn.device)  # [B, 4]
    changed = (gaps[:, :2] != drawn).any(1)
    if not changed.any():
        return replace(seen, gaps=gaps)
    bits = encode_gray(gaps[:, :2], model.config.duration_bits).flatten(1).to(seen.chosen)
    away = None if seen.negative is None else model.condition(seen.negative[: plan.batch])
    condition = model.condition(seen.condition[: plan.batch])
    noise = seen.noise if seen.scores is None else choose(seen.noise, seen.scores)
    again = solve_flow(plan.head, plan.flow, noise, condition, away, {model.config.acoustic_dim: bits})
    return replace(seen, gaps=gaps, chosen=torch.where(changed[:, None], again, seen.chosen))


def _negative_hidden(plan: Plan, state: State, seen: Stepped) -> torch.Tensor:
    """What guidance pushes away from: [B, H]."""
    if plan.options.negative_row:
        return seen.hidden[1]
    kept = state.prompt_hidden
    if kept is not None and kept.shape[1] > 0:
        return kept[:, seen.position % kept.shape[1]]  # an arbitrary prompt position (spec section 18, quirk 26)
    return torch.zeros_like(seen.hidden[0])


def _scores(
    model: TadaForCausalLM, plan: Plan, condition: torch.Tensor, noise: torch.Tensor, solved: torch.Tensor
) -> torch.Tensor:
    """Scores [K, B] of the candidates; without a reference speaker all are equal and the first is kept."""
    width, count = model.config.acoustic_dim, plan.options.num_acoustic_candidates
    if plan.options.scorer == "likelihood":
        return likelihood_scores(plan.head, condition, noise, solved, width).view(count, -1)
    if plan.options.scorer == "duration_median":
        return duration_median_scores(solved, width, count)
    if plan.reference is None:
        return solved.new_zeros(count, plan.batch)
    similarity = speaker_scores(speaker_embedder(model, plan.scorer), solved, plan.reference, width)
    return similarity * plan.options.spkr_verification_weight


def blend(positive: torch.Tensor, text_only: torch.Tensor | None, scale: float) -> torch.Tensor:
    """Text-only guidance: (g · text-only + positive) / (g + 1)."""
    return positive if text_only is None else (scale * text_only + positive) / (scale + 1)


def choose_text(model: TadaForCausalLM, plan: Plan, state: State, seen: Stepped) -> Stepped:
    """Choose the next text token and append it to every branch (spec section 13.7).

    Raises:
        GenerationError: a score that is not finite.
    """
    options = plan.options
    logits = model.logits(seen.hidden)  # [V, B, vocabulary]
    if not bool(torch.isfinite(logits).all()):
        raise GenerationError(
            f"step {seen.position} gave a text token a score that is not a finite number: the weights are damaged"
        )
    positive = logits[0].clone()
    positive[:, plan.tokenizer.pad_id] = float("-inf")
    blended = blend(positive, None if plan.silence is None else logits[-1], options.text_only_logit_scale)
    if plan.invention is not None:
        blended = blended.masked_fill(~_may_follow(plan.invention, len(state.sampled)), float("-inf"))
    probabilities = None
    if options.text_do_sample:
        probabilities = text_probabilities(blended, state.branch_ids[0], options.sampling())
        token = state.draws.token(probabilities)
    else:
        token = blended.argmax(-1)
    if plan.invention is None:
        state.sampled.append(token)
        _append(plan, state, token[:, None])
    else:
        _append(plan, state, _invented(model, plan, state, token))
    return replace(seen, logits=logits, probabilities=probabilities, token=token)


def _append(plan: Plan, state: State, ids: torch.Tensor) -> None:
    """Give every branch the ids [B, n] that come next."""
    shown = [ids] * plan.branches
    if plan.options.negative_row:
        shown[1] = negative_ids(ids, plan.tokenizer)
    state.branch_ids = torch.cat([state.branch_ids, torch.stack(shown)], 2)


def _may_follow(invention: Invention, count: int) -> torch.Tensor:
    """Which tokens [vocabulary] may come after `count` invented ones."""
    if count >= invention.least:
        return invention.allowed
    allowed = invention.allowed.clone()
    allowed[list(invention.ends)] = False
    return allowed


def _invented(model: TadaForCausalLM, plan: Plan, state: State, token: torch.Tensor) -> torch.Tensor:
    """An invented token as ids [1, n]; with the last one come the ids that let its sound be finished."""
    ended = int(token) in plan.invention.ends
    if not ended:
        state.sampled.append(token)
        if len(state.sampled) < plan.invention.most:
            return token[:, None]
    kept = [] if ended else [int(token)]
    closing = [*kept, *[plan.tokenizer.eot_id] * model.config.shift_acoustic]
    state.steps = state.branch_ids.shape[2] + len(closing)
    return torch.tensor([closing], device=token.device)
