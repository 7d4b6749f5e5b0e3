"""How much a sentence sounds like the voice it was given: the score of online rejection (TADA, spec section 12).

With a speaker network ("spkr-verf") it is the cosine between the mean embeddings of the sentence's and the voice's
vectors, as the scorer `spkr_verification` has it. Without one it is the cosine between voice prints
(`audio.speaker`) of the sentence and of the voice, decoded from its vectors by the same decoder.

Axes: T tokens, A vector width, E embedding width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from unisono.audio.speaker import similarity, voice_print
from unisono.errors import InputError
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.options import SpeakOptions
from unisono.families.tada.plan import speaker_embedder
from unisono.families.tada.render import expand
from unisono.families.tada.voice_prompt import VoicePrompt
from unisono.interface import Audio, Speech
from unisono.lm.candidates import reference_embedding


@dataclass(frozen=True)
class Likeness:
    """`measure` is (vectors [T, A] normalised, speech) -> −1 to 1."""

    measure: Callable[[torch.Tensor, Speech], float]

    @torch.inference_mode()
    def score(self, vectors: torch.Tensor, speech: Speech) -> float:
        """How alike speech and voice are, at most 1."""
        return round(self.measure(vectors, speech), 4)


def find_likeness(
    model: TadaForCausalLM, prompt: VoicePrompt, options: SpeakOptions, sample_rate: int
) -> Likeness | None:
    """The score of sentences against a voice, None where no threshold asks for it.

    Raises:
        InputError: there is no voice to compare with. CheckpointError: a speaker network that is damaged.
    """
    return None if options.speaker_threshold is None else likeness_to(model, prompt, sample_rate)


@torch.inference_mode()
def likeness_to(model: TadaForCausalLM, prompt: VoicePrompt, sample_rate: int) -> Likeness:
    """The score of sentences against a voice. Raises InputError when there is no voice to compare with."""
    if not prompt.ids:
        raise InputError("speaker_threshold compares with a voice, and there is none: name one, or leave it away")
    if model.can_verify:
        embed = speaker_embedder(model, model.speaker_scorer)
        reference = reference_embedding(embed, prompt.vectors)

        def by_network(vectors: torch.Tensor, _: Speech) -> float:
            return float((reference_embedding(embed, vectors[None]) * reference).sum())

        return Likeness(by_network)
    wave = _decoded(model, prompt)
    own = voice_print(Audio(wave, sample_rate))

    def by_print(_: torch.Tensor, speech: Speech) -> float:
        return similarity(voice_print(Audio(speech.audio, speech.sample_rate)), [own])

    return Likeness(by_print)


def _decoded(model: TadaForCausalLM, prompt: VoicePrompt) -> np.ndarray:
    """The voice as the model's decoder renders it, float32 [N]."""
    vectors = prompt.vectors[0].float() * model.config.acoustic_std + model.config.acoustic_mean
    positions = prompt.positions[0]
    gaps = torch.cat([positions[:1], positions.diff(), positions.new_ones(1)])
    expanded, masks = expand(vectors, gaps)
    return model.decoder(expanded, masks)[0, 0].float().cpu().numpy()
