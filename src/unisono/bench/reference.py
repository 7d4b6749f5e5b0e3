"""The yardstick: TADA's published loop, written plainly from its specification, step by step, in eager float32.

It does what the published system does, and as often: the guided and the unguided row both run from the first position
on, prefill included (spec section 13.5); every step computes text logits whether text is drawn or not; every solver
step embeds its time and modulates every layer anew and asks the host for its numbers (sections 10, 11); caches grow by
copying; the decoder's attention is dense (section 6.2). It reads a model's weights and never its fast paths. What is
known before the first step, a `Plan`, is the engine's own, so that both do the same work from the same draws.

Where the published loop leaves a choice open, the cheaper one is taken: no logits in the prefill, and both branches of
guidance in one call of the head. `separate=True` calls the head once for each branch.

Axes: B rows (always 1), V branches (positive, negative, text-only), R = V·B rows, P positions, H hidden width, h heads,
k key and value heads, d head width, M rows of the head, C its width, X = A + 2b flowing width, L frames, N samples.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional

from unisono.codec.attention import LocalSelfAttention
from unisono.errors import InputError
from unisono.families.tada.decoder import Decoder
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.plan import Plan, Slots
from unisono.families.tada.prompt import read_inputs
from unisono.lm.draws import Draws
from unisono.lm.gray import decode_gray
from unisono.lm.head import FlowHead
from unisono.lm.llama import Attention, Llama, rope_frequencies
from unisono.lm.schedules import guidance_scale, time_grid

HOP = 480  # samples per frame
SINUSOID = 256  # width of the embedded time
PERIOD = 10000.0  # longest one in it

Past = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values [R, k, P, d] of every layer."""


class Read(NamedTuple):
    """What a step reads beside its id: vector [1, A], mask, before and after int64 [1]."""

    vector: torch.Tensor
    mask: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor


@torch.inference_mode()
def reference_slots(
    model: TadaForCausalLM, plan: Plan, draws: Draws, *, steps: int | None = None, separate: bool = False
) -> Slots:
    """Run a plan for one text to its end.

    Args:
        model: weights in float32; whatever packing it has is passed by.
        plan: of one row, with known text and one candidate.
        steps: solver steps a token; None = the plan's.
        separate: two calls of the flow head for each guided solver step in place of one for both branches.

    Raises:
        InputError: a plan that this loop cannot run.
    """
    _check(model, plan)
    past, prompt_hidden = _prefill(model, plan)
    nothing = plan.raw_ids.new_zeros(1)
    read = Read(plan.tables.vectors.new_zeros(1, model.config.acoustic_dim), nothing, nothing, nothing)
    vectors, befores = [], []
    for slot in range(plan.prefill - model.config.shift_acoustic):
        read = _next_read(model, plan, slot, None, read)
        vectors.append(read.vector)
        befores.append(read.before)
    for position in range(plan.prefill, plan.steps):
        hidden, past = _language_model_step(model, plan, position, read, past)
        model.logits(hidden)  # computed by the published step whether a text token is drawn or not
        slot = position - model.config.shift_acoustic
        noise = _noise(model, plan, draws, slot)
        negative = _negative(plan, hidden, prompt_hidden, position)
        solved = _solve(model, plan, noise, hidden[:1], negative, steps, separate)
        if slot >= 0:
            read = _next_read(model, plan, slot, solved, read)
            vectors.append(read.vector)
            befores.append(read.before)
    before = torch.stack([*befores, befores[-1]], 1)
    return Slots(torch.stack(vectors, 1), before, plan.branch_ids[0, :, 1:], plan.raw_ids)


def _check(model: TadaForCausalLM, plan: Plan) -> None:
    """Raise InputError for a plan beyond the plain loop."""
    options = plan.options
    if plan.batch != 1 or plan.steps > plan.raw_ids.shape[1] or options.num_acoustic_candidates > 1:
        raise InputError("the reference loop speaks one known text with one candidate: leave the other options away")
    if model.dtype != torch.float32:
        raise InputError(f"the reference loop runs in float32, this model is {model.dtype}: load it in float32")


