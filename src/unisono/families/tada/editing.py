"""Words of a recording replaced, removed or added, in the same voice: new vectors in place, the others untouched.

The recording is encoded; for every edit the language model reads the tokens before it (a voice prompt that is the
recording itself) and the text behind it, and makes vectors and gaps of the new tokens. Tokens that stay keep their
vector, and the gap to whatever stands before them: in a recording it tells how long they are and what pause precedes
them.

Axes: T tokens of the recording, U tokens of the result, n new tokens, A vector width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from unisono.errors import GenerationError, InputError
from unisono.families.checks import check_text
from unisono.families.edits import Edit, apply_edits, beginning, find_edits
from unisono.families.joining import speech_of
from unisono.families.spelling import Spelled, warn_of_unread
from unisono.families.tada.card import make_options
from unisono.families.tada.options import SpeakOptions
from unisono.families.tada.progress import Counter, Progress
from unisono.families.tada.published import run
from unisono.families.tada.splicing import decode_spliced
from unisono.families.tada.voice_prompt import VoicePrompt, check_pieces, plan_sentence
from unisono.families.tada.windows import Grid, fit
from unisono.interface import AlignedTokens, Audio, Speech
from unisono.lm.draws import Draws, GeneratorDraws

if TYPE_CHECKING:
    from pathlib import Path

    from unisono.families.tada.card import Card
    from unisono.families.tada.model import TadaForCausalLM
    from unisono.families.tada.speech import TadaSpeech

MOST = 2000  # tokens that one edit makes
LONGEST_TOKEN = 20  # characters, generously: what is longer is refused unread

CONTEXT = 750  # frames of the recording that the model hears before an edit: 15 seconds
LEAST_CONTEXT = 250  # with less than 5 seconds before the edit, what follows it is heard first
CONTEXT_TOKENS = 300
NEW = -1  # where a token comes from that is in no recording
Spell = Callable[[str], Spelled]


class Cut(NamedTuple):
    """One edit in tokens: the tokens [start, stop) go, and `ids` [n] come; `ahead` are the ids behind them."""

    start: int
    stop: int
    ids: list[int]
    ahead: list[int]


@dataclass(frozen=True)
class Pieces:
    """Tokens of a recording in editing: ids [U], vectors [U, A] (not normalised), gaps [U] in frames (the first from
    frame 0), `origins` [U], the token of the recording or `NEW`, and the frames behind the last mark."""

    ids: list[int]
    vectors: torch.Tensor
    gaps: list[int]
    origins: list[int]
    tail: int

    def positions(self) -> torch.Tensor:
        """1-based frames int64 [U]."""
        return torch.tensor(self.gaps).cumsum(0)


def edit_recording(
    tts: TadaSpeech,
    recording: str | Path | Audio | AlignedTokens,
    text: str,
    words: tuple[Any, Any, Any],
    seed: int,
    progress: Progress | None,
    given: dict[str, Any],
) -> tuple[Speech, AlignedTokens]:
    """Edit a recording that says `text`; `words` are those to replace, to delete and to insert after (`find_edits`)."""
    encoded = isinstance(recording, AlignedTokens)
    edits = find_edits(check_text(recording.text if encoded else text), *words)
    options = make_options(tts.card, given)
    for edit in edits:
        if edit.new:
            check_new_words(tts, edit.new)
    if encoded:
        tts.recordings.maker.check(recording, "these tokens")
        check_pieces(tts.model, recording, "these tokens")
    tokens = recording if encoded else tts.encode(recording, text=text)
    edited = edit_tokens(tts.model, tts.card, tokens, edits, tts.spell, options, seed=seed, progress=progress)
    positions = edited.tokens.positions.tolist()
    return speech_of(edited.spelled, positions, edited.audio, tts.card.word_lead), edited.tokens


def check_new_words(tts: TadaSpeech, new: str) -> None:
    """What cannot be read, or is more than an edit, is refused before the recording is read. Raises InputError."""
    if len(new) > MOST * LONGEST_TOKEN:
        raise InputError(f"the new words are {len(new)} characters, an edit makes words and sentences: use say")
    spelled = tts.spell(check_text(new))
    warn_of_unread(spelled)
    if (count := len(spelled.ids)) > MOST:
        raise InputError(f"the new words are {count} tokens, one edit makes at most {MOST}: make several, or use say")


class Edited(NamedTuple):
    """The result: its tokens, sound [N] and spelling; `origins` [U], the recording's token behind each, or `NEW`."""

    tokens: AlignedTokens
    audio: Audio
    spelled: Spelled
    origins: list[int]


