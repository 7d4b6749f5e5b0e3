"""Word times from token marks.

A mark is one frame per token, somewhere inside the token's sound; a word's start and end lie between marks and are
derived: from its own first and last mark, the neighbours' marks, and the silences of the recording where it is at hand.

Axes: T tokens, K words. Times are seconds; positions are 1-based frames of 1/50 s.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from unisono.align.pauses import HOP_SECONDS, Pause, energy_db, silences
from unisono.errors import AlignmentError
from unisono.interface import Audio, Span, Word
from unisono.text.words import words_of_tokens

FRAME_SECONDS = 1 / 50
TAIL = 0.12  # a word lasts about this long after its last mark when nothing better is known
LONGEST_TAIL = 0.4  # without a recording: what is longer between two words than this is taken for a pause
STRAY = 0.03  # a mark may lie this deep in the silence beside its word
EDGE = 0.015  # speech is audible this much outside of a silence: its onset and its fading are soft
SHORTEST_WORD = 0.02  # seconds, where the recording has room
AHEAD = 0.1  # seconds of sound behind a word's first mark by which, in running sound, the word before it is settled


class _Marks(NamedTuple):
    """First and last mark of a word in seconds."""

    first: float
    last: float


class _Bounds(NamedTuple):
    """Where one word ends and another starts, in seconds."""

    end: float
    start: float


def words_from_marks(
    text: str,
    words: Sequence[Span],
    tokens: Sequence[Span],
    positions: Sequence[int],
    duration: float,
    *,
    lead: float = 0.0,
    audio: Audio | None = None,
    running: bool = False,
) -> list[Word]:
    """Times of every word of the source text, in order, 0 <= start < end <= duration, none overlapping the next.

    A word ends before the pause that follows it. A word without a token of its own shares the room between its
    neighbours' marks.

    Args:
        text: the source text.
        words: K spans of the words in `text`, in order (`unisono.text.source_words`).
        tokens: T spans of the tokens in `text`, in order; white space and punctuation may be tokens of their own.
        positions: T 1-based frames, increasing.
        duration: of the sound, in seconds.
        lead: seconds by which a word starts before the mark of its first token; a property of the aligner.
        audio: the sound; silences in it decide where a word ends and the next one starts.
        running: what is silence at a word is judged by the sound up to `AHEAD` behind it and not by all of it, so that
            words can be told while the sound goes on (`settled`).

    Raises:
        AlignmentError: as many positions as tokens are wanted, or there is no sound to put words into.
    """
    if len(tokens) != len(positions):
        raise AlignmentError(f"got {len(positions)} positions for {len(tokens)} tokens: they must be as many")
    if not words:
        return []
    if not duration > 0:
        raise AlignmentError(f"{len(words)} words cannot lie in a sound of {duration} s: use a longer recording")
    marks = _complete(_word_marks(text, words, tokens, positions), duration)
    pauses, known = _Pauses(audio, duration, running), audio is not None
    start = _first_start(marks[0].first, pauses.near(marks[0].first), lead)
    end = _last_end(marks[-1].last, pauses.near(duration), duration, known)
    inner = [
        _boundary(word, following, pauses.near(following.first), lead, known) for word, following in pairwise(marks)
    ]
    starts = [start, *(bounds.start for bounds in inner)]
    ends = [*(bounds.end for bounds in inner), end]
    times = _in_order(starts, ends, duration)
    return [Word(text[span.start : span.end], *time) for span, time in zip(words, times, strict=True)]


def settled(text: str, words: Sequence[Span], tokens: Sequence[Span], positions: Sequence[int], seconds: float) -> int:
    """How many words are told for good by the first `seconds` of a running sound.

    Args:
        text, words, tokens: as in `words_from_marks`. positions: T frames; those behind the sound may be guesses.
    """
    marks = _word_marks(text, words, tokens, positions)
    heard = [index for index, mark in enumerate(marks) if mark and mark.first + AHEAD + FRAME_SECONDS <= seconds]
    return heard[-1] if heard else 0


class _Pauses:
    """The silences that a word's times are judged by: those of the whole sound, or of it up to behind the word."""

    def __init__(self, audio: Audio | None, duration: float, running: bool) -> None:
        self.level = None if audio is None else energy_db(audio)
        self.duration, self.running = duration, running
        self.whole = [] if audio is None or running else silences(self.level, duration)

    def near(self, mark: float) -> list[Pause]:
        """Silences by which bounds before `mark` are judged."""
        if self.level is None or not self.running:
            return self.whole
        hops = round((mark + AHEAD) / HOP_SECONDS)
        return silences(self.level[:hops], min(hops * HOP_SECONDS, self.duration))