# The language model (spec section 9)


def _prefill(model: TadaForCausalLM, plan: Plan) -> tuple[Past, torch.Tensor]:
    """All positions that can run at once, in every branch: keys and values, and the positive hidden [1, P, H]."""
    if plan.prefill == 0:
        empty = model.acoustic_proj.weight.new_zeros(1, 0, model.config.hidden_size)
        return [], empty
    read = read_inputs(plan.tables, plan.prefill, model.config.shift_acoustic)
    tokens = model.model.embed_tokens(plan.shown_ids[:, : plan.prefill])
    embeds = tokens + model.sound_embeddings(read.vectors, read.masks, read.before, read.after)
    rows = [embeds]
    if plan.options.negative_row:
        rows.append(embeds)  # the same past once more (spec section 18, quirk 5)
    if plan.silence is not None:
        rows.append(tokens + plan.silence[:, None])
    hidden, past = llama(model.model, torch.cat(rows), [])
    return past, hidden[:1]


def _language_model_step(
    model: TadaForCausalLM, plan: Plan, position: int, read: Read, past: Past
) -> tuple[torch.Tensor, Past]:
    """One position of every branch: hidden [R, H], and the past with it."""
    tokens = model.model.embed_tokens(plan.branch_ids[:, 0, position])  # [V, H]
    sound = model.sound_embeddings(*read)
    rows = [sound] * plan.branches
    if plan.silence is not None:
        rows[-1] = plan.silence
    hidden, past = llama(model.model, (tokens + torch.cat(rows))[:, None], past)
    return hidden[:, 0], past


def llama(model: Llama, x: torch.Tensor, past: Past) -> tuple[torch.Tensor, Past]:
    """New positions [R, P, H] after a past (empty = from position 0) -> hidden after the final norm, and the past."""
    start = past[0][0].shape[2] if past else 0
    cos, sin = _rope(model, start, x)
    grown = []
    for index, layer in enumerate(model.layers):
        normed = _rms(x, layer.input_layernorm.weight, layer.input_layernorm.eps)
        attended, pair = _attend(layer.self_attn, normed, past[index] if past else None, cos, sin)
        x = x + attended
        normed = _rms(x, layer.post_attention_layernorm.weight, layer.post_attention_layernorm.eps)
        x = x + layer.mlp.down_proj(functional.silu(layer.mlp.gate_proj(normed)) * layer.mlp.up_proj(normed))
        grown.append(pair)
    return _rms(x, model.norm.weight, model.norm.eps), grown