def pieces_of(tokens: AlignedTokens) -> Pieces:
    """A recording as pieces."""
    gaps = tokens.positions.diff(prepend=torch.zeros(1, dtype=torch.long)).tolist()
    count = len(gaps)
    return Pieces(
        tokens.text_ids.tolist(), tokens.vectors, gaps, list(range(count)), tokens.frames - int(tokens.positions[-1])
    )


def cuts(text: str, edits: Sequence[Edit], spell: Spell) -> list[Cut]:
    """The edits in tokens, to be made one after the other.

    Tokens that the edited text spells otherwise, though their letters stay, count as edited. So does a token of white
    space or punctuation beside an edited word: what it holds is how that word begins or ends.
    """
    found, old = [], spell(text)
    for index, edit in enumerate(edits):
        shift = len(apply_edits(text, edits[:index])) - len(text)
        start, stop = edit.span.start + shift, edit.span.end + shift
        new = spell(apply_edits(text, edits[: index + 1]))
        behind = stop + len(new.source) - len(old.source)  # where the text behind the edit begins in the new text
        before = beginning(
            [i for i, span in zip(old.ids, old.spans, strict=True) if span.end <= start],
            [i for i, span in zip(new.ids, new.spans, strict=True) if span.end <= start],
        )
        after = beginning(
            [i for i, span in zip(old.ids, old.spans, strict=True) if span.start >= stop][::-1],
            [i for i, span in zip(new.ids, new.spans, strict=True) if span.start >= behind][::-1],
        )
        after = min(after, len(old.ids) - before, len(new.ids) - before)
        if before + after < max(len(old.ids), len(new.ids)):
            before -= before > 0 and _is_seam(old.texts[before - 1])
            after -= after > 0 and _is_seam(old.texts[-after])
        stays = len(new.ids) - after
        found.append(Cut(before, len(old.ids) - after, new.ids[before:stays], new.ids[stays:]))
        old = new
    return found


def _is_seam(text: str) -> bool:
    """Whether a token speaks no letter or digit of its own."""
    return not any(character.isalnum() for character in text)


def edit_tokens(
    model: TadaForCausalLM,
    card: Card,
    tokens: AlignedTokens,
    edits: Sequence[Edit],
    spell: Spell,
    options: SpeakOptions,
    *,
    seed: int,
    progress: Progress | None,
) -> Edited:
    """Make the edits of a recording's text in its tokens, and sound of that.

    Args:
        edits: of `tokens.text`, in order. spell: text -> tokens.

    Raises:
        GenerationError: a value that is not finite.
    """
    draws = GeneratorDraws.seeded([seed])
    steps, pieces = cuts(tokens.text, edits, spell), pieces_of(tokens)
    watch = Counter(progress, sum(len(step.ids) + model.config.shift_acoustic for step in steps if step.ids))
    for step in steps:
        vectors, gaps = pieces.vectors[:0], []
        if step.ids:
            vectors, gaps = _speak(model, card, pieces, step, options, draws, watch)
        pieces = _put(pieces, step, vectors, gaps)
    watch.finish()
    positions = pieces.positions()
    frames = int(positions[-1]) + pieces.tail
    hop = tokens.sample_rate // 50
    edited = replace(
        tokens,
        text_ids=torch.tensor(pieces.ids),
        vectors=pieces.vectors,
        positions=positions,
        frames=frames,
        samples=max(tokens.samples + (frames - tokens.frames) * hop, hop),
        text=apply_edits(tokens.text, edits),
    )
    wave = decode_spliced(model.decoder, _grid(tokens, model), _grid(edited, model), pieces.origins)
    if not bool(torch.isfinite(wave).all()):
        raise GenerationError("the decoder made a value that is not a finite number: the decoder is damaged")
    audio = Audio(fit(wave, edited.samples), tokens.sample_rate)
    return Edited(edited, audio, spell(edited.text), pieces.origins)


