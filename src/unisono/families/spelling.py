"""From a source text to the tokens that speak it, each with the place in the source it came from."""

from __future__ import annotations

from dataclasses import dataclass

from unisono.errors import InputError
from unisono.interface import Span, Tokenizer
from unisono.text import normalize


@dataclass(frozen=True)
class Spelled:
    """`ids` [T] of `spoken`, the text as the model reads it; `texts` [T] and `spans` [T], places in `source`."""

    source: str
    spoken: str
    ids: list[int]
    texts: list[str]
    spans: list[Span]


def spell(text: str, tokenizer: Tokenizer, *, style: str, language: str, leading_space: bool) -> Spelled:
    """Normalise and tokenise.

    Args:
        style, language: of the normaliser.
        leading_space: begin with exactly one space; its token has an empty span at the start of the source.

    Raises:
        InputError: nothing in the text can be read by this tokenizer.
    """
    normalized = normalize(text, style=style, language=language)
    lead = " " if leading_space else ""
    stripped = normalized.spoken.strip() if leading_space else normalized.spoken
    spoken = lead + stripped
    tokenized = tokenizer.tokenize(spoken)
    if not any(character.isalnum() for piece in tokenized.texts for character in piece):
        raise InputError(
            f"nothing in the text {text.strip()[:30]!r} can be read by this model: write it in its language"
        )
    offset = normalized.spoken.find(stripped) - len(lead)
    spans = [normalized.source_span(span.start + offset, span.end + offset) for span in tokenized.spans]
    return Spelled(text, spoken, tokenized.ids, tokenized.texts, spans)
