"""What a rule of the plain normaliser is, and the small patterns that rules share.

Every repetition over more than one kind of character is bounded, so that no input is slow. Digits are always [0-9]:
other scripts' digits are read by one rule of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from unisono.text.normalized import Said
from unisono.text.plain import numbers
from unisono.text.sentences import begins_sentence

# In `Rule.starts`: any letter, any digit, and any character that no rule names.
LETTER, DIGIT, OTHER = "a", "0", "?"
SPACE = "[ \u00a0\u2009\u202f]"
DASH = "[-–—−]"
NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,6}(?![0-9])|[0-9]{1,30})(?:\.[0-9]{1,20})?(?![0-9])"
AMOUNT = rf"(?:{NUMBER}|\.[0-9]{{1,20}}(?![0-9]))"  # also ".5"
END = r"(?![A-Za-z0-9])"
MAGNITUDE = r"(?:hundred|thousand|million|billion|trillion|quadrillion)"
MAGNITUDE_SUFFIXES = {
    "k": "thousand",
    "m": "million",
    "mn": "million",
    "bn": "billion",
    "b": "billion",
    "tn": "trillion",
}
_ARTICLE = re.compile(r"(?:^|[^\w])[aA]n?[ ]$")
_CLOSERS = "\"'”’»)]}"


class Rule(NamedTuple):
    """One rule.

    Attributes:
        starts: the characters it can begin with, with `LETTER` and `DIGIT` for the classes.
        pattern: matched at that place.
        say: match -> what is said, in order; the last part's end is where reading goes on. None: not this rule.
    """

    starts: str
    pattern: re.Pattern[str]
    say: Callable[[re.Match[str]], list[Said] | None]


def whole(match: re.Match[str], text: str, apart: bool = False) -> list[Said]:
    """One part for the whole match."""
    return [Said(text, match.start(), match.end(), apart)]


def part(match: re.Match[str], group: str | int, text: str) -> Said:
    """One part for one group of the match."""
    return Said(text, match.start(group), match.end(group))


def before(match: re.Match[str], count: int = 24) -> str:
    """Up to `count` characters before the match."""
    return match.string[max(0, match.start() - count) : match.start()]


def after(match: re.Match[str], count: int = 40) -> str:
    """Up to `count` characters after the match."""
    return match.string[match.end() : match.end() + count]


def after_article(match: re.Match[str]) -> bool:
    """Whether "a" or "an" stands before the match."""
    return bool(_ARTICLE.search(before(match, 4)))


def closes_sentence(rest: str) -> bool:
    """Whether a full stop before `rest` also ends the sentence: nothing, a new line or a likely beginning follows."""
    bare = rest.lstrip(_CLOSERS)
    return not bare.strip() or bare.startswith("\n\n") or begins_sentence(bare.lstrip())


def without_stop(match: re.Match[str], text: str) -> list[Said]:
    """`text` for the match; a full stop at its end is spoken for, but stays where it also ends the sentence."""
    end = match.end()
    if match.group().endswith(".") and closes_sentence(after(match)):
        end -= 1
    return [Said(text, match.start(), end)]


def number_words(text: str) -> str:
    """A written number, with commas or a decimal point, in words."""
    return numbers.decimal(text)


def alternatives(words: Iterable[str]) -> str:
    """A pattern part for any of `words`, longest first."""
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


def like(template: str, text: str) -> str:
    """`text` with a capital where `template` has one."""
    return text[:1].upper() + text[1:] if template[:1].isupper() else text
