"""The plain normaliser's one loop: find a place where a rule may begin, ask the rules in order, copy the rest.

Words are copied as they are: case and acronyms are kept. Only places that look like a number, a sign or an abbreviation
are tried, so that plain prose costs one regular expression.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from unisono.text.normalized import Builder, Normalized, Said
from unisono.text.plain import abbreviations, counts, dates, languages, measures, money, roman, symbols, web
from unisono.text.plain.rules import DIGIT, LETTER, OTHER, Rule

_FIRST = (dates.RULES, web.RULES, money.RULES, counts.PLURAL_RULES)
_ENGLISH = (*_FIRST, *(m.RULES for m in (measures, abbreviations, roman, counts, symbols)))
# Words that rules look at though no sign follows them, and numerals.
_WORDS = (*dates.MONTH_NAMES, "Mr", "Mrs", "Ms", "Dr", "Prof", "St", "AD", "BC", "BCE", "CE", "[IVXLCDM]{1,8}")


class Family(NamedTuple):
    """The rules for one first character: `any` tells by its group "r3" which of `rules` is the first that matches."""

    any: re.Pattern[str]
    rules: list[Rule]


class RuleSet(NamedTuple):
    """`places`: where a rule may begin; `families`: the rules by first character or class."""

    places: re.Pattern[str]
    families: dict[str, Family]


def _family(rules: list[Rule]) -> Family:
    """One pattern for all rules, so that a place where none applies costs one attempt, not one for each."""
    parts = []
    for index, rule in enumerate(rules):
        nameless = re.sub(r"\(\?P<\w+>", "(?:", rule.pattern.pattern)
        if "(?P=" in nameless or re.search(r"\\[1-9]", nameless):
            nameless = ""  # refers back to a group: always worth an attempt
        flags = "i" if rule.pattern.flags & re.IGNORECASE else ""
        parts.append(f"(?P<r{index}>(?{flags}:{nameless}))")
    return Family(re.compile("|".join(parts), re.DOTALL), rules)


def rule_set(rules: Iterable[Rule], words: Iterable[str] = ()) -> RuleSet:
    """Index rules by first character and make the pattern that finds their places."""
    by_start: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        for start in rule.starts:
            by_start[start].append(rule)
    signs = re.escape("".join(start for start in by_start if start not in (LETTER, DIGIT, OTHER, " ")))
    patterns = [
        r"(?<!\d)\d",
        # A word followed by a sign or digit, also by one after a space.
        r"(?<![^\W_])[^\W\d_](?=[^\W\d_]{0,30}(?:[.@:/&+#$0-9_-]|\W[0-9]))",
        rf"[{signs}]" if signs else r"(?!)",
        r"[ \u00a0](?=[-–—*/])",
        r"[\u0370-\u03ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u3030\u303d\u3297\u3299\ufe0e\ufe0f\u200d\u20e3]",
        r"[\U0001f000-\U0001faff\U000e0020-\U000e007f]",
    ]
    if words := "|".join(words):
        patterns.append(rf"(?<![^\W_])(?=(?:{words})(?![A-Za-z]))[A-Za-z]")
    return RuleSet(re.compile("|".join(patterns)), {start: _family(found) for start, found in by_start.items()})


@lru_cache(maxsize=32)
def _rules_for(language: str, tags: bool) -> RuleSet:
    """The rules of a language, with or without those that keep control tags; InputError for one without rules."""
    first = symbols.TAG_RULES if tags else []
    if language == "en":
        return rule_set((*first, *(rule for rules in _ENGLISH for rule in rules)), _WORDS)
    return rule_set((*first, *languages.rules(language)))


def normalize_plain(text: str, language: str = "en", *, tags: bool = True) -> Normalized:
    """What a reader says for `text`, with `tags` left as they are. Raises InputError for an unknown language."""
    code = languages.canonical(language)
    places, families = _rules_for(code, tags and "[" in text)
    builder = Builder(text, spaced=languages.spaced(code))
    copied = at = 0
    while (place := places.search(text, at)) is not None:
        at = place.start()
        said = _first_answer(text, at, families)
        if said is None:
            at += 1
            continue
        builder.copy(copied, at)
        for part in said:
            builder.say(part)
        copied = at = said[-1].end
    builder.copy(copied, len(text))
    return builder.finish()


def _first_answer(text: str, at: int, families: dict[str, Family]) -> list[Said] | None:
    """What the first rule that applies at a place says there; None when none does."""
    character = text[at]
    kind = DIGIT if character.isdecimal() else LETTER if character.isalpha() else character
    family = families.get(kind) or families.get(OTHER)
    if family is None or (first := family.any.match(text, at)) is None:
        return None
    for rule in family.rules[int(first.lastgroup[1:]) :]:  # type: ignore[index]
        match = rule.pattern.match(text, at)
        if match is not None and match.end() > at:
            said = rule.say(match)
            if said:
                return said
    return None
