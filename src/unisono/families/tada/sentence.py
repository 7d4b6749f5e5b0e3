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
from unisono.families.tada.plan import Plan, Slots
from unisono.families.tada.render import HOP, render
from unisono.families.tada.state import Observer
from unisono.families.tada.timing import Allowance
from unisono.families.tada.voice_prompt import VoicePrompt, plan_sentence
from unisono.families.tada.windows import fit
from unisono.families.tada.work import Task, Work, alone, passes
from unisono.interface import Audio, Speech
from unisono.lm.draws import Draws

SPARE_TOKENS = 4  # a text of one token may take as long as five


@dataclass(frozen=True)
class Speaker:
    """What stays the same from sentence to sentence.

    Attributes:
        likeness: how much a take sounds like the voice; None = nobody asked.
        watch: is called with every record of the sampling loop.
    """

    model: TadaForCausalLM
    card: Card
    prompt: VoicePrompt
    options: SpeakOptions
    draws: Draws
    likeness: Likeness | None = None
    watch: Observer | None = None


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
    return alone(speaker.model, speaking(speaker, spelled))


def speaking(speaker: Speaker, spelled: Spelled) -> Work[Take]:
    """`speak_sentence` as work."""
    return best_take(speaker, spelled.source, lambda: _take(speaker, spelled))


def after(speaker: Speaker, voice: VoicePrompt, take: Take) -> Speaker:
    """The speaker of the sentence after a take: the take's last tokens follow the voice, so that its melody goes on."""
    count = min(speaker.card.carry, len(take.ids))
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
        carried=count,
    )
    return replace(speaker, prompt=prompt)


def best_take(speaker: Speaker, source: str, take: Callable[[], Work[Take]]) -> Work[Take]:
    """One take, or with a speaker threshold as many as it needs to sound like the voice; the best of them.

    Args:
        source: what messages call it. take: makes another one every time.

    Warns:
        GenerationWarning: no take was enough like the voice.
    """
    if speaker.likeness is None:
        return (yield from take())
    options, best, scores = speaker.options, None, []
    while len(scores) <= options.retries:
        made = yield from take()
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


def _take(speaker: Speaker, spelled: Spelled) -> Work[Take]:
    """One take."""
    planned = lay_out(speaker, spelled)
    slots = yield from passes(speaker.model, Task(planned.plan, speaker.draws, speaker.watch))
    return rendered_take(speaker, spelled, planned, slots)


class Planned(NamedTuple):
    """How a sentence will be spoken: `script`, its `plan`, and the slot `last` of what was spoken before it."""

    script: Line
    plan: Plan
    last: int


@torch.inference_mode()
def lay_out(speaker: Speaker, spelled: Spelled) -> Planned:
    """Plan a sentence."""
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
    return Planned(script, plan, last)


@torch.inference_mode()
def rendered_take(speaker: Speaker, spelled: Spelled, planned: Planned, slots: Slots) -> Take:
    """The take of a sentence's slots."""
    script, last = planned.script, planned.last
    audio, positions = render_line(speaker, spelled.source, script, slots, last)
    shown = [positions[index] for index in script.shown]
    speech = speech_of(spelled, shown, audio, speaker.card.word_lead, running=True)
    return Take(speech, slots.vectors[0, last + 1 : last + 1 + len(script.ids)], script.ids, positions)


@torch.inference_mode()
def render_line(speaker: Speaker, source: str, script: Line, slots: Slots, last: int) -> tuple[Audio, list[int]]:
    """The sound of a line's slots, and the 1-based frames [n] of their marks in it.

    Args:
        source: what messages call the line. last: slot of what was spoken before the line's first token.
    """
    model, card, count = speaker.model, speaker.card, len(script.ids)
    drawn = slots.vectors[0, last : last + count + 1 + card.end_vector].float()
    vectors = drawn * model.config.acoustic_std + model.config.acoustic_mean
    before = slots.before[0, last : last + count + 2]  # with the end token's
    allowed, gaps = allowance(speaker, script), before.tolist()
    gaps[1:] = [allowed.spend(gap, frames) for gap, frames in enumerate(gaps[1:])]
    warn_of_cut(speaker, source, allowed)
    before = torch.tensor(gaps, device=before.device)
    end = before[-1:]
    rendered = render(model.decoder, vectors, torch.cat([before, end]) if card.end_vector else before)
    positions = rendered.positions[1 : count + 1].tolist()
    # Never less than a frame, so that the last mark lies inside; what the renderer adds behind the end is cut.
    frames = positions[-1] + max(int(end), 1)
    return Audio(fit(rendered.audio, frames * HOP), card.sample_rate), positions


def allowance(speaker: Speaker, script: Line) -> Allowance:
    """The longest time that a line may take."""
    count = len(script.ids)
    most = int((count + SPARE_TOKENS) * speaker.options.token_seconds * FRAMES_PER_SECOND)
    return Allowance(script.tempo, count + 1, most)


def warn_of_cut(speaker: Speaker, source: str, allowed: Allowance) -> None:
    """Say that gaps were cut, if they were."""
    if not allowed.cut:
        return
    warnings.warn(
        f"{source.strip()[:30]!r} came out {allowed.drawn / FRAMES_PER_SECOND:.1f} seconds long and was cut to "
        f"{allowed.spent / FRAMES_PER_SECOND:.1f} (token_seconds is {speaker.options.token_seconds:g}): its sound is "
        "not to be trusted",
        GenerationWarning,
        stacklevel=2,
    )
