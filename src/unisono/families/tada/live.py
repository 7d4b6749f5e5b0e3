"""A sentence that is heard while it is still being made (TADA).

A slot settles the frames up to its mark: a hidden frame sees the vector of the mark that closes its block, and blocks
before. So whatever lies the head's margin before the newest mark is final, and it is rendered as `windows` renders
pieces of a long sound; the phase of the harmonic source goes from piece to piece. Together the pieces are what
`sentence.render_line` gives at once.

Axes: T marks, A vector width, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from unisono.families.joining import Teller, shift, soften
from unisono.families.spelling import Spelled
from unisono.families.tada.generate import start, step
from unisono.families.tada.heads import HOP, SILENT
from unisono.families.tada.published import last_pass
from unisono.families.tada.sentence import (
    Planned,
    Speaker,
    Take,
    after,
    allowance,
    lay_out,
    speak_sentence,
    warn_of_cut,
)
from unisono.families.tada.state import State
from unisono.families.tada.windows import Grid, decode_stretch, fit, hidden_frames
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


def live_pieces(speaker: Speaker, spelled: Spelled, ladder: Ladder, hold: bool) -> Iterator[tuple[Speech, Take | None]]:
    """Speak a sentence in at least two pieces; times count from its start. Warns and raises like `speak_sentence`.

    Args:
        hold: the last piece is one frame, for it may still be changed when the text goes on.

    Yields:
        a piece, and with the last one the take.
    """
    teller = Teller(spelled, speaker.card.sample_rate, speaker.card.word_lead)
    if speaker.likeness is not None:  # which take is heard is known when all of them are there
        take = speak_sentence(speaker, spelled)
        marks = [token.position for token in take.speech.tokens]
        yield from _closing(teller, take, take.speech.audio, marks, hold, False)
        return
    planned, sound = None, None
    for planned, sound in _steps(speaker, spelled):
        sound.follow()
        while (stop := sound.due(ladder.frames)) is not None and len(wave := _piece(sound, stop)):
            yield teller.tell(wave, _shown(planned, sound.positions)), None
            ladder.climb()
    begun = bool(teller.sound)
    wave = _rest(sound)
    warn_of_cut(speaker, spelled.source, sound.allowed)
    first = planned.last + 1
    vectors = torch.cat(sound.state.vectors[first : first + sound.count])
    audio = np.concatenate([*teller.sound, wave])
    speech = Speech(audio, speaker.card.sample_rate, spelled.source, [], [])
    take = Take(speech, vectors, planned.script.ids, sound.positions)
    yield from _closing(teller, take, wave, _shown(planned, sound.positions), hold, begun)


def _closing(
    teller: Teller, take: Take, wave: np.ndarray, marks: list[int], hold: bool, begun: bool
) -> Iterator[tuple[Speech, Take | None]]:
    """The last samples of a sentence, in two pieces where nothing was heard yet or the end is held back."""
    cuts = [0, len(wave)]
    if not begun:
        cuts.insert(1, HOP * (len(wave) // HOP // 2) or len(wave) // 2)
    if hold and len(wave) - HOP > cuts[-2]:
        cuts.insert(-1, len(wave) - HOP)
    for low, high in pairwise(cuts):
        last = high == len(wave)
        piece = teller.tell(wave[low:high], marks, last)
        if low == 0 and not begun:
            piece = replace(piece, speaker_scores=take.speech.speaker_scores)
        yield piece, take if last else None


@torch.inference_mode()
def _steps(speaker: Speaker, spelled: Spelled) -> Iterator[tuple[Planned, Sounding]]:
    """Run the loop and stop after every step."""
    model, planned = speaker.model, lay_out(speaker, spelled)
    plan = last_pass(model, planned.plan, speaker.draws, speaker.watch)
    state = start(model, plan, model.runner(), speaker.draws, speaker.watch)
    sound = Sounding(speaker, planned, state)
    while state.position < state.steps:
        step(model, plan, state, speaker.watch)
        yield planned, sound


@torch.inference_mode()
def _piece(sound: Sounding, stop: int) -> np.ndarray:
    return sound.piece(stop)


@torch.inference_mode()
def _rest(sound: Sounding) -> np.ndarray:
    return sound.rest()


def _shown(planned: Planned, positions: list[int]) -> list[int]:
    """Of the tokens known so far, those of the text."""
    return [positions[index] for index in planned.script.shown if index < len(positions)]


def stream_sentences(speaker: Speaker, sentences: Iterator[Spelled], *, waits: bool) -> Iterator[Speech]:
    """Speak sentences in pieces, which together are what joining their takes gives; times count from the start.

    Args:
        waits: the next sentence may not be there yet when one ends.
    """
    prompt, ladder = speaker.prompt, Ladder()
    samples, last, index = 0, 0, 0
    sentence = next(sentences, None)
    while sentence is not None:
        sound, begun = samples, False
        for piece, take in live_pieces(speaker, sentence, ladder, hold=waits):
            samples += len(piece.audio)
            piece = soften(shift(piece, sound, last), start=index > 0 and not begun, end=False)
            last, begun = piece.tokens[-1].position if piece.tokens else last, True
            if take is None:
                yield piece
                continue
            sentence = next(sentences, None)
            yield soften(piece, start=False, end=sentence is not None)
            speaker = after(speaker, prompt, take)
        index += 1
