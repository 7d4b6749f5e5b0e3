"""A script written out by a normaliser, with what is spoken put in the places of what is shown."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import groupby

from unisono.errors import InputError
from unisono.interface import Span, Tokenizer
from unisono.text.ipa import english, ipa_sounds, is_ipa, is_respelling, respelled_sounds
from unisono.text.letters import LetterSoundTokenizer, Sounded
from unisono.text.normalize import normalize
from unisono.text.normalized import Normalized, Piece
from unisono.text.script import Respelling, Script

_MARK = "\ue000"  # stands for a respelled part while the rest is normalised; no rule reads it


def spell_out(script: Script, tokenizer: Tokenizer, *, style: str, language: str) -> tuple[Normalized, list[Sounded]]:
    """Normalise a script and put in what is spoken for what is shown, as letters that this tokenizer can read.

    The letter-sound tokenizer is given sounds, on the letters of what is shown where they can make them. For others IPA
    becomes an English respelling, and plain letters are used as they are.

    Returns:
        the result, whose source is `script.text`, and the parts of `.spoken` whose ids are known.

    Raises:
        InputError: an IPA symbol that is not known, or a pronunciation without a sound.
    """
    letters: list[str] = []
    ids: list[list[int]] = []
    for respelling in script.spoken:
        shown = script.text[respelling.start : respelling.end]
        if isinstance(tokenizer, LetterSoundTokenizer):
            text, known = tokenizer.sound_out(shown, _said_words(respelling, language))
        else:
            text, known = _respelled(respelling.spoken, shown, style, language), []
        if not any(map(str.isalnum, text)):
            raise InputError(
                f"the pronunciation {respelling.spoken[:40]!r} holds no sound that this model can make: "
                "write IPA or plain letters, as in [say:naɪki|Nike]"
            )
        letters.append(text)
        ids.append(known)
    normalized, places = write_out(script, letters, style=style, language=language)
    return normalized, [Sounded(span.start, ids[index]) for index, span in places if ids[index]]


def _said_words(respelling: Respelling, language: str) -> list[list[str] | str]:
    """The words of a pronunciation as sounds or, where they are plain letters, written out."""
    if is_ipa(respelling.spoken):
        return [*ipa_sounds(respelling.spoken)]
    words: list[list[str] | str] = []
    for respelled, items in groupby(respelling.spoken.split(), is_respelling):
        if respelled:
            words += map(respelled_sounds, items)
        else:
            words += normalize(" ".join(items), language=language, tags=False).spoken.split()
    return words


def _respelled(spoken: str, shown: str, style: str, language: str) -> str:
    """A pronunciation in plain letters, with a capital where what is shown has one."""
    if not is_ipa(spoken):
        return normalize(spoken, language=language, tags=False).spoken if style == "plain" else spoken
    text = " ".join(map(english, ipa_sounds(spoken)))
    return text[:1].upper() + text[1:] if shown[:1].isupper() else text


def write_out(
    script: Script, letters: Sequence[str], *, style: str, language: str
) -> tuple[Normalized, list[tuple[int, Span]]]:
    """Normalise the shown text of a script around its respelled parts.

    Args:
        letters: what to write for each of `script.spoken`; it is left as it is.
        style, language: of the normaliser.

    Returns:
        the result, whose source is `script.text`, and for each respelled part its index and its place in `.spoken`.
    """
    if not script.spoken:
        return normalize(script.text, style=style, language=language, tags=False), []
    parts, done = [], 0
    for respelling in script.spoken:
        parts += (script.text[done : respelling.start], _MARK)
        done = respelling.end
    marked = normalize("".join((*parts, script.text[done:])), style=style, language=language, tags=False)
    return _put_in(marked, script, letters)


def _put_in(marked: Normalized, script: Script, letters: Sequence[str]) -> tuple[Normalized, list[tuple[int, Span]]]:
    """Replace the marks by letters and speak of places in the script's text."""
    # Where each mark stands in the marked text, and how much further on the text behind it stands in the script.
    places: list[int] = []
    moved = [0]
    for respelling in script.spoken:
        places.append(respelling.start - moved[-1])
        moved.append(moved[-1] + respelling.end - respelling.start - 1)
    index_of = {place: index for index, place in enumerate(places)}

    def unmark(place: int) -> int:
        return place + moved[bisect_right(places, place - 1)]

    spoken: list[str] = []
    pieces: list[Piece] = []
    found: list[tuple[int, Span]] = []
    length = 0
    for piece in marked.spans:
        for start, end in _runs(marked.spoken, piece.spoken_start, piece.spoken_end):
            source = marked.source_span(start, end)
            text = marked.spoken[start:end]
            index = index_of.get(source.start) if text == _MARK else None
            if index is not None:
                text = letters[index]
                found.append((index, Span(length, length + len(text))))
            pieces.append(Piece(length, length + len(text), unmark(source.start), unmark(source.end)))
            spoken.append(text)
            length += len(text)
    return Normalized(script.text, "".join(spoken), pieces), found


def _runs(text: str, start: int, end: int) -> list[Span]:
    """text[start:end] in pieces that are one mark each, or hold none."""
    runs = []
    while start < end:
        mark = text.find(_MARK, start, end)
        stop = start + 1 if mark == start else end if mark < 0 else mark
        runs.append(Span(start, stop))
        start = stop
    return runs