def _attend(
    attention: Attention,
    x: torch.Tensor,
    past: tuple[torch.Tensor, torch.Tensor] | None,
    cos: torch.Tensor,
    sin: torch.Tensor,
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Causal attention of new positions [R, P, H], and keys and values with them."""

    def heads(projected: torch.Tensor) -> torch.Tensor:
        return projected.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)

    queries = _rotate(heads(attention.q_proj(x)), cos, sin)
    keys, values = _rotate(heads(attention.k_proj(x)), cos, sin), heads(attention.v_proj(x))
    if past is not None:
        keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
    share = attention.heads // attention.kv_heads
    mixed = functional.scaled_dot_product_attention(
        queries, keys.repeat_interleave(share, 1), values.repeat_interleave(share, 1), is_causal=past is None
    )
    return attention.o_proj(mixed.transpose(1, 2).flatten(2)), (keys, values)


def _rope(model: Llama, start: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [P, d] of the positions of x [R, P, H]."""
    frequencies = rope_frequencies(model.sizes.head_dim, model.sizes.rope).to(x.device)
    positions = torch.arange(start, start + x.shape[1], device=x.device).float()
    angles = (positions[:, None] * frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Half-split rotary positions of x [R, h, P, d]."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def _rms(x: torch.Tensor, weight: torch.Tensor | None, eps: float) -> torch.Tensor:
    """RMS norm over the last axis."""
    normed = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    return normed if weight is None else normed * weight


# The flow (spec sections 10 and 11)


def _noise(model: TadaForCausalLM, plan: Plan, draws: Draws, slot: int) -> torch.Tensor:
    """The starting point [1, X]. A discarded one is drawn as the plan has it, and solved from in any case."""
    options, width, bits = plan.options, model.config.acoustic_dim, 2 * model.config.duration_bits
    discarded = slot < 0 or (slot < plan.tables.width and slot + 1 < plan.tables.times)
    drawn = torch.zeros(1, width + bits) if discarded and not plan.draw_all else draws.noise(width, bits, 1)
    drawn = drawn.to(model.device)
    scale = options.noise_temperature
    of_bits = scale if options.duration_noise_temperature is None else options.duration_noise_temperature
    return torch.cat([drawn[:, :width] * scale, drawn[:, width:] * of_bits], 1)


def _negative(plan: Plan, hidden: torch.Tensor, prompt_hidden: torch.Tensor, position: int) -> torch.Tensor:
    """What guidance pushes away from [1, H]."""
    if plan.options.negative_row:
        return hidden[1:2]
    if plan.options.negative_condition_source == "prompt" and prompt_hidden.shape[1] > 0:
        return prompt_hidden[:, position % prompt_hidden.shape[1]]
    return torch.zeros_like(hidden[:1])


def _solve(
    model: TadaForCausalLM,
    plan: Plan,
    x: torch.Tensor,
    hidden: torch.Tensor,
    negative: torch.Tensor,
    steps: int | None,
    separate: bool,
) -> torch.Tensor:
    """Explicit Euler from noise [1, X] to a vector [1, X]."""
    options, width = plan.options, model.config.acoustic_dim
    grid = time_grid(options.time_schedule, steps or options.num_flow_matching_steps).to(x.device)
    for index in range(len(grid) - 1):
        time = grid[index].item()  # here the host waits for the device, as in the published loop
        acoustic = guidance_scale(options.cfg_schedule, options.acoustic_cfg_scale, time)
        duration = guidance_scale(options.cfg_schedule, options.duration_cfg_scale, time)
        if acoustic == 1.0:
            velocity = flow_head(model.prediction_head, x, grid[index], model.condition(hidden))
        else:
            towards, away = _both(model, x, grid[index], hidden, negative, separate)
            scale = torch.full_like(x, duration)
            scale[:, :width] = acoustic
            velocity = away + scale * (towards - away)
        x = x + (grid[index + 1] - grid[index]).item() * velocity
    return x


def _both(
    model: TadaForCausalLM,
    x: torch.Tensor,
    time: torch.Tensor,
    hidden: torch.Tensor,
    negative: torch.Tensor,
    separate: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Velocities [1, X] under the condition and under the negative one."""
    head = model.prediction_head
    if separate:
        return tuple(flow_head(head, x, time, model.condition(each)) for each in (hidden, negative))
    both = flow_head(head, torch.cat([x, x]), time, model.condition(torch.cat([hidden, negative])))
    return both[:1], both[1:]


def flow_head(head: FlowHead, x: torch.Tensor, time: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
    """Velocities [M, X] at points [M, X] and one time, under conditions [M, C]; nothing is kept from call to call."""
    angles = time * torch.exp(-math.log(PERIOD) * torch.arange(SINUSOID // 2, device=x.device) / (SINUSOID // 2))
    wave = torch.cat([angles.cos(), angles.sin()])
    embedded = head.t_embedder.mlp[2](functional.silu(head.t_embedder.mlp[0](wave)))
    signal = functional.silu(head.cond_proj(condition) + embedded)
    hidden = head.noisy_images_proj(x)
    for layer in head.layers:
        shift, scale, gate = layer.adaLN_modulation[1](signal).chunk(3, -1)
        normed = _rms(hidden, layer.norm.weight, layer.norm.eps) * (1 + scale) + shift
        fed = layer.ffn.down_proj(functional.silu(layer.ffn.gate_proj(normed)) * layer.ffn.up_proj(normed))
        hidden = hidden + gate * fed
    last = head.final_layer
    shift, scale = last.adaLN_modulation[1](signal).chunk(2, -1)
    return last.linear(_rms(hidden, None, last.eps) * (1 + scale) + shift)


def _next_read(model: TadaForCausalLM, plan: Plan, slot: int, solved: torch.Tensor | None, read: Read) -> Read:
    """What the step after a slot reads: the prompt's columns where there are any, else what was solved."""
    tables, width = plan.tables, model.config.acoustic_dim
    if slot < tables.width:
        vector, mask = tables.vectors[:, slot], tables.masks[:, slot]
    else:
        vector, mask = solved[:, :width], torch.ones_like(read.mask)
    if slot + 1 < tables.times:
        return Read(vector, mask, tables.before[:, slot + 1], tables.after[:, slot + 1])
    bits = solved[:, width:].unflatten(-1, (2, -1))
    before, after = decode_gray(bits).clamp(0, plan.longest or model.config.num_time_classes - 1).unbind(-1)
    return Read(vector, mask, before, after)


# From slots to sound (spec sections 6.2, 7 and 14)


@torch.inference_mode()
def reference_sound(decoder: Decoder, vectors: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Slots [n, A], not normalised, and frames int64 [n + 1] -> waveform [N], the first slot's frames cut away."""
    frames = []
    for vector, gap in zip(vectors, before[:-1].tolist(), strict=True):
        frames += [torch.zeros_like(vector)] * max(gap - 1, 0) + [vector]
    frames += [torch.zeros_like(vectors[0])] * int(before[-1])
    expanded = torch.stack(frames)[None]
    return _decode(decoder, expanded, (expanded.norm(dim=-1) != 0).long())[0, 0, HOP * int(before[0]) :]


def _decode(decoder: Decoder, expanded: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Frames [1, L, A] and marks [1, L] -> waveform [1, 1, N]; every frame is scored against every other."""
    x = decoder.decoder_proj(expanded)
    if decoder.mark_context is not None:
        x = x + decoder.mark_context(expanded, marks)
    segment = marks.cumsum(-1) - marks
    behind = segment[:, :, None] - segment[:, None, :]
    blocked = (behind != 0) & (behind != 1)
    stack = decoder.local_attention_decoder
    for layer in stack.layers:
        x = _dense_attention(layer.self_attn, x, blocked)
        x = layer.norm(x + layer.ffn(x))
    return decoder.wav_decoder(stack.final_norm(x).transpose(1, 2))


def _dense_attention(attention: LocalSelfAttention, x: torch.Tensor, blocked: torch.Tensor) -> torch.Tensor:
    """Post-norm attention of x [1, L, C] under a mask [1, L, L], True = blocked."""
    length = x.shape[1]
    parts = attention.qkv(x).view(1, length, 3, attention.num_heads, attention.head_dim)
    queries, keys, values = (part.transpose(1, 2) for part in parts.unbind(2))
    cos, sin = attention.rope_freqs[:length].unbind(-1)

    def rotate(each: torch.Tensor) -> torch.Tensor:
        even, odd = each[..., 0::2], each[..., 1::2]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)

    scores = rotate(queries) @ rotate(keys).transpose(-1, -2) / math.sqrt(attention.head_dim)
    weights = scores.masked_fill(blocked[:, None], float("-inf")).softmax(-1)
    mixed = (weights @ values).transpose(1, 2).reshape(1, length, -1)
    return attention.layer_norm(x + attention.out_proj(mixed))
