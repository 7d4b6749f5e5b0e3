"""Speaking on from a recording: text and sound are invented together until the turn ends (TADA, spec section 15).

The recording is the voice, its text is shown. What is invented begins where the recording ends: the gap from its last
mark to the first new one is at least what is left of the recording.

Axes: T tokens of the recording, n invented ones, V vocabulary, N samples.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from unisono.audio import resample
from unisono.errors import InputError
from unisono.families.edits import beginning
from unisono.families.joining import speech_of
from unisono.families.spelling import Spelled
from unisono.families.tada.breaks import Line
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.options import SpeakOptions
from unisono.families.tada.plan import Invention, Plan, make_plan
from unisono.families.tada.prompt import prompt_tables, sequence_ids
from unisono.families.tada.render import HOP
from unisono.families.tada.sentence import Speaker, Take, best_take, render_line
from unisono.families.tada.timing import Tempo
from unisono.families.tada.voice_prompt import VoicePrompt, prompt_prefix, speaker_scorer
from unisono.families.tada.work import Task, Work, alone, passes
from unisono.interface import AlignedTokens, Audio, Span, Speech, Tokenizer

LEAST = 1  # tokens: a finished sentence is followed by another, not by nothing
MOST = 2000  # tokens of one continuation
FADE = 120  # samples (5 ms) over which the continuation comes in: a recording may end in the middle of a sound


def check_count(tokens: int) -> None:
    """Raise InputError for a number of tokens that cannot be made up."""
    if not isinstance(tokens, int) or isinstance(tokens, bool) or not 1 <= tokens <= MOST:
        raise InputError(f"tokens is {tokens!r}, wanted is a whole number from 1 to {MOST}")


def speakable(tokenizer: Tokenizer, vocabulary: int) -> torch.Tensor:
    """Which ids of a model's vocabulary are text or end a turn: bool [V]; all others must not be spoken."""
    allowed = torch.zeros(vocabulary, dtype=torch.bool)
    for token in range(min(tokenizer.vocab_size, vocabulary)):
        allowed[token] = bool(tokenizer.decode([token]))
    allowed[[tokenizer.bos_id, tokenizer.pad_id, tokenizer.start_header_id, tokenizer.end_header_id]] = False
    allowed[[tokenizer.eot_id, tokenizer.eos_id]] = True
    return allowed


def continue_speech(speaker: Speaker, pieces: AlignedTokens, tokens: int, allowed: torch.Tensor) -> Speech:
    """What comes after a recording. See `best_take` for what it warns of; another take has another text.

    Args:
        speaker: its prompt is the recording. pieces: the recording's.
        tokens: at most so many are invented. allowed: of `speakable`.

    Raises:
        GenerationError: a value that is not finite.
    """
    work = best_take(speaker, "the continuation", lambda: _take(speaker, pieces, tokens, allowed))
    return alone(speaker.model, work).speech


def _take(speaker: Speaker, pieces: AlignedTokens, tokens: int, allowed: torch.Tensor) -> Work[Take]:
    """One take."""
    model, options = speaker.model, speaker.options
    left = pieces.frames - int(pieces.positions[-1])  # frames of the recording after its last mark
    plan, last = _plan(model, speaker.prompt, options, tokens, allowed, left)
    slots = yield from passes(model, Task(plan, speaker.draws, speaker.watch))
    ids = slots.text_ids[0, last + 1 : -model.config.shift_acoustic].tolist()
    script = Line(ids, list(range(len(ids))), plan.tempos[0])
    audio, positions = render_line(speaker, "the continuation", script, slots, last)
    samples = audio.samples[left * HOP :].copy()
    samples[:FADE] *= np.linspace(0, 1, FADE, endpoint=False, dtype=np.float32)[: len(samples)]
    speech = speech_of(
        _spelled(model.tokenizer, ids),
        [position - left for position in positions],
        Audio(samples, audio.sample_rate),
        speaker.card.word_lead,
    )
    return Take(speech, slots.vectors[0, last + 1 : last + 1 + len(ids)], ids, positions)


@torch.inference_mode()
def _plan(
    model: TadaForCausalLM, prompt: VoicePrompt, options: SpeakOptions, tokens: int, allowed: torch.Tensor, left: int
) -> tuple[Plan, int]:
    """A generation that invents text after a prompt, and the slot of the prompt's last token."""
    if options.speed_up_factor is not None:
        options = replace(options, speed=options.speed * options.speed_up_factor, speed_up_factor=None)
    prefix, shift = prompt_prefix(model, prompt, options), model.config.shift_acoustic
    ids = sequence_ids(model.tokenizer, prefix, prompt.ids, 0).to(model.device)
    dropped = min(options.transition_steps or 0, len(prompt.ids))  # the sound is there: by default none is made anew
    tables = prompt_tables(prompt.vectors, prompt.positions, len(prefix), dropped, model.config.num_time_classes)
    most = ids.shape[1] + tokens + shift
    scorer = speaker_scorer(model, options)
    plan = make_plan(
        model,
        model.tokenizer,
        ids,
        tables,
        options,
        steps=most,
        show_prompt_text=True,
        scorer=scorer,
        draw_all=False,
    )
    last = len(prefix) + len(prompt.ids) - 1
    ends = (model.tokenizer.eot_id, model.tokenizer.eos_id)
    return replace(
        plan,
        prefill=min(plan.prefill, ids.shape[1] - 1),  # the last known token is stepped, to see what follows it
        tempos=(Tempo(last + 1, [options.speed] * (tokens + 1), least={0: left + 1}),),
        invention=Invention(allowed.to(model.device), ends, LEAST, tokens),
    ), last


def _spelled(tokenizer: Tokenizer, ids: list[int]) -> Spelled:
    """Invented ids with their text; a token that only begins a character shows nothing yet."""
    text = tokenizer.decode(ids)
    ends = [beginning(text, tokenizer.decode(ids[: count + 1])) for count in range(len(ids))]
    ends[-1:] = [len(text)]
    spans = [Span(start, max(start, end)) for start, end in pairwise([0, *np.maximum.accumulate(ends).tolist()])]
    return Spelled(text, text, ids, [text[span.start : span.end] for span in spans], spans)


def with_recording(speech: Speech, sound: Audio, pieces: AlignedTokens, heard: Spelled, lead: float) -> Speech:
    """A recording, at the model's rate, and what comes after it, as one speech."""
    samples = resample(sound, speech.sample_rate).samples[: pieces.frames * HOP]
    samples = np.pad(samples, (0, pieces.frames * HOP - len(samples))).astype(np.float32)
    shift = len(heard.source)
    new = [token._replace(position=token.position + pieces.frames) for token in speech.tokens]
    source, spans, at = heard.source + speech.text, list(heard.spans), shift
    for token in new:
        spans.append(Span(at, at + len(token.text)))
        at += len(token.text)
    both = Spelled(
        source,
        heard.spoken + speech.text,
        heard.ids + [token.id for token in new],
        heard.texts + [token.text for token in new],
        spans,
    )
    positions = [*pieces.positions.tolist(), *(token.position for token in new)]
    sound = Audio(np.concatenate([samples, speech.audio]), speech.sample_rate)
    return replace(speech_of(both, positions, sound, lead), speaker_scores=speech.speaker_scores)