def _grid(tokens: AlignedTokens, model: TadaForCausalLM) -> Grid:
    return Grid(tokens.vectors.to(model.device), tokens.positions - 1, tokens.frames)


def _put(pieces: Pieces, cut: Cut, vectors: torch.Tensor, gaps: list[int]) -> Pieces:
    """The pieces with a cut made: vectors [n, A] and gaps [n] of the new tokens in place of the old ones.

    The silence that a recording begins with stays as long as it was.
    """
    start, stop = cut.start, cut.stop
    joined = [*pieces.gaps[:start], *gaps, *pieces.gaps[stop:]]
    if start == 0:
        joined[0] = pieces.gaps[0]
    return Pieces(
        [*pieces.ids[:start], *cut.ids, *pieces.ids[stop:]],
        torch.cat([pieces.vectors[:start], vectors, pieces.vectors[stop:]]),
        joined,
        [*pieces.origins[:start], *[NEW] * len(gaps), *pieces.origins[stop:]],
        pieces.tail,
    )


def _context(pieces: Pieces, cut: Cut) -> list[int]:
    """Tokens that the model hears before an edit: those right before it; where they are few, the recording first."""
    left = _last(pieces.gaps, range(cut.start), CONTEXT, CONTEXT_TOKENS)
    heard = sum(pieces.gaps[token] for token in left)
    if heard >= LEAST_CONTEXT:
        return left
    ends = list(accumulate(pieces.gaps))
    whole = [token for token, end in enumerate(ends) if end <= CONTEXT - heard][: CONTEXT_TOKENS - len(left)]
    return [*whole, *left]


def _last(gaps: Sequence[int], tokens: range, frames: int, most: int) -> list[int]:
    """The last of some tokens, as many as last so many frames."""
    kept: list[int] = []
    for token in reversed(tokens):
        if len(kept) >= most or sum(gaps[t] for t in kept) + gaps[token] > frames:
            break
        kept.append(token)
    return kept[::-1]


@torch.inference_mode()
def _speak(
    model: TadaForCausalLM,
    card: Card,
    pieces: Pieces,
    cut: Cut,
    options: SpeakOptions,
    draws: Draws,
    watch: Counter,
) -> tuple[torch.Tensor, list[int]]:
    """Vectors [n, A], not normalised, and gaps [n] of the new tokens of a cut."""
    heard, config = _context(pieces, cut), model.config
    gaps = torch.tensor([pieces.gaps[token] for token in heard], dtype=torch.long)
    vectors = (pieces.vectors[heard] - config.acoustic_mean) / config.acoustic_std
    prompt = VoicePrompt(
        [pieces.ids[token] for token in heard],
        vectors[None].to(model.device, model.dtype),
        gaps.clamp_min(1).cumsum(0)[None].to(model.device),
    )
    count, shift = len(cut.ids), config.shift_acoustic
    ahead = cut.ahead[: 2 * shift]  # more than the model looks ahead
    plan, last = plan_sentence(
        model,
        prompt,
        [*cut.ids, *ahead],
        replace(options, transition_steps=0),  # what is kept is kept
        transition_steps=0,
        show_prompt_text=card.show_prompt_text,
        max_gap=card.max_gap,
    )
    slots = run(model, replace(plan, steps=last + count + shift + 1), draws, watch)
    new = slice(last + 1, last + 1 + count)
    made = slots.vectors[0, new].float() * config.acoustic_std + config.acoustic_mean
    before = torch.round(slots.before[0, new] / options.speed).long().clamp_min(1)
    return made.to(pieces.vectors), before.tolist()
