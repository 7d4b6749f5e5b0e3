"""A text of several sentences as one speech, and one sentence in pieces.

Axes: N samples. Times of words are seconds and positions of tokens frames (1/50 s) from the start of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from unisono.align import words_from_marks
from unisono.families.spelling import Spelled
from unisono.interface import Audio, Speech, Token, Word
from unisono.text import shown_words

FRAMES_PER_SECOND = 50
FADE_SECONDS = 0.005  # at a seam


def speech_of(spelled: Spelled, positions: Sequence[int], audio: Audio, lead: float) -> Speech:
    """A speech from its sound and the mark of every token.

    Args:
        positions: T 1-based frames, increasing.
        lead: seconds from a word's start to its first mark.
    """
    duration = len(audio.samples) / audio.sample_rate
    shown = shown_words(spelled.source)
    spans = [word.span for word in shown]
    words = words_from_marks(spelled.source, spans, spelled.spans, positions, duration, lead=lead, audio=audio)
    words = [word._replace(text=text) for word, (text, _) in zip(words, shown, strict=True)]  # without tags inside
    gaps = np.diff(np.asarray(positions), prepend=0).tolist()
    tokens = [Token(*row) for row in zip(spelled.ids, spelled.texts, positions, gaps, strict=True)]
    return Speech(audio.samples, audio.sample_rate, spelled.source, words, tokens)


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
