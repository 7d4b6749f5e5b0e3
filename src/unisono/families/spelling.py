"""From a source text, with or without control tags, to the tokens that speak it, each with its place in the source."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from unisono.errors import InputError, TextWarning
from unisono.interface import Span, TokenizedText, Tokenizer
from unisono.text import LetterSoundTokenizer, Script, read_script, split_chunks, split_sentences
from unisono.text.respelling import spell_out
from unisono.text.script import show

LONGEST = 300  # characters of a sentence that is spoken at once
SHOWN_UNREAD = 3  # runs of characters that a warning names
_READABLE = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Spelled:
    """The tokens of one text.

    Attributes:
        source: what the user wrote, control tags included.
        spoken: the text as the model reads it.
        ids, texts, spans: [T] of the tokens of `spoken`; spans are places in `source`.
        pauses: seconds of additional silence before token k; k = T means behind the last one.
        rates: [T] speed of each token, 1.0 = as drawn.
        unread: runs of letters and digits of `spoken` that no token stands for.
    """

    source: str
    spoken: str
    ids: list[int]
    texts: list[str]
    spans: list[Span]
    pauses: dict[int, float] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    unread: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.rates:
            object.__setattr__(self, "rates", [1.0] * len(self.ids))


def spell_sentences(
    text: str, tokenizer: Tokenizer, *, style: str, language: str, leading_space: bool
) -> list[Spelled]:
    """`spell` sentence by sentence; a rate that spans sentences holds in each of them.

    Raises:
        InputError: a tag that cannot be read, or a sentence that cannot.

    Warns:
        TextWarning: letters or digits that this tokenizer has no token for, once for all sentences.
    """
    script = read_script(text)
    if not any(map(str.isalnum, script.text)):
        raise InputError(
            f"the text {text.strip()[:30]!r} holds no letter or digit to be spoken: give at least one word"
        )
    options = dict(style=style, language=language, leading_space=leading_space)
    sentences = [spell(script.part(span), tokenizer, **options) for span in _pieces(text)]
    warn_of_unread(*sentences)
    return sentences


def _pieces(text: str) -> list[Span]:
    """The sentences of a text; those over `LONGEST` characters in pieces that end at clauses, else at words."""
    pieces: list[Span] = []
    for start, end in split_sentences(text):
        parts = [Span(start, end)]
        if end - start > LONGEST:
            parts = [Span(start + a, start + b) for a, b in split_chunks(text[start:end], LONGEST)]
        for part in parts:
            # Marks and pauses alone cannot be spoken: they belong to what stands before them, else behind them.
            if pieces and not (has_words(text[part.start : part.end]) and has_words(text[slice(*pieces[-1])])):
                pieces[-1] = Span(pieces[-1].start, part.end)
            else:
                pieces.append(part)
    return pieces


def has_words(text: str) -> bool:
    """Whether there is a letter or digit in a text, or in a piece of one, beside its control tags."""
    return any(map(str.isalnum, show(text)[0].text))


def spell(text: str | Script, tokenizer: Tokenizer, *, style: str, language: str, leading_space: bool) -> Spelled:
    """Read control tags, normalise and tokenise.

    Args:
        text: what the user wrote, or a script that has been read.
        style, language: of the normaliser.
        leading_space: begin with exactly one space; its token has an empty span at the start of the source.

    Raises:
        InputError: a tag that cannot be read, or nothing in the text can be read by this tokenizer.
    """
    script = text if isinstance(text, Script) else read_script(text)
    normalized, given = spell_out(script, tokenizer, style=style, language=language)
    lead = " " if leading_space else ""
    stripped = normalized.spoken.strip() if leading_space else normalized.spoken
    spoken = lead + stripped
    offset = normalized.spoken.find(stripped) - len(lead)
    if isinstance(tokenizer, LetterSoundTokenizer):
        tokenized = tokenizer.tokenize(spoken, [part._replace(start=part.start - offset) for part in given])
    else:
        tokenized = tokenizer.tokenize(spoken)
    if not any(character.isalnum() for piece in tokenized.texts for character in piece):
        raise InputError(
            f"nothing in the text {script.text.strip()[:30]!r} can be read by this model: write it in its language"
        )
    places = [normalized.source_span(span.start + offset, span.end + offset) for span in tokenized.spans]
    return Spelled(
        script.source,
        spoken,
        tokenized.ids,
        tokenized.texts,
        [script.source_span(*place) for place in places],
        _pauses(script, places, tokenized.texts),
        _rates(script, places),
        _unread(spoken, tokenized),
    )


def _unread(spoken: str, tokenized: TokenizedText) -> tuple[str, ...]:
    """Runs of letters and digits that no token stands for; a token that is a mere space stands for none."""
    read = bytearray(len(spoken))
    for text, (start, end) in zip(tokenized.texts, tokenized.spans, strict=True):
        if text.strip():
            read[start:end] = b"\1" * (end - start)
    left = "".join(" " if known else character for known, character in zip(read, spoken, strict=True))
    return tuple(_READABLE.findall(left))


def warn_of_unread(*texts: Spelled) -> None:
    """Warn, once for all of them, of letters and digits of texts that the model does not read, if there are any."""
    runs = [*dict.fromkeys(run for text in texts for run in text.unread)]
    if not runs:
        return
    shown = ", ".join(repr(run[:20]) for run in runs[:SHOWN_UNREAD])
    more = f" and {len(runs) - SHOWN_UNREAD} more" if len(runs) > SHOWN_UNREAD else ""
    warnings.warn(
        f"this model cannot read {shown}{more} and leaves it out: write it in the model's language, or how it sounds "
        "with [say:SPOKEN|SHOWN]",
        TextWarning,
        stacklevel=3,
    )


def _pauses(script: Script, places: Sequence[Span], texts: Sequence[str]) -> dict[int, float]:
    """Seconds of silence before tokens: each pause before the first token behind it that is more than a space.

    Args:
        places: [T] of the tokens in the script's text, in order.
    """
    pauses: dict[int, float] = {}
    token = 0
    for pause in script.pauses:
        while token < len(places) and (places[token].end <= pause.at or not texts[token].strip()):
            token += 1
        pauses[token] = pauses.get(token, 0.0) + pause.seconds
    return pauses


def _rates(script: Script, places: Sequence[Span]) -> list[float]:
    """The speed [T] that holds where each token begins, behind the space in front of it."""
    if not script.rates:
        return [1.0] * len(places)
    starts = [rate.start for rate in script.rates]
    rates = []
    for start, end in places:
        while start + 1 < end and script.text[start].isspace():
            start += 1
        rate = script.rates[max(bisect_right(starts, start) - 1, 0)]
        rates.append(rate.factor if rate.start <= start < rate.end else 1.0)
    return rates


def respelled(text: str, ids: list[int], tokenizer: Tokenizer, spell: Callable[[str], Spelled]) -> Spelled:
    """A text whose tokens are known, spelled again; what its ids say where another version read the text otherwise."""
    if text.strip():
        spelled = spell(text)
        if spelled.ids == ids:
            return spelled
    texts = [tokenizer.decode([token]) for token in ids]
    ends = list(accumulate(map(len, texts)))
    said = "".join(texts)
    return Spelled(said, said, ids, texts, [Span(e - len(t), e) for e, t in zip(ends, texts, strict=True)])
