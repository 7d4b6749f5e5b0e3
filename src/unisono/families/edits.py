"""Which words of a transcript an edit means, and the text that comes of it. Text only: no sound, no tokens.

A phrase that occurs more than once is chosen by its number: "word#2" is the second one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from unisono.errors import InputError
from unisono.interface import Span
from unisono.text import source_words

_CHOICE = re.compile(r"^(.*\S)\s*#(\d{1,6})$", re.DOTALL)
_MARKS = ",;:،؛、，；："  # of which one is enough
_SPACELESS = re.compile(r"[\u3005-\u30ff\u31f0-\u9fff\uf900-\ufaff\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff]")


class Edit(NamedTuple):
    """`span` of the source text and what stands there afterwards."""

    span: Span
    new: str


def find_edits(
    text: str,
    replace: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    delete: Sequence[str] = (),
    insert_after: Mapping[str, str] | Sequence[tuple[str, str]] = (),
) -> list[Edit]:
    """The edits of a text, in order and apart from each other.

    Args:
        replace: what is said, and what shall be said instead. delete: what shall not be said.
        insert_after: what is said, and what shall follow it.

    Raises:
        InputError: nothing to do; a phrase that is empty, not there, or there more than once without a number; edits
            that overlap; nothing left to say.
    """
    edits = [_replacement(text, old, new) for old, new in _pairs(replace, "replace")]
    edits += [_deletion(text, old) for old in ([delete] if isinstance(delete, str) else delete)]
    edits += [_insertion(text, old, new) for old, new in _pairs(insert_after, "insert after")]
    if not edits:
        raise InputError("there is nothing to edit: name words to replace, to delete or to insert after")
    edits.sort()
    for first, second in pairwise(edits):
        if second.span.start < first.span.end or first.span == second.span:
            raise InputError(
                f"two edits touch {text[second.span.start : second.span.end].strip()[:30] or 'one place'!r}: "
                "make one of them"
            )
    if not source_words(apply_edits(text, edits)):
        raise InputError("nothing would be left to say: keep at least one word")
    return edits


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """The text with all edits made."""
    for edit in reversed(edits):
        text = text[: edit.span.start] + edit.new + text[edit.span.end :]
    return text


def beginning(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many items two texts, or lists of tokens, begin with in common."""
    shorter = min(len(first), len(second))
    return next((index for index in range(shorter) if first[index] != second[index]), shorter)


def split_pair(given: str, option: str) -> tuple[str, str]:
    """ "old=new" in two. Raises InputError without an equals sign."""
    old, sign, new = given.partition("=")
    if not sign:
        raise InputError(f"{option} wants OLD=NEW, got {given[:40]!r}")
    return old, new


def find_phrase(text: str, wanted: str) -> Span:
    """The span of a phrase, whole words only; case counts where that finds it.

    Raises:
        InputError: not there, or there more than once without a number.
    """
    if not any(character.isalnum() for character in wanted):
        raise InputError(f"{wanted.strip()[:30]!r} is no word of the text: give at least one letter or digit")
    found = _occurrences(text, wanted)
    choice = None if found else _CHOICE.match(wanted)
    phrase, number = (choice.group(1), int(choice.group(2))) if choice else (wanted, 0)
    if choice:
        found = _occurrences(text, phrase)
    shown = " ".join(phrase.split())[:40]
    if not found:
        raise InputError(f"{shown!r} does not occur in the text of the recording: give its words as they stand there")
    if number > len(found) or (choice and number < 1):
        times = "once" if len(found) == 1 else f"{len(found)} times"
        raise InputError(f"{shown!r} occurs {times} in the text, there is no number {number}")
    if len(found) > 1 and not number:
        raise InputError(
            f"{shown!r} occurs {len(found)} times in the text: choose one, '{shown}#1' to '{shown}#{len(found)}'"
        )
    return found[max(number, 1) - 1]


def _occurrences(text: str, phrase: str) -> list[Span]:
    """Where a phrase stands as whole words."""
    words = phrase.split()
    if sum(map(len, words)) > len(text):
        return []
    left = "" if _SPACELESS.match(words[0]) else r"(?<![^\W_])(?<![^\W_]['’])"
    right = "" if _SPACELESS.match(words[-1][-1]) else r"(?!['’]?[^\W_])"
    pattern = left + r"\s+".join(map(re.escape, words)) + right
    for flags in (0, re.IGNORECASE):
        found = [Span(*match.span()) for match in re.finditer(pattern, text, flags)]
        if found:
            return found
    return []


def _pairs(given: Mapping[str, str] | Sequence[tuple[str, str]], what: str) -> list[tuple[str, str]]:
    """Old and new phrases. Raises InputError for no pairs, and for new ones without a letter or digit."""
    pairs = list(given.items()) if isinstance(given, Mapping) else list(given)
    if not all(len(pair) == 2 and not isinstance(pair, str) for pair in pairs):
        raise InputError(f"{what} wants old and new words as a dict or as pairs, got {str(given)[:40]!r}")
    for old, new in pairs:
        if not any(character.isalnum() for character in new):
            hint = "; to remove words, delete them" if what == "replace" else ""
            raise InputError(f"{what} {old.strip()[:30]!r}: the new words hold no letter or digit{hint}")
    return pairs


def _replacement(text: str, old: str, new: str) -> Edit:
    return Edit(find_phrase(text, old), " ".join(new.split()))


def _insertion(text: str, old: str, new: str) -> Edit:
    end = find_phrase(text, old).end
    space = "" if _SPACELESS.match(text[end - 1]) else " "
    return Edit(Span(end, end), space + " ".join(new.split()))


def _deletion(text: str, old: str) -> Edit:
    """A phrase goes with the white space before it, and with a comma that would stand alone."""
    start, end = find_phrase(text, old)
    before = text[:start].rstrip()
    behind = re.compile(rf"[{_MARKS}]?").match(text, end).end()
    if not before:  # at the very start all up to the next word goes
        while behind < len(text) and not text[behind].isalnum() and text[behind] not in "\"'“‘([":
            behind += 1
        return Edit(Span(0, behind), "")
    if before[-1] in _MARKS or (before[-1] in ".!?…" and behind > end):
        end = behind
    # ... "word. Next" keeps the space before what follows, when the phrase began a sentence.
    return Edit(Span(len(before), end), "")
