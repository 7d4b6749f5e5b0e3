"""How likely the text of a spoken passage is: the model as a judge of speech (TADA, spec section 15).

Axes: N positions, T text tokens, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from unisono.families.tada.choices import blend
from unisono.families.tada.generate import generate_slots
from unisono.families.tada.options import InferenceOptions
from unisono.families.tada.published import plan_speech
from unisono.families.tada.state import Prefilled, Stepped
from unisono.lm.draws import Draws, GeneratorDraws

if TYPE_CHECKING:
    from unisono.families.tada.encoder import EncoderOutput
    from unisono.families.tada.model import TadaForCausalLM


class Scored(NamedTuple):
    """`ids` int64 [1, N], `logits` [1, N, V], and `nll` [T − 1]: minus log-likelihood of each text token but the last,
    which the published evaluation leaves out."""

    ids: torch.Tensor
    logits: torch.Tensor
    nll: torch.Tensor


@torch.inference_mode()
def score_speech(
    model: TadaForCausalLM,
    prompt: EncoderOutput,
    options: InferenceOptions | None = None,
    *,
    draws: Draws | None = None,
    blend_steps: bool = True,
) -> Scored:
    """Score the text of a recording given its sound and the text before.

    Args:
        prompt: the recording as the encoder returned it; its text is used as it is, and visible.
        options: guidance is best switched off (`acoustic_cfg_scale=1`); `text_only_logit_scale` g blends in logits
            that see no sound: (g · text-only + spoken) / (g + 1).
        blend_steps: False leaves the last positions unblended, as published (spec section 18, quirk 15).
    """
    options = options or InferenceOptions(acoustic_cfg_scale=1.0)
    plan = plan_speech(model, prompt, "", options, num_transition_steps=0, use_text_in_prompt=True)
    rows: list[torch.Tensor] = []

    def watch(record: Prefilled | Stepped) -> None:
        if isinstance(record, Prefilled):
            rows.append(_logits(model, record.hidden, options, blended=True))  # [1, n, V]
        else:
            rows.append(_logits(model, record.hidden, options, blended=blend_steps)[:, None])

    generate_slots(model, plan, draws or GeneratorDraws([None]), observer=watch)
    logits = torch.cat(rows, 1)
    prefix = plan.raw_ids.shape[1] - 1 - int(prompt.text_tokens_len[0]) - model.config.shift_acoustic  # R
    return Scored(plan.raw_ids, logits, text_nll(plan.raw_ids, logits, prefix, model.config.shift_acoustic))


def text_nll(ids: torch.Tensor, logits: torch.Tensor, prefix: int, shift: int) -> torch.Tensor:
    """Minus log-likelihood of text tokens 0 .. T − 2, which stand at positions prefix + 1 and on.

    Args:
        ids: int64 [1, N]. logits: [1, N, V]. prefix: R, length of the chat prefix. shift: S, end tokens after the text.

    Returns:
        [T − 1].
    """
    end = ids.shape[1] - shift - 1  # the position of the last text token
    return functional.cross_entropy(logits[0, prefix : end - 1], ids[0, prefix + 1 : end], reduction="none")


def _logits(model: TadaForCausalLM, hidden: torch.Tensor, options: InferenceOptions, blended: bool) -> torch.Tensor:
    """Text logits of branches' hidden states [V, B, ..., H]: the positive branch, blended with the text-only one."""
    text_only = model.logits(hidden[-1]) if blended and options.text_only_row else None
    return blend(model.logits(hidden[0]), text_only, options.text_only_logit_scale)
