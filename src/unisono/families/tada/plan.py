"""What a generation knows before its first step (TADA, spec sections 13.3 to 13.5 and 15).

Axes: B rows, V branches of each row (positive, negative, text-only), N ids, T prompt tokens, A acoustic width,
E speaker width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from unisono.errors import InputError
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.options import InferenceOptions
from unisono.families.tada.prompt import (
    PromptTables,
    chat_prefix,
    hide_text,
    negative_ids,
    prefill_length,
    prompt_tables,
    sequence_ids,
)
from unisono.families.tada.speaker import AcousticSpkrVerf
from unisono.families.tada.timing import Tempo
from unisono.interface import Tokenizer
from unisono.lm.candidates import reference_embedding
from unisono.lm.flow import FlowTable, flow_table
from unisono.lm.fused_head import FusedHead
from unisono.lm.head import FlowHead


@dataclass(frozen=True)
class Invention:
    """Text that the model makes up, one row, until it ends its turn.

    Attributes:
        allowed: bool [vocabulary], tokens of text and those that end the turn.
        ends: ids that end the turn. least, most: tokens before it may, and must, end.
    """

    allowed: torch.Tensor
    ends: tuple[int, ...]
    least: int
    most: int


@dataclass(frozen=True)
class Plan:
    """Everything known before the first step.

    Attributes:
        raw_ids: int64 [B, N], the sequence; shown_ids: the same with the prompt's text hidden.
        branch_ids: int64 [V, B, N], the ids each branch reads.
        tables: the voice prompt, or all durations in the speed pass.
        steps: positions to run. prefill: how many of them at once. shared: how many of these are the voice's alone.
        head, flow: the flow head as it runs, and the solver's table for it.
        silence: [B, H], what a text-only branch reads beside its ids, or None.
        reference: [B, E], the prompt's speaker, or None. scorer: the network that ranks by it, or None.
        draw_all: draw and solve also where the result is discarded, and draw the unused last text token, so that
            random streams are the published ones (spec section 18, quirk 22).
        longest: frames that a drawn duration may have at most; None = whatever the model has classes for.
        tempos: what is asked of each row's gaps; () = they stay as drawn.
        invention: how far text is invented and of which tokens; None = as many as there are steps, of all but pad.
    """

    tokenizer: Tokenizer
    raw_ids: torch.Tensor
    shown_ids: torch.Tensor
    branch_ids: torch.Tensor
    tables: PromptTables
    steps: int
    prefill: int
    options: InferenceOptions
    head: FlowHead | FusedHead
    flow: FlowTable
    silence: torch.Tensor | None
    reference: torch.Tensor | None
    scorer: AcousticSpkrVerf | None
    draw_all: bool
    shared: int = 0
    longest: int | None = None
    tempos: tuple[Tempo, ...] = ()
    invention: Invention | None = None

    @property
    def batch(self) -> int:
        """B."""
        return self.raw_ids.shape[0]

    @property
    def branches(self) -> int:
        """V."""
        return self.branch_ids.shape[0]


@dataclass(frozen=True)
class Slots:
    """The result: vectors [B, n, A] (normalised), before int64 [B, n + 1] whose last value is that of the last slot
    repeated (trailing silence, quirk 10), text_ids int64 [B, ·] from position 1 on as shown to the model, sampled ones
    included, and raw_ids int64 [B, ·] from position 0 on with nothing hidden."""

    vectors: torch.Tensor
    before: torch.Tensor
    text_ids: torch.Tensor
    raw_ids: torch.Tensor


def make_plan(
    model: TadaForCausalLM,
    tokenizer: Tokenizer,
    ids: torch.Tensor,
    tables: PromptTables,
    options: InferenceOptions,
    *,
    steps: int | None = None,
    show_prompt_text: bool = False,
    scorer: AcousticSpkrVerf | None = None,
    draw_all: bool = True,
    shared: int = 0,
) -> Plan:
    """Work out a generation.

    Args:
        ids: int64 [B, N]. tables: of the voice prompt. steps: positions to run, default N.
        show_prompt_text: do not hide the ids before the end of the tables.
        scorer: needed for `scorer="spkr_verification"` with several candidates.
        shared: so many first ids are the voice's and not the text's.
    """
    shown = ids if show_prompt_text else hide_text(ids, tables.width, tokenizer)
    branches = [shown]
    if options.negative_row:
        branches.append(negative_ids(shown, tokenizer))
    silence = None
    if options.text_only_row:
        branches.append(shown)
        nothing = ids.new_zeros(ids.shape[0])
        zeros = tables.vectors.new_zeros(ids.shape[0], model.config.acoustic_dim)
        silence = model.sound_embeddings(zeros, nothing, nothing, nothing)
    ranked = options.num_acoustic_candidates > 1 and options.scorer == "spkr_verification" and scorer is not None
    head = model.flow_head()
    return Plan(
        tokenizer=tokenizer,
        raw_ids=ids,
        shown_ids=shown,
        branch_ids=torch.stack(branches),
        tables=tables,
        steps=ids.shape[1] if steps is None else steps,
        prefill=prefill_length(ids.shape[1], tables, model.config.shift_acoustic),
        options=options,
        head=head,
        flow=flow_table(head, options.recipe(model.config.acoustic_dim)),
        silence=silence,
        reference=reference_embedding(speaker_embedder(model, scorer), tables.vectors) if ranked else None,
        scorer=scorer if ranked else None,
        draw_all=draw_all,
        shared=shared,
    )


class PromptTokens(NamedTuple):
    """A voice prompt: `ids` of T tokens, `vectors` [T, A] normalised, `positions` int64 [T], 1-based frames."""

    ids: Sequence[int]
    vectors: torch.Tensor
    positions: torch.Tensor


def plan_tokens(
    model: TadaForCausalLM,
    prompt: PromptTokens,
    target: Sequence[int],
    options: InferenceOptions,
    *,
    num_transition_steps: int = 5,
    num_extra_steps: int = 0,
    prefix: Sequence[int] | None = None,
    show_prompt_text: bool = False,
    draw_all: bool = True,
) -> Plan:
    """Plan to speak the tokens `target` in the voice of a prompt of T tokens, T may be 0.

    Args:
        num_transition_steps: prompt tokens at the end whose sound is generated anew.
        num_extra_steps: text tokens to invent after the target; 0 closes the text with end-of-turn ids instead.
        prefix: chat ids before the body; None = an empty system turn.
        show_prompt_text: do not hide the prompt's text from the model.
        draw_all: keep the published random streams; False skips draws whose results are not used.

    Raises:
        InputError: unusable options or lengths.
    """
    options.check()
    if num_transition_steps < 0 or num_extra_steps < 0:
        raise InputError(
            f"num_transition_steps is {num_transition_steps} and num_extra_steps {num_extra_steps}, expected 0 or more"
        )
    tokenizer, config = model.tokenizer, model.config
    prefix = chat_prefix(tokenizer) if prefix is None else list(prefix)
    if num_transition_steps > len(prefix) + len(prompt.ids):
        raise InputError(
            f"num_transition_steps is {num_transition_steps}, prefix and prompt have only "
            f"{len(prefix) + len(prompt.ids)} tokens"
        )
    end_tokens = 0 if num_extra_steps else config.shift_acoustic
    ids = sequence_ids(tokenizer, prefix, [*prompt.ids, *target], end_tokens).to(model.device)
    tables = prompt_tables(
        prompt.vectors[None].to(model.device, model.dtype),
        prompt.positions[None].to(model.device, torch.int64),
        len(prefix),
        num_transition_steps,
        config.num_time_classes,
    )
    ranked = options.num_acoustic_candidates > 1 and options.scorer == "spkr_verification" and len(prompt.ids) > 0
    return make_plan(
        model,
        tokenizer,
        ids,
        tables,
        options,
        steps=ids.shape[1] + num_extra_steps,
        show_prompt_text=show_prompt_text,
        scorer=model.speaker_scorer if ranked else None,
        draw_all=draw_all,
        shared=1 + len(prefix) + len(prompt.ids),
    )


def speaker_embedder(model: TadaForCausalLM, scorer: AcousticSpkrVerf) -> Callable[[torch.Tensor], torch.Tensor]:
    """Speaker embedding of vectors that are normalised once more, as published (spec section 18, quirk 12)."""
    mean, std = model.config.acoustic_mean, model.config.acoustic_std
    return lambda vectors: scorer((vectors - mean) / std)


def speed_plan(model: TadaForCausalLM, plan: Plan, slots: Slots) -> Plan:
    """The second pass of the speed option: all durations divided, rounded half to even, and given as inputs.

    The prompt's text is hidden whatever the first pass did (spec section 18, quirk 16).
    """
    scaled = torch.round(slots.before / plan.options.speed_up_factor).long()
    nothing = scaled.new_zeros(scaled.shape[0], 1)
    tables = replace(plan.tables, before=torch.cat([nothing, scaled], 1), after=torch.cat([scaled, nothing + 1], 1))
    return make_plan(
        model,
        plan.tokenizer,
        slots.raw_ids,
        tables,
        replace(plan.options, speed_up_factor=None),
        steps=plan.steps,
        scorer=plan.scorer,
        draw_all=plan.draw_all,
    )
