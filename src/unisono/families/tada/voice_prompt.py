"""A voice as the language model reads it: ids, normalised vectors and marks (TADA, spec sections 6.4 and 13.3).

Axes: T tokens, A vector width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from unisono.errors import CheckpointError, InputError
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.options import InferenceOptions
from unisono.families.tada.plan import Plan, make_plan
from unisono.families.tada.prompt import chat_prefix, prompt_tables, sequence_ids
from unisono.families.tada.speaker import AcousticSpkrVerf
from unisono.families.tada.timing import Tempo
from unisono.interface import AlignedTokens, Voice


@dataclass(frozen=True)
class VoicePrompt:
    """`ids` [T]; `vectors` float [1, T, A], normalised; `positions` int64 [1, T], 1-based frames; `system` text.

    The last `carried` tokens are not the voice's but those of what was spoken before.
    """

    ids: list[int]
    vectors: torch.Tensor
    positions: torch.Tensor
    system: str = ""
    carried: int = 0


def voice_prompt(model: TadaForCausalLM, voice: Voice | None, name_speaker: bool) -> VoicePrompt:
    """Bring a voice into the language model's scale; None is a prompt without a voice.

    Args:
        name_speaker: the system turn says who speaks, as in training.

    Raises:
        CheckpointError: vectors or ids that this model has no place for.
    """
    if voice is None:
        nothing = torch.zeros(1, 0, dtype=torch.long, device=model.device)
        vectors = torch.zeros(1, 0, model.config.acoustic_dim, device=model.device, dtype=model.dtype)
        return VoicePrompt([], vectors, nothing)
    check_pieces(model, voice.tokens, f"voice {voice.name}")
    return pieces_prompt(model, voice.tokens, voice.speaker if name_speaker else "")


def pieces_prompt(model: TadaForCausalLM, tokens: AlignedTokens, system: str = "") -> VoicePrompt:
    """Pieces of speech that fit the model, in the language model's scale."""
    scaled = (tokens.vectors - model.config.acoustic_mean) / model.config.acoustic_std
    return VoicePrompt(
        tokens.text_ids.tolist(),
        scaled[None].to(model.device, model.dtype),
        tokens.positions[None].to(model.device),
        system,
    )


def check_pieces(model: TadaForCausalLM, tokens: AlignedTokens, what: str) -> None:
    """Raise CheckpointError when a model has no place for these vectors or ids, whatever name they bear."""
    width, vocabulary = model.config.acoustic_dim, model.config.vocab_size
    if tokens.vectors is None or tokens.vectors.shape[1] != width:
        got = "no vectors" if tokens.vectors is None else f"vectors of {tokens.vectors.shape[1]} numbers"
        raise CheckpointError(f"{what} came with {got}, this model wants {width}: encode the recording again")
    if int(tokens.text_ids.max()) >= vocabulary:
        raise CheckpointError(
            f"{what} came with ids beyond this model's {vocabulary} tokens: encode the recording again"
        )


def prompt_prefix(model: TadaForCausalLM, prompt: VoicePrompt, options: InferenceOptions) -> list[int]:
    """Ids of the chat turns before a voice: the options' system prompt, else the voice's own, and a user prompt."""
    system = getattr(options, "system_prompt", None)
    return chat_prefix(
        model.tokenizer, prompt.system if system is None else system, getattr(options, "user_prompt", None)
    )


def plan_sentence(
    model: TadaForCausalLM,
    prompt: VoicePrompt,
    ids: list[int],
    options: InferenceOptions,
    *,
    transition_steps: int,
    show_prompt_text: bool,
    max_gap: int = 0,
    tempo: Tempo | None = None,
) -> tuple[Plan, int]:
    """Work out how to speak token `ids` after a voice.

    Args:
        max_gap: frames that a drawn gap may have at most, 0 = any.
        tempo: what is asked of the gaps of `ids`, counted from the slot that is returned; None = nothing.

    Returns:
        the plan, and the slot of the voice's last token, where rendering begins.
    """
    prefix = prompt_prefix(model, prompt, options)
    asked = getattr(options, "transition_steps", None)
    dropped = min(transition_steps if asked is None else asked, len(prefix) + len(prompt.ids))
    sequence = sequence_ids(model.tokenizer, prefix, [*prompt.ids, *ids], model.config.shift_acoustic)
    tables = prompt_tables(prompt.vectors, prompt.positions, len(prefix), dropped, model.config.num_time_classes)
    plan = make_plan(
        model,
        model.tokenizer,
        sequence.to(model.device),
        tables,
        options,
        show_prompt_text=show_prompt_text,
        scorer=speaker_scorer(model, options) if prompt.ids else None,
        # The second pass of the speed option counts on the text token that the first one draws and does not use.
        draw_all=options.speed_up_factor is not None,
        shared=1 + len(prefix) + len(prompt.ids) - prompt.carried,
    )
    last = len(prefix) + len(prompt.ids) - 1
    tempos = () if tempo is None or tempo.neutral else (replace(tempo, first=last + 1),)
    return replace(plan, longest=max_gap or None, tempos=tempos), last


def speaker_scorer(model: TadaForCausalLM, options: InferenceOptions) -> AcousticSpkrVerf | None:
    """The network that ranks candidates, None where it is not asked for. Raises InputError when it is not there."""
    if options.num_acoustic_candidates == 1 or options.scorer != "spkr_verification":
        return None
    if not model.can_verify:
        raise InputError(
            "this model has no speaker network (spkr-verf), which the scorer spkr_verification needs: "
            "use likelihood or duration_median"
        )
    return model.speaker_scorer
