"""Roman numerals after headings and names."""

from __future__ import annotations

import re

from unisono.text.normalized import Said
from unisono.text.plain.numbers import cardinal, ordinal, roman
from unisono.text.plain.rules import LETTER, SPACE, Rule, after, before, whole

_HEADINGS = """
chapter part section act scene volume book phase type class level round title article appendix figure table war bowl
stage grade group mark vol unit lesson verse canto psalm apollo step factor schedule division category tier
battalion corps army
"""
HEADINGS = frozenset(_HEADINGS.split())
_RULERS = """
henry louis george elizabeth charles edward james william richard mary john paul benedict pius francis leo gregory
innocent clement alexander nicholas catherine peter philip frederick wilhelm ferdinand leopold napoleon ramses
ptolemy xerxes urban boniface sixtus julius adrian isabella victoria margaret gustav christian haakon olaf carl karl
franz joseph ivan boris henri felipe alfonso juan pedro otto rudolf umberto vittorio emmanuel cyrus darius
theodosius justinian constantine basil harald robert malcolm david stephen anne baldwin edmund selim murad mehmed
ahmed abdullah hussein rama
"""
RULERS = frozenset(_RULERS.split())
_GIVEN_NAMES = """
james john robert michael william david richard joseph thomas charles christopher daniel matthew anthony mark donald
steven paul andrew joshua kenneth kevin brian george timothy ronald edward jason jeffrey ryan jacob gary nicholas
eric jonathan stephen larry justin scott brandon benjamin samuel gregory alexander frank patrick raymond jack dennis
jerry henry harold walter arthur albert fred ralph roy louis eugene philip martin peter sammy ken hank thurston
"""
GIVEN_NAMES = frozenset(_GIVEN_NAMES.split())
_NUMERAL = re.compile(r"(?P<roman>[IVXLCDM]{1,8})(?![A-Za-z0-9]|[&.-][A-Za-z0-9])")
_HEADING_LINE = re.compile(r"(?P<roman>[IVX]{1,6})(?=[.)][ \t]+(?![A-Z]\.))")
_PREVIOUS = re.compile(rf"(?:([^\W\d_][\w'’.-]{{0,30}}){SPACE})?([^\W\d_][\w'’-]{{0,30}})(?P<stop>\.?){SPACE}$")
# Shortened headings; after other words a full stop ends the sentence.
_SHORT_HEADINGS = frozenset(("vol", "ch", "chap", "fig", "pt", "sec", "bk", "art", "no", "op", "par"))
_NUMBERED_NAMES = frozenset(("iphone", "os"))  # "iPhone X"
_LETTERS = frozenset("CDLM")  # "Section C", "Class M": letters, not hundreds
_CENTURY = re.compile(rf"{SPACE}(?:century|centuries|dynasty)\b")
_RULER_TITLE = re.compile(
    rf"(?:King|Queen|Pope|Emperor|Empress|Tsar|Czar|Kaiser|Prince|Princess|Sultan|Pharaoh){SPACE}$"
)
_VERB = re.compile(
    r"\s(?:am|was|have|had|do|did|will|would|can|could|should|think|know|see|saw|said|say|read|want|like|went|got)\b"
)
_HIGHEST_AFTER_A_NAME = 39


def _say_heading_line(match: re.Match[str]) -> list[Said] | None:
    """ "IV. The Return" at the beginning of a line."""
    value = roman(match.group("roman"))
    at_start = before(match, 1) in ("", "\n")
    return whole(match, cardinal(value)) if value and at_start else None


def _say_numeral(match: re.Match[str]) -> list[Said] | None:
    text = match.group("roman")
    value = roman(text)
    previous = _PREVIOUS.search(before(match, 70))
    if value and len(text) > 1 and _CENTURY.match(match.string, match.end()):
        return whole(match, ordinal(value))
    if value is None or previous is None or text in _LETTERS:
        return None
    first, word = previous.group(1) or "", previous.group(2)
    lower = word.lower()
    if previous.group("stop"):
        return whole(match, cardinal(value)) if lower in _SHORT_HEADINGS else None
    if lower in _NUMBERED_NAMES:
        return whole(match, cardinal(value))
    if (lower, text) == ("malcolm", "X"):
        return None
    if lower in HEADINGS and (word[0].isupper() or len(text) > 1):
        if text == "I" and _VERB.match(after(match, 12)):
            return None
        return whole(match, cardinal(value))
    if not word[0].isupper() or any(letter in text for letter in "LCDM") or value > _HIGHEST_AFTER_A_NAME:
        return None
    titled = bool(_RULER_TITLE.search(before(match, 70)[: previous.start(2)]))
    if titled or (lower in RULERS and first.lower().rstrip(".") not in GIVEN_NAMES - RULERS):
        if text == "I" and _VERB.match(after(match, 12)):
            return None
        return whole(match, f"the {ordinal(value)}")
    if len(text) < 2:
        return None
    return whole(match, f"the {ordinal(value)}" if first.lower() in GIVEN_NAMES and value < 6 else cardinal(value))


RULES = [Rule(LETTER, _HEADING_LINE, _say_heading_line), Rule(LETTER, _NUMERAL, _say_numeral)]
