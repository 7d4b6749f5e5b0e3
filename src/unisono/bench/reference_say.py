"""A whole call of the reference loop: text in, sound out, with the plans and draws that `TadaSpeech.say` would use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from unisono.bench.reference import HOP, reference_slots, reference_sound
from unisono.errors import InputError
from unisono.families.spelling import spell
from unisono.families.tada.card import make_options
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.plan import Slots
from unisono.families.tada.speech import TadaSpeech
from unisono.families.tada.voice_prompt import plan_sentence, voice_prompt
from unisono.interface import Voice
from unisono.lm.draws import GeneratorDraws
from unisono.text import split_sentences


@torch.inference_mode()
def reference_say(
    tts: TadaSpeech,
    text: str,
    *,
    voice: Voice | None = None,
    seed: int = 0,
    steps: int | None = None,
    separate: bool = False,
    model: TadaForCausalLM | None = None,
    options: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Speak a text the published way, sentence after sentence.

    Args:
        tts: whose tokenizer, card, voice and decoder are used.
        steps: solver steps a token; None = as `options` or the card have it.
        separate: see `reference_slots`.
        model: its language model in float32 where `tts` holds another number format.
        options: as for `TadaSpeech.say`; one pass, so without `speed`.

    Returns:
        float32 [N], what `tts.say` gives with the same arguments in float32, but for the joints of several sentences,
        which it softens.

    Raises:
        InputError: an option beyond the plain loop.
    """
    model, card = model or tts.model, tts.card
    chosen, draws = make_options(card, {**(options or {}), "steps": steps}), GeneratorDraws.seeded([seed])
    if chosen.speed != 1 or chosen.speed_up_factor is not None:
        raise InputError("the reference loop speaks at the model's own speed: leave speed away")
    prompt = voice_prompt(model, voice or tts.default_voice, card.speaker_prompt)
    pieces = []
    for span in split_sentences(text):
        ids = spell(
            text[span.start : span.end],
            tts.tokenizer,
            style=card.style,
            language=card.language,
            leading_space=card.leading_space,
        ).ids
        plan, first = plan_sentence(
            model,
            prompt,
            ids,
            chosen,
            transition_steps=card.transition_steps,
            show_prompt_text=card.show_prompt_text,
            max_gap=card.max_gap,
        )
        slots = reference_slots(model, plan, draws, separate=separate)
        pieces.append(_sound(tts, model, slots, first, len(ids)))
    return np.concatenate(pieces)


def _sound(tts: TadaSpeech, model: TadaForCausalLM, slots: Slots, first: int, tokens: int) -> np.ndarray:
    """The slots of one sentence, from the voice's last token on, as sound that ends at the mark of the end token."""
    card, config = tts.card, model.config
    vectors = (
        slots.vectors[0, first : first + tokens + 1 + card.end_vector] * config.acoustic_std + config.acoustic_mean
    )
    before = slots.before[0, first : first + tokens + 2].tolist()
    silence = [before[-1]] if card.end_vector else []
    wave = reference_sound(tts.model.decoder, vectors, torch.tensor([*before, *silence]))
    frames = sum(max(gap, 1) for gap in before[: tokens + 1]) - before[0] + max(before[-1], 1)
    samples = frames * HOP
    return functional.pad(wave[:samples], (0, max(samples - len(wave), 0))).cpu().numpy()
