"""One sentence: planned, generated, rendered, and spoken again where its speaker is not like the voice (TADA).

Axes: T tokens of the text, n tokens that are spoken, A vector width, N samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from unisono.errors import GenerationWarning
from unisono.families.joining import FRAMES_PER_SECOND, speech_of
from unisono.families.spelling import Spelled
from unisono.families.tada.breaks import Line, line
from unisono.families.tada.card import Card
from unisono.families.tada.likeness import Likeness
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.options import SpeakOptions
from unisono.families.tada.plan import Slots
from unisono.families.tada.published import run
from unisono.families.tada.render import HOP, render
from unisono.families.tada.silences import settle
from unisono.families.tada.state import Observer
from unisono.families.tada.timing import cap_total
from unisono.families.tada.voice_prompt import VoicePrompt, plan_sentence
from unisono.families.tada.windows import fit
from unisono.interface import Audio, Speech
from unisono.lm.draws import Draws

SPARE_TOKENS = 4  # a text of one token may take as long as five


@dataclass(frozen=True)
class Speaker:
    """What stays the same from sentence to sentence.

    Attributes:
        likeness: how much a take sounds like the voice; None = nobody asked.
        watch: is called with every record of the sampling loop.
        quiet: seconds of silence that end the sentence before.
    """

    model: TadaForCausalLM
    card: Card
    prompt: VoicePrompt
    options: SpeakOptions
    draws: Draws
    likeness: Likeness | None = None
    watch: Observer | None = None
    quiet: float = 0.0


class Take(NamedTuple):
    """A speech, and what it was made of: `ids` [n], vectors [n, A], normalised, `positions` [n], 1-based frames."""

    speech: Speech
    vectors: torch.Tensor
    ids: list[int]
    positions: list[int]


def speak_sentence(speaker: Speaker, spelled: Spelled) -> Take:
    """Speak one sentence; it ends at the mark of the end token. See `best_take` for what it warns of.

    Raises:
        GenerationError: a value that is not finite.
    """
    return best_take(speaker, spelled.source, lambda: _take(speaker, spelled))


def after(speaker: Speaker, voice: VoicePrompt, take: Take) -> Speaker:
    """The speaker of the sentence after a take: the take's last tokens follow the voice, so that its melody goes on."""
    count = min(speaker.card.carry, len(take.ids))
    speaker = replace(speaker, quiet=take.speech.duration - take.speech.words[-1].end if take.speech.words else 0.0)
    if count == 0:
        return speaker
    frames = torch.tensor([take.positions[-count:]], device=voice.positions.device)
    before = take.positions[-count - 1] if count < len(take.ids) else 0
    start = int(voice.positions[0, -1]) if voice.ids else 0
    prompt = VoicePrompt(
        [*voice.ids, *take.ids[-count:]],
        torch.cat([voice.vectors, take.vectors[None, -count:].to(voice.vectors)], 1),
        torch.cat([voice.positions, frames - before + start], 1),
        voice.system,
    )
    return replace(speaker, prompt=prompt)


def best_take(speaker: Speaker, source: str, take: Callable[[], Take]) -> Take:
    """One take, or with a speaker threshold as many as it needs to sound like the voice; the best of them.

    Args:
        source: what messages call it. take: makes another one every time.

    Warns:
        GenerationWarning: no take was enough like the voice.
    """
    if speaker.likeness is None:
        return take()
    options, best, scores = speaker.options, None, []
    while len(scores) <= options.retries:
        made = take()
        scores.append(speaker.likeness.score(made.vectors, made.speech))
        if best is None or scores[-1] > max(scores[:-1]):
            best = made
        if scores[-1] >= options.speaker_threshold:
            break
    else:
        warnings.warn(
            f"no take of {source.strip()[:30]!r} reached the speaker threshold {options.speaker_threshold:g}: "
            f"the best of {len(scores)} scores {max(scores):.2f} and is kept",
            GenerationWarning,
            stacklevel=2,
        )
    return best._replace(speech=replace(best.speech, speaker_scores=[scores]))


@torch.inference_mode()
def _take(speaker: Speaker, spelled: Spelled) -> Take:
    """One take."""
    model, card = speaker.model, speaker.card
    script = line(spelled, speaker.options.speed, model.tokenizer.encode(card.pause_text) if card.pause_text else [])
    plan, last = plan_sentence(
        model,
        speaker.prompt,
        script.ids,
        speaker.options,
        transition_steps=card.transition_steps,
        show_prompt_text=card.show_prompt_text,
        max_gap=card.max_gap,
        tempo=script.tempo,
    )
    slots = run(model, plan, speaker.draws, speaker.watch)
    vectors, before = line_slots(speaker, spelled.source, script, slots, last)

    def speak(gaps: torch.Tensor) -> tuple[Speech, list[int]]:
        audio, positions = render_line(speaker, script, vectors, gaps)
        return speech_of(spelled, [positions[index] for index in script.shown], audio, card.word_lead), positions

    speech, positions = settle(speak, before, script.silences, speaker.quiet)
    return Take(speech, slots.vectors[0, last + 1 : last + 1 + len(script.ids)], script.ids, positions)


def line_slots(
    speaker: Speaker, source: str, script: Line, slots: Slots, last: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a line is rendered from: vectors [n + 1 or n + 2, A] as the decoder takes them, and gaps int64 [n + 2].

    Args:
        source: what messages call the line. last: slot of what was spoken before the line's first token.
    """
    model, count = speaker.model, len(script.ids)
    drawn = slots.vectors[0, last : last + count + 1 + speaker.card.end_vector].float()
    before = slots.before[0, last : last + count + 2]  # with the end token's
    vectors = drawn * model.config.acoustic_std + model.config.acoustic_mean
    return vectors, _capped(before, script, speaker.options.token_seconds, source)


def render_line(speaker: Speaker, script: Line, vectors: torch.Tensor, before: torch.Tensor) -> tuple[Audio, list[int]]:
    """The sound of a line, and the 1-based frames [n] of its marks in it. Arguments are what `line_slots` gives."""
    card, count = speaker.card, len(script.ids)
    end = before[-1:]
    rendered = render(speaker.model.decoder, vectors, torch.cat([before, end]) if card.end_vector else before)
    positions = rendered.positions[1 : count + 1].tolist()
    # Never less than a frame, so that the last mark lies inside; what the renderer adds behind the end is cut.
    frames = positions[-1] + max(int(end), 1)
    return Audio(fit(rendered.audio, frames * HOP), card.sample_rate), positions


def _capped(before: torch.Tensor, script: Line, seconds: float, source: str) -> torch.Tensor:
    """Gaps [n + 2], the drawn ones among them cut to the longest time that a text may take."""
    most = int((len(script.ids) + SPARE_TOKENS) * seconds * FRAMES_PER_SECOND)
    if int(before[1:].sum()) <= most:
        return before
    gaps = before.tolist()
    free = [index for index in range(1, len(gaps)) if not script.tempo.forced(index - 1)]
    drawn = [gaps[index] for index in free]
    if sum(drawn) <= most:
        return before
    for index, gap in zip(free, cap_total(drawn, most), strict=True):
        gaps[index] = gap
    warnings.warn(
        f"{source.strip()[:30]!r} came out {sum(drawn) / FRAMES_PER_SECOND:.1f} seconds long and was cut to "
        f"{most / FRAMES_PER_SECOND:.1f} (token_seconds is {seconds:g}): its sound is not to be trusted",
        GenerationWarning,
        stacklevel=2,
    )
    return torch.tensor(gaps, device=before.device)
