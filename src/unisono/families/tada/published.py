"""The published `generate` call on top of the plan, the loop and the renderer (TADA, spec sections 13 and 14).

Axes: n slots, A acoustic width, N samples, T prompt tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unisono.errors import InputError
from unisono.families.tada.options import InferenceOptions
from unisono.families.tada.plan import Plan, PromptTokens, Slots, plan_tokens
from unisono.families.tada.prompt import chat_prefix
from unisono.families.tada.render import render
from unisono.families.tada.state import Observer, Stepped
from unisono.families.tada.work import Task, alone, passes
from unisono.lm.draws import Draws, GeneratorDraws

if TYPE_CHECKING:
    from unisono.families.tada.encoder import EncoderOutput
    from unisono.families.tada.model import TadaForCausalLM


@dataclass
class GenerationOutput:
    """What `generate` returns; one list entry per text.

    Attributes:
        audio: [N] at 24 kHz each.
        positions: int64 [slots] each, 1-based frames in the audio of the slots from the last prompt token on.
        acoustic_features: [1, n, A] each, all slots, de-normalised.
        time_before: int64 [1, ·] each, frames before each rendered slot, and the trailing silence.
        text_ids: int64 [1, ·] each, ids from position 1 on as shown to the model, sampled ones included.
        text: the spoken texts after normalisation.
        sample_rate: Hz.
    """

    audio: list[torch.Tensor]
    positions: list[torch.Tensor]
    acoustic_features: list[torch.Tensor]
    time_before: list[torch.Tensor]
    text_ids: list[torch.Tensor]
    text: list[str]
    sample_rate: int = 24000


def generate(
    model: TadaForCausalLM,
    prompt: EncoderOutput,
    text: str | Sequence[str],
    *,
    num_transition_steps: int,
    num_extra_steps: int,
    system_prompt: str | None,
    user_turn_prompt: str | None,
    options: InferenceOptions,
    use_text_in_prompt: bool,
    normalize_text: bool,
    verbose: bool,
    draws: Draws | None,
    observer: Observer | None,
) -> GenerationOutput:
    """See `TadaForCausalLM.generate`."""
    texts = [text] if isinstance(text, str) else list(text)
    if normalize_text:
        from unisono.text import normalize

        texts = [normalize(item, style="tada").spoken for item in texts]
    output = GenerationOutput([], [], [], [], [], texts)
    for item in texts:
        plan = plan_speech(
            model,
            prompt,
            item,
            options,
            num_transition_steps=num_transition_steps,
            num_extra_steps=num_extra_steps,
            system_prompt=system_prompt,
            user_turn_prompt=user_turn_prompt,
            use_text_in_prompt=use_text_in_prompt,
        )
        with _progress(verbose, plan, observer) as watching:
            slots = run(model, plan, draws or GeneratorDraws([None]), watching)
        _append(output, model, slots, plan.tables.width + num_transition_steps - 1)
    return output


@torch.inference_mode()
def plan_speech(
    model: TadaForCausalLM,
    prompt: EncoderOutput,
    text: str,
    options: InferenceOptions,
    *,
    num_transition_steps: int = 5,
    num_extra_steps: int = 0,
    system_prompt: str | None = None,
    user_turn_prompt: str | None = None,
    use_text_in_prompt: bool = False,
) -> Plan:
    """Turn a voice prompt and a text, used as it is, into a plan.

    Raises:
        InputError: unusable options, or a prompt whose text and vectors differ in length.
    """
    spoken = prompt_ids(model, prompt)
    return plan_tokens(
        model,
        PromptTokens(spoken, prompt.token_values[0, : len(spoken)], prompt.token_positions[0, : len(spoken)]),
        model.tokenizer.encode(text),
        options,
        num_transition_steps=num_transition_steps,
        num_extra_steps=num_extra_steps,
        prefix=chat_prefix(model.tokenizer, system_prompt or "", user_turn_prompt),
        show_prompt_text=use_text_in_prompt,
    )


def prompt_ids(model: TadaForCausalLM, prompt: EncoderOutput) -> list[int]:
    """Token ids of the prompt's text. Raises InputError when there is not exactly one vector for each."""
    if prompt.token_values.shape[0] != 1:
        raise InputError(f"the prompt holds {prompt.token_values.shape[0]} recordings, generation takes one at a time")
    ids = model.tokenizer.encode(prompt.text[0])
    count = int(prompt.text_tokens_len[0])
    if len(ids) != count or prompt.token_values.shape[1] < count or prompt.token_positions.shape[1] < count:
        raise InputError(
            f"the prompt's text has {len(ids)} tokens, its recording {count} marks and "
            f"{prompt.token_values.shape[1]} vectors: encode the recording with the tokenizer of this model"
        )
    return ids


def run(model: TadaForCausalLM, plan: Plan, draws: Draws, observer: Observer | None = None) -> Slots:
    """One pass, or two with a speed factor."""
    return alone(model, passes(model, Task(plan, draws, observer)))


@torch.inference_mode()
def _append(output: GenerationOutput, model: TadaForCausalLM, slots: Slots, first: int) -> None:
    """De-normalise, render from slot `first` (the last prompt token) on, and collect."""
    features = slots.vectors * model.config.acoustic_std + model.config.acoustic_mean
    rendered = render(model.decoder, features[0, first:], slots.before[0, first:])
    output.audio.append(rendered.audio)
    output.positions.append(rendered.positions)
    output.acoustic_features.append(features)
    output.time_before.append(slots.before[:, first:])
    output.text_ids.append(slots.text_ids)


class _progress:
    """An observer that also moves a bar on stderr when `verbose`; step counts are known in advance."""

    def __init__(self, verbose: bool, plan: Plan, observer: Observer | None) -> None:
        self.observer, self.bar = observer, None
        if verbose:
            from tqdm import tqdm

            passes = 1 if plan.options.speed_up_factor is None else 2
            self.bar = tqdm(total=passes * (plan.steps - plan.prefill), unit="token")

    def __enter__(self) -> Observer | None:
        return self.observer if self.bar is None else self._advance

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def _advance(self, record: Any) -> None:
        if isinstance(record, Stepped):
            self.bar.update()
        if self.observer is not None:
            self.observer(record)
