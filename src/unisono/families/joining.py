"""A text of several sentences as one speech, and one sentence told piece by piece.

Axes: N samples. Times of words are seconds and positions of tokens frames (1/50 s) from the start of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unisono.align import settled, words_from_marks
from unisono.families.spelling import Spelled
from unisono.interface import Audio, Speech, Token, Word
from unisono.text import shown_words

FRAMES_PER_SECOND = 50
FADE_SECONDS = 0.005  # at a seam


def speech_of(
    spelled: Spelled, positions: Sequence[int], audio: Audio, lead: float, *, running: bool = False
) -> Speech:
    """A speech from its sound and the mark of every token.

    Args:
        positions: T 1-based frames, increasing.
        lead: seconds from a word's start to its first mark.
        running: words have the times that `Teller` tells while the sound is made.
    """
    duration = len(audio.samples) / audio.sample_rate
    words, tokens = _words(spelled, positions, audio, lead, duration, running), _tokens(spelled, positions)
    return Speech(audio.samples, audio.sample_rate, spelled.source, words, tokens)


def _words(
    spelled: Spelled, positions: Sequence[int], audio: Audio, lead: float, duration: float, running: bool
) -> list[Word]:
    shown = shown_words(spelled.source)
    spans = [word.span for word in shown]
    words = words_from_marks(
        spelled.source, spans, spelled.spans, positions, duration, lead=lead, audio=audio, running=running
    )
    return [word._replace(text=text) for word, (text, _) in zip(words, shown, strict=True)]  # without tags inside


def _tokens(spelled: Spelled, positions: Sequence[int]) -> list[Token]:
    """The first of the tokens, as many as there are positions."""
    gaps = np.diff(np.asarray(positions, dtype=np.int64), prepend=0).tolist()
    known = slice(len(positions))
    return [Token(*row) for row in zip(spelled.ids[known], spelled.texts[known], positions, gaps, strict=True)]


class Teller:
    """Hands out a sentence whose sound is still being made: pieces of sound, each with the words that have ended in
    it and the tokens whose mark lies in it. Together they are `speech_of` of the whole, `running`.

    Attributes:
        quiet: seconds of the sound so far behind the last word told; 0 before any.
    """

    def __init__(self, spelled: Spelled, sample_rate: int, lead: float) -> None:
        self.spelled, self.sample_rate, self.lead = spelled, sample_rate, lead
        self.spans = [word.span for word in shown_words(spelled.source)]
        self.sound: list[np.ndarray] = []
        self.words = self.tokens = 0  # told
        self.quiet, self._end = 0.0, 0.0

    def tell(self, samples: np.ndarray, positions: Sequence[int], last: bool = False) -> Speech:
        """The next piece; times count from the start of the sentence.

        Args:
            samples: float32 [n]. positions: the marks known so far, at least all within the sound.
            last: the sentence ends with it.
        """
        self.sound.append(samples)
        audio = Audio(np.concatenate(self.sound), self.sample_rate)
        duration = len(audio.samples) / self.sample_rate
        frames, total = round(duration * FRAMES_PER_SECOND), len(self.spelled.ids)
        # Marks that are not known lie behind the sound; words that end before them do not depend on where.
        behind = max([frames, *positions[-1:]])
        marks = [*positions, *range(behind + 1, behind + 1 + total - len(positions))]
        ended = len(self.spans)
        if not last:
            ended = settled(self.spelled.source, self.spans, self.spelled.spans, marks, duration)
        words: list[Word] = []
        if ended > self.words:
            until = duration if last else max(duration, marks[-1] / FRAMES_PER_SECOND + 1)
            words = _words(self.spelled, marks, audio, self.lead, until, True)[self.words : ended]
        tokens = [token for token in _tokens(self.spelled, positions) if last or token.position <= frames]
        piece = Speech(samples, self.sample_rate, " ".join(word.text for word in words), words, tokens[self.tokens :])
        self.words, self.tokens = max(ended, self.words), max(len(tokens), self.tokens)
        self._end = words[-1].end if words else self._end
        self.quiet = duration - self._end if self.words else 0.0
        return piece


def soften(part: Speech, *, start: bool, end: bool) -> Speech:
    """A speech that begins or ends, where another one joins it, at zero: parts are joined without a click.

    Parts end at the mark of their end token, most often in silence; then this changes nothing that can be heard.
    """
    count = min(round(FADE_SECONDS * part.sample_rate), len(part.audio) // 2)
    rise = (0.5 - 0.5 * np.cos(np.pi * np.arange(count) / max(count, 1))).astype(np.float32)
    audio = part.audio.copy()
    if start:
        audio[:count] *= rise
    if end:
        audio[len(audio) - count :] *= rise[::-1]
    return replace(part, audio=audio)


def cut(part: Speech, seconds: float, offset: float = 0.0) -> tuple[Speech, Speech]:
    """A speech in two pieces at `seconds`; words and tokens go where they begin. Times count from `offset` earlier."""
    sample = round(seconds * part.sample_rate)
    at = offset + seconds
    frame = at * FRAMES_PER_SECOND
    first_words = [word for word in part.words if word.start < at]
    first_tokens = [token for token in part.tokens if token.position <= frame]
    pieces = (
        (part.audio[:sample], first_words, first_tokens),
        (part.audio[sample:], part.words[len(first_words) :], part.tokens[len(first_tokens) :]),
    )
    texts = [" ".join(word.text for word in words) for _, words, _ in pieces]
    first, second = (
        Speech(audio, part.sample_rate, text, words, tokens)
        for text, (audio, words, tokens) in zip(texts, pieces, strict=True)
    )
    return replace(first, speaker_scores=part.speaker_scores), second


def join(text: str, parts: Sequence[Speech]) -> Speech:
    """Speeches one after the other; `text` is the whole source. Each but the last is a whole number of frames long."""
    shifted, offset, last = [], 0, 0
    for part in parts:
        shifted.append(shift(part, offset, last))
        last = shifted[-1].tokens[-1].position if part.tokens else last
        offset += len(part.audio)
    return Speech(
        np.concatenate([part.audio for part in parts]),
        parts[0].sample_rate,
        text,
        [word for part in shifted for word in part.words],
        [token for part in shifted for token in part.tokens],
        [scores for part in shifted for scores in part.speaker_scores],
    )


def shift(part: Speech, samples: int, last: int) -> Speech:
    """A speech whose times count from `samples` earlier on; `last` is the mark of the token before."""
    seconds = samples / part.sample_rate
    frames = round(seconds * FRAMES_PER_SECOND)
    # Rounded, so that the last word does not end a rounding error behind the sound.
    words = [Word(word.text, round(word.start + seconds, 6), round(word.end + seconds, 6)) for word in part.words]
    tokens = [token._replace(position=token.position + frames) for token in part.tokens]
    tokens[:1] = [token._replace(gap=token.position - last) for token in tokens[:1]]
    return replace(part, words=words, tokens=tokens)