def _word_marks(
    text: str, words: Sequence[Span], tokens: Sequence[Span], positions: Sequence[int]
) -> list[_Marks | None]:
    """Marks of each word's spoken tokens; None for a word without any."""
    found: list[_Marks | None] = []
    for word, owned in zip(words, words_of_tokens(words, tokens), strict=True):
        # The mark of a full stop lies in the pause behind its word, so only what is pronounced counts.
        spoken = [i for i in range(*owned) if _is_spoken(text, word, tokens[i])] or range(*owned)
        seconds = [(positions[i] - 0.5) * FRAME_SECONDS for i in spoken]
        found.append(_Marks(min(seconds), max(seconds)) if seconds else None)
    return found


def _is_spoken(text: str, word: Span, token: Span) -> bool:
    """Whether the token covers a letter or digit of this word."""
    return any(letter.isalnum() for letter in text[max(word.start, token.start) : min(word.end, token.end)])


def _complete(marks: Sequence[_Marks | None], duration: float) -> list[_Marks]:
    """Fill words without a mark evenly between their neighbours' marks, and keep all marks in order and inside."""
    filled: list[_Marks] = []
    index = 0
    while index < len(marks):
        mark = marks[index]
        before = filled[-1].last if filled else 0.0
        if mark is not None:
            first = min(max(mark.first, before), duration)
            filled.append(_Marks(first, min(max(mark.last, first), duration)))
            index += 1
            continue
        stop = next((j for j in range(index, len(marks)) if marks[j] is not None), len(marks))
        after = duration if stop == len(marks) else max(marks[stop].first, before)
        step = (min(after, duration) - before) / (stop - index + 1)
        filled.extend(_Marks(*[before + step * (j + 1)] * 2) for j in range(stop - index))
        index = stop
    return filled


def _pause_between(pauses: Sequence[Pause], low: float, high: float) -> Pause | None:
    """From the first silence that meets [low, high] seconds to the last; breath and lips between them count as silence.

    None when all of it is sound, but for two soft edges.
    """
    first = bisect_right(pauses, low + 2 * EDGE, key=lambda pause: pause.end)
    stop = bisect_left(pauses, high - 2 * EDGE, key=lambda pause: pause.start)
    return Pause(pauses[first].start, pauses[stop - 1].end) if first < stop else None


def _boundary(word: _Marks, following: _Marks, pauses: Sequence[Pause], lead: float, known: bool) -> _Bounds:
    """End of a word and start of the next one. A mark may stray into the silence between them, a whole word may not."""
    last, first = word.last, following.first
    pause = _pause_between(pauses, last, first)
    if pause is not None:
        end = max(pause.start, last - STRAY, word.first)
        return _Bounds(end + EDGE, min(pause.end, first + STRAY, following.last) - EDGE)
    start = max(first - lead, min(last + FRAME_SECONDS, (last + first) / 2))
    if not known and start - last > LONGEST_TAIL:
        return _Bounds(last + TAIL, start)
    return _Bounds(start, start)


def _first_start(first: float, pauses: Sequence[Pause], lead: float) -> float:
    """Start of the first word, whose first mark is `first`."""
    silence = _pause_between(pauses, 0.0, first)
    return first - lead if silence is None else min(silence.end, first + STRAY) - EDGE


def _last_end(last: float, pauses: Sequence[Pause], duration: float, known: bool) -> float:
    """End of the last word, whose last mark is `last`."""
    silence = _pause_between(pauses, last, duration)
    tail = duration if known else min(last + TAIL, duration)
    return tail if silence is None else max(silence.start, last) + EDGE


def _in_order(starts: Sequence[float], ends: Sequence[float], duration: float) -> list[tuple[float, float]]:
    """Make 0 <= start < end <= next start for all words, moving as little as possible; room is always found."""
    count = len(starts)
    least = min(SHORTEST_WORD, duration / (2 * count))  # half of the even share, so that later words keep theirs
    placed: list[float] = []
    earliest = 0.0
    for index, start in enumerate(starts):
        placed.append(min(max(start, earliest), duration - least * (count - index)))
        earliest = placed[-1] + least
    limits = [*placed[1:], duration]
    return [
        (start, min(max(end, start + least), limit)) for start, end, limit in zip(placed, ends, limits, strict=True)
    ]
