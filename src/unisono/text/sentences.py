"""Sentences and clauses of a text as spans; nothing but white space lies between them.

Latin, Cyrillic, Greek and other spaced scripts end a sentence at . ! ? … (with closing quotes) before white space,
unless the full stop belongs to an abbreviation or initial; CJK 。！？ and Indic । end one anywhere, Arabic ؟ ۔ as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from unisono.interface import Span
from unisono.text.script import outside_tags, show

# Closing quotes and brackets, and what belongs to the mark before: accents, emoji selectors, direction marks.
_CLOSERS = "\"'”’»›)\\]}」』）】》\u0300-\u036f\u200d-\u200f\u202c\u2069\u20e3\ufe0e\ufe0f"
_HARD = "。！？｡．‼⁇⁈⁉"  # these end a sentence without a space after them
_END = re.compile(
    rf"[{_HARD}][{_HARD}{_CLOSERS}]*"
    # The lookbehind keeps a long run of marks from being tried again at each of them.
    rf"|(?<![.!?…؟۔।॥])[.!?…؟۔।॥]+[{_CLOSERS}]*(?=\s|$|[\u3040-\u30ff\u4e00-\u9fff])"
    r"|\n[ \t\r\f\v]*\n\s*"
)
_CLAUSE_END = re.compile(rf"[,;:،؛][{_CLOSERS}]*(?=\s)|[、，；：]|\s[–—-]{{1,2}}(?=\s)|[–—]|\)(?=\s)")
_LAST_WORD = re.compile(r"[^\W_](?:[^\W_]|[.'’-](?=[^\W_])){0,40}$")
# Before a name or number they never end a sentence.
_TITLES = """
mr mrs ms mx dr prof rev hon gen col capt lt sgt maj cmdr adm sen rep gov pres st mt ft messrs mme mlle sr sra no nr
fig vol vols pp ch sec ed eds art al cf vs viz e.g i.e approx ca bzw z.b d.h dipl ing hr fr
"""
TITLES = frozenset(_TITLES.split())
# These end a sentence only where a word follows that often begins one.
_ABBREVIATIONS = """
etc inc ltd corp co jr sr dept est ave blvd rd min max avg tel ext apt a.m p.m am pm u.s u.k u.s.a u.n d.c ph.d m.d b.a
m.a b.sc m.sc jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun a.d b.c usw
evtl ggf p.ej
"""
ABBREVIATIONS = frozenset(_ABBREVIATIONS.split())
_STARTERS = """
the a an this that these those he she it we they you i his her its our my your their there here but and so then if when
while after before as at in on for from with what who why how where not no yes now it's i'm he's she's we're they're
that's there's however although because once one some many most all another each every let please do did does is are was
"""
STARTERS = frozenset(_STARTERS.split())
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def begins_sentence(text: str) -> bool:
    """Whether `text` (what follows an abbreviation, without white space) looks like the start of a new sentence."""
    word = _WORD.match(text.lstrip("\"'“‘("))
    return bool(word) and text.lstrip("\"'“‘(")[0].isupper() and word.group().lower().replace("’", "'") in STARTERS


def split_sentences(text: str) -> list[Span]:
    """The sentences of `text` without the white space around them; a text of white space only has none.

    Control tags are kept whole: one between two sentences belongs to the second, but for [/rate], which belongs to the
    first; a range of [rate:…] may span sentences (`Script.part` knows the rate in force).
    """
    script, tags = show(text)
    return outside_tags(text, _sentences(script.text), script, tags) if tags else _sentences(text)


def _sentences(text: str) -> list[Span]:
    """The sentences of a text without tags."""
    ends = (match for match in _END.finditer(text) if match.group()[0] not in ".…!?" or not _goes_on(text, match))
    return _cut(text, ends)


def split_clauses(text: str) -> list[Span]:
    """The parts of one sentence between commas, semicolons, colons and dashes; the mark stays with what it follows.

    Control tags are kept whole, as by `split_sentences`.
    """
    script, tags = show(text)
    return outside_tags(text, _clauses(script.text), script, tags) if tags else _clauses(text)


def _clauses(text: str) -> list[Span]:
    """The clauses of a sentence without tags."""
    return _cut(text, _CLAUSE_END.finditer(text))


def _cut(text: str, ends: Iterable[re.Match[str]]) -> list[Span]:
    """The parts of a text that these marks end, without the white space around them."""
    spans: list[Span] = []
    for start, end in pairwise([0, *(match.end() for match in ends), len(text)]):
        _add(spans, text, start, end)
    return _join_marks(spans, text)


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    part = text[start:end]
    left = start + len(part) - len(part.lstrip())
    right = start + len(part.rstrip())
    if left < right:
        spans.append(Span(left, right))


def _join_marks(spans: list[Span], text: str) -> list[Span]:
    """Parts without a letter or digit are joined to the part before (or, at the beginning, to the one after)."""
    joined: list[Span] = []
    heard = False  # whether any part so far holds a letter or digit
    for span in spans:
        silent = not any(map(str.isalnum, text[span.start : span.end]))
        if joined and (silent or not heard):
            joined[-1] = Span(joined[-1].start, span.end)
        else:
            joined.append(span)
        heard = heard or not silent
    return joined


def _goes_on(text: str, match: re.Match[str]) -> bool:
    """Whether the marks at `match` are inside a sentence."""
    rest = text[match.end() : match.end() + 40].lstrip()
    if not rest:
        return False
    marks = match.group()
    if rest[0].islower() and marks[-1] not in ".!?…":
        return True  # '"Really?" she asked', but "what? no"
    if marks[0] in "!?":
        return False
    if marks.startswith(("..", "…")):
        return rest[0].islower()  # "wait... what"
    before = text[max(0, match.start() - 42) : match.start()]
    word = _LAST_WORD.search(before)
    if word is None:
        return False
    lower = word.group().lower()
    if lower in TITLES:
        return not (lower in ("no", "art", "ed", "st") and not _may_continue(lower, rest))
    if lower in ABBREVIATIONS:
        return not begins_sentence(rest)
    return _is_initial(word.group(), before, rest)


def _may_continue(word: str, rest: str) -> bool:
    """For abbreviations that are also words: "No. 5" goes on, "No. He left" does not; St. goes on before a name."""
    return rest[0].isupper() if word == "st" else rest[0].isdigit()


def _is_initial(word: str, before: str, rest: str) -> bool:
    """ "J. Smith", "J. K. Rowling": one capital letter after a name, another initial or nothing, before a capital."""
    if len(word) != 1 or not word.isupper() or not rest[0].isupper() or word == "I" or begins_sentence(rest):
        return False
    previous = before[:-1].rstrip()
    return not previous or previous[-1] == "." or previous.split()[-1][:1].isupper()
