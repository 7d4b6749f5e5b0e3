"""A sentence that is heard while it is still being made (TADA).

A slot settles the frames up to its mark: a hidden frame sees the vector of the mark that closes its block, and blocks
before. So whatever lies the head's margin before the newest mark is final, and it is rendered as `windows` renders
pieces of a long sound; the phase of the harmonic source goes from piece to piece. Together the pieces are what
`sentence.render_line` gives at once.

Axes: T marks, A vector width, N samples.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from unisono.families.joining import Teller, shift, soften
from unisono.families.spelling import Spelled
from unisono.families.tada.heads import HOP, SILENT
from unisono.families.tada.sentence import (
    Planned,
    Speaker,
    Take,
    after,
    allowance,
    lay_out,
    speaking,
    warn_of_cut,
)
from unisono.families.tada.state import State
from unisono.families.tada.windows import Grid, decode_stretch, fit, hidden_frames
from unisono.families.tada.work import Task, Work, passes
from unisono.interface import Speech

FIRST = 8  # frames of the first piece: 160 ms
GROWTH = 3
LARGEST = 500  # frames of a piece


class Ladder:
    """How long pieces are, in frames: each `GROWTH` times as long as the one before, up to `LARGEST`.

    Every piece costs the rendering of its surroundings beside its own (27 frames to each side in the built-in model),
    and has to be made while the one before is heard.
    """

    def __init__(self) -> None:
        self.frames = FIRST

    def climb(self) -> None:
        """To the next piece."""
        self.frames = min(GROWTH * self.frames, LARGEST)


class Sounding:
    """The sound of a line whose slots are still being made; numbers alone until a piece is rendered.

    Attributes:
        gaps: frames before each slot from the one before the line on, as they are spoken; the last one is the end
            token's. marks: 0-based frames of the slots on the grid. done: frames of the grid that were handed out.
    """

    def __init__(self, speaker: Speaker, planned: Planned, state: State) -> None:
        self.speaker, self.planned, self.state = speaker, planned, state
        self.decoder = speaker.model.decoder
        self.count = len(planned.script.ids)
        self.width = self.count + 1 + speaker.card.end_vector  # slots that are rendered
        self.allowed = allowance(speaker, planned.script)
        self.gaps: list[int] = []
        self.marks: list[int] = []
        self.done, self.phases = 0, SILENT

    def follow(self) -> None:
        """Take in the slots that are new."""
        first = self.planned.last
        while first + len(self.gaps) < len(self.state.befores) and len(self.gaps) < self.count + 2:
            index = len(self.gaps)
            gap = int(self.state.befores[first + index])
            self.gaps.append(self.allowed.spend(index - 1, gap) if index else gap)
            if index < self.width:
                self.marks.append((self.marks[-1] if index else -1) + max(self.gaps[-1], 1))

    @property
    def lead(self) -> int:
        """Frames of the grid before the line."""
        return self.gaps[0]

    @property
    def positions(self) -> list[int]:
        """1-based frames in the line of the tokens known so far."""
        return [mark + 1 - self.lead for mark in self.marks[1 : self.count + 1]]

    def due(self, frames: int) -> int | None:
        """Where a piece of so many frames would end, None as long as it is not settled."""
        if len(self.gaps) < 2 or len(self.gaps) == self.count + 2:
            return None
        stop = max(self.done, self.lead) + frames
        return stop if stop + self.decoder.wav_decoder.margin <= self.marks[-1] + 1 else None

    def piece(self, stop: int) -> np.ndarray:
        """Samples of the line up to frame `stop` of the grid, all of whose surroundings are known."""
        grid = self._grid(len(self.marks), self.marks[-1] + 1)
        marked = grid.marks()
        if not len(marked) or stop + self.decoder.wav_decoder.margin > int(marked[-1]) + 1:
            return np.zeros(0, np.float32)  # a vector of zeros is no mark: it settles nothing
        return self._rendered(grid, stop)

    def rest(self) -> np.ndarray:
        """All samples that were not handed out, once every slot is there."""
        end = self.gaps[self.count + 1]
        trailing = self.marks[self.width - 1] + 1 + max(end, 0)
        # Never less than a frame behind the last mark; what the end token's vector would add behind the end is cut.
        stop = self.marks[self.count] + 1 + max(end, 1)
        begin = max(self.done, self.lead)
        wave = self._rendered(self._grid(self.width, trailing), min(stop, trailing))
        return fit(torch.from_numpy(wave), (stop - begin) * HOP)

    def _grid(self, slots: int, length: int) -> Grid:
        config, first = self.speaker.model.config, self.planned.last
        drawn = torch.cat(self.state.vectors[first : first + slots]).float()
        return Grid(drawn * config.acoustic_std + config.acoustic_mean, torch.tensor(self.marks[:slots]), length)

    def _rendered(self, grid: Grid, stop: int) -> np.ndarray:
        """Samples [N] of frames up to `stop` that were not handed out."""
        waves, hidden = [], hidden_frames(self.decoder, grid)
        for wave, phases in decode_stretch(self.decoder, hidden, self.done, stop, grid.length, self.phases):
            waves.append(wave)
            self.phases = phases
        skipped = max(self.lead - self.done, 0) * HOP
        self.done = stop
        wave = torch.cat(waves)[skipped:]
        return fit(wave, len(wave))


Emit = Callable[[Speech], None]  # takes a piece whose times count from the start of its sentence


class Listener:
    """Hears a sentence while it is made, and hands out what is settled of it."""

    def __init__(self, speaker: Speaker, spelled: Spelled, ladder: Ladder, emit: Emit) -> None:
        self.speaker, self.ladder, self.emit = speaker, ladder, emit
        self.teller = Teller(spelled, speaker.card.sample_rate, speaker.card.word_lead)
        self.planned = lay_out(speaker, spelled)
        self.sound: Sounding | None = None

    @torch.inference_mode()
    def hear(self, state: State) -> None:
        """Look at a state after a step."""
        if self.sound is None:
            self.sound = Sounding(self.speaker, self.planned, state)
        self.sound.follow()
        while (stop := self.sound.due(self.ladder.frames)) is not None and len(wave := self.sound.piece(stop)):
            self.emit(self.teller.tell(wave, self.marks))
            self.ladder.climb()

    @property
    def marks(self) -> list[int]:
        """1-based frames of the tokens of the text that are known."""
        positions = self.sound.positions
        return [positions[index] for index in self.planned.script.shown if index < len(positions)]

    @torch.inference_mode()
    def finish(self, source: str) -> tuple[Take, np.ndarray]:
        """The take, and its samples that were not handed out."""
        sound, heard = self.sound, list(self.teller.sound)
        wave = sound.rest()
        warn_of_cut(self.speaker, source, sound.allowed)
        first = self.planned.last + 1
        vectors = torch.cat(sound.state.vectors[first : first + sound.count])
        speech = Speech(np.concatenate([*heard, wave]), self.speaker.card.sample_rate, source, [], [])
        return Take(speech, vectors, self.planned.script.ids, sound.positions), wave


def _live(speaker: Speaker, spelled: Spelled, ladder: Ladder, emit: Emit, hold: bool) -> Work[tuple[Take, Speech]]:
    """Speak a sentence in at least two pieces; the last one, of one frame with `hold`, is handed back with the take."""
    if speaker.likeness is None:
        listener = Listener(speaker, spelled, ladder, emit)
        task = Task(listener.planned.plan, speaker.draws, speaker.watch, listener.hear)
        yield from passes(speaker.model, task)
        take, wave = listener.finish(spelled.source)
        teller, marks = listener.teller, listener.marks
    else:  # which take is heard is known when all of them are there
        take = yield from speaking(speaker, spelled)
        wave, marks = take.speech.audio, [token.position for token in take.speech.tokens]
        teller = Teller(spelled, speaker.card.sample_rate, speaker.card.word_lead)
    cuts, begun = [0, len(wave)], bool(teller.sound)
    if not begun:
        cuts.insert(1, HOP * (len(wave) // HOP // 2) or len(wave) // 2)
    if hold and len(wave) - HOP > cuts[-2]:
        cuts.insert(-1, len(wave) - HOP)
    parts = [teller.tell(wave[low:high], marks, high == len(wave)) for low, high in pairwise(cuts)]
    if not begun:
        parts[0] = replace(parts[0], speaker_scores=take.speech.speaker_scores)
    for part in parts[:-1]:
        emit(part)
    return take, parts[-1]


def streaming(speaker: Speaker, sentences: Iterator[Spelled], waits: bool, pieces: deque[Speech]) -> Work[None]:
    """Speak sentences in pieces, which together are what joining those of `saying` gives; times count from the start.

    Args:
        waits: the next sentence may not be there yet when one ends.
    """
    prompt, ladder, place = speaker.prompt, Ladder(), _Place()

    def emit(piece: Speech) -> None:
        pieces.append(place.moved(piece))

    sentence = next(sentences, None)
    while sentence is not None:
        take, closing = yield from _live(speaker, sentence, ladder, emit, hold=waits)
        if waits:
            yield None
        sentence = next(sentences, None)
        pieces.append(soften(place.moved(closing), start=False, end=sentence is not None))
        place.next_sentence()
        speaker = after(speaker, prompt, take)


def saying(speaker: Speaker, sentences: Iterator[Spelled], pieces: deque[Speech]) -> Work[None]:
    """Speak sentences whole; times count from the start of each."""
    prompt, begun = speaker.prompt, False
    sentence = next(sentences, None)
    while sentence is not None:
        take = yield from speaking(speaker, sentence)
        sentence = next(sentences, None)
        pieces.append(soften(take.speech, start=begun, end=sentence is not None))
        yield None
        speaker, begun = after(speaker, prompt, take), True


class _Place:
    """How far a stream has come: samples, those before its sentence, and the last mark."""

    def __init__(self) -> None:
        self.samples = self.sentence = self.mark = 0

    def moved(self, piece: Speech) -> Speech:
        """The next piece with times from the start of the stream; it fades in where it begins a further sentence."""
        starts = self.sentence > 0 and self.samples == self.sentence
        moved = soften(shift(piece, self.sentence, self.mark), start=starts, end=False)
        self.samples += len(piece.audio)
        self.mark = moved.tokens[-1].position if moved.tokens else self.mark
        return moved

    def next_sentence(self) -> None:
        """What comes now is another sentence."""
        self.sentence = self.samples
