"""Ordinals, decades, fractions, years, ranges and every other number."""

from __future__ import annotations

import re
import unicodedata

from unisono.text.normalized import Said
from unisono.text.plain.measures import in_quotation, unit_at
from unisono.text.plain.numbers import cardinal, code, decade, digits, fraction, ordinal, plural, year
from unisono.text.plain.rules import (
    DASH,
    DIGIT,
    END,
    MAGNITUDE_SUFFIXES,
    NUMBER,
    SPACE,
    Rule,
    after,
    before,
    number_words,
    whole,
)

_ORDINAL = re.compile(rf"(?P<number>[0-9]{{1,3}}(?:,[0-9]{{3}}){{1,4}}|[0-9]{{1,12}})(?:st|nd|rd|th|ST|ND|RD|TH){END}")
_DECADE = re.compile(rf"(?P<number>(?:1[0-9]|20)[0-9]0)['’]?s{END}")
_SHORT_DECADE = re.compile(rf"(?P<mark>['’])?(?P<number>[0-9]0)['’]?s{END}")
_SHORT_YEAR = re.compile(rf"['’](?P<number>[0-9]{{2}}){END}(?!['’])")
_PLURAL = re.compile(rf"(?P<number>[0-9]{{1,6}})['’]?s{END}")
_AGE = re.compile(r"(?:his|her|their|my|our|your|the|mid|early|late)[ -]$", re.IGNORECASE)
_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"
_FRACTION = re.compile(
    r"(?:(?P<whole>[0-9]{1,4})(?P<gap>[ -]))?(?P<top>[0-9]{1,4})[/⁄](?P<bottom>[0-9]{1,4})(?![0-9/]|\.[0-9])"
)
_VULGAR_FRACTION = re.compile(rf"(?:(?P<whole>[0-9]{{1,6}})(?P<gap>{SPACE}?))?(?P<sign>[{_VULGAR}])")
_FIXED = {
    "24/7": "twenty-four seven",
    "9/11": "nine eleven",
    "50/50": "fifty fifty",
    "7/11": "seven eleven",
    "20/20": "twenty twenty",
}
_YEAR = re.compile(r"(?:1[0-9]|20)[0-9]{2}(?![0-9]|[.,][0-9]|[A-Za-z])")
_YEAR_SPAN = re.compile(
    rf"(?P<first>(?:1[0-9]|20)[0-9]{{2}})(?P<dash>{DASH})(?P<second>[0-9]{{4}}|[0-9]{{2}})(?![0-9]|[.,/:][0-9]|[A-Za-z-])"
)
_NO_PLURALS = "was|is|his|its|as|has|this|thus|us|does|towards|across|always|perhaps|besides"
_COUNTED = re.compile(rf" (?:(?!(?:{_NO_PLURALS})\b)[a-z]{{2,20}}s|people|men|women|children|feet|percent)\b")
_BEFORE_YEAR = (
    "in|since|by|of|from|until|till|before|after|year|circa|around|during|early|late|mid|summer|winter|spring|autumn|fall|"
    "and|to|between"
)
_AS_YEAR = re.compile(rf"(?:\b(?:{_BEFORE_YEAR})|[a-z]{{3,8}},)[ (-]$", re.IGNORECASE)
_MAGNITUDE = re.compile(
    rf"(?P<number>{NUMBER})(?:{SPACE}?(?P<word>mn|bn|tn)|"
    r"(?P<suffix>k|M|B|K(?= (?:followers|views|people|users|subscribers))))"
    r"(?![A-Za-z0-9'’/])"
)
# "Apartment 5B", "221B Baker Street"
_LETTERED = re.compile(
    r"\b(?:apt|apartment|room|rm|unit|flat|suite|ste|gate|seat|row|no|number|section|page|exhibit|chapter|figure|fig|table|"
    r"building|bldg|block|grade|bus|line|platform|hall|question|terminal|appendix)\.? ?$",
    re.IGNORECASE,
)
_NAME = re.compile(r" [A-Z][a-z]")
_SWISS = re.compile(r"[1-9][0-9]{0,2}(?:['’][0-9]{3}){1,5}(?![0-9'’])")
_POWERS_OF_TEN = {
    "1,000": "thousands", "10,000": "tens of thousands", "100,000": "hundreds of thousands", "1,000,000": "millions",
}  # fmt: skip
_THOUSANDS = re.compile(rf"(?P<number>1,000,000|10{{1,2}},000|1,000)['’]?s{END}")
_RATING = re.compile(r"(?P<top>[0-9]{1,3}\.[0-9]{1,2})/(?P<bottom>100|10|5)(?![0-9])")
_ARTICLE = re.compile(r" (?:an?|the) ")
_PENCE = re.compile(r"(?P<number>[1-9][0-9]?)p(?![A-Za-z0-9])")
_HEX = re.compile(r"0x[0-9A-Fa-f]{1,16}(?![A-Za-z0-9])")
_OUT_OF = re.compile(r" (?:people|men|women|users|doctors|dentists|times|students|voters|Americans|patients|parents)\b")
# A plain space groups digits only where there is little doubt; the narrow ones are made for it.
_GROUPED = re.compile(
    r"(?:[1-9][0-9]?(?:[ \u00a0\u2009\u202f][0-9]{3}){2,5}|[1-9][0-9]{0,2}(?:[\u00a0\u2009\u202f][0-9]{3}){1,5})"
    r"(?![0-9]|[ -][0-9])"
)
_LINES = re.compile(r"(?P<number>[0-9]{3,4})(?P<p>[pi])(?![A-Za-z0-9])")
_TIMES = re.compile(rf"(?P<number>{NUMBER})[x×](?= [a-z])")
_NUMBER = re.compile(NUMBER)
_POINT = re.compile(r"\.[0-9]{1,20}(?![0-9])")
_DIGITS = re.compile(r"[0-9]+")
_FOREIGN_DIGITS = re.compile(r"[^\W\D0-9]{1,30}")
_RANGE = re.compile(rf"(?:{SPACE}[–—−-]{SPACE}|[-–—−])(?=[$£€]?\.?[0-9])")
_MINUS = re.compile(rf"{DASH}(?=[$£€]?\.?[0-9])")
_NUMBER_ENDS = re.compile(r"[0-9](?:[0-9.,:%°$€£]|[a-zA-Z]){0,7}$|[0-9] [aApP]\.?[mM]\.?$")
_EQUATION = re.compile(r"[0-9. ]{1,16}=")
_RESULT = re.compile(r" ?=")
_SCIENTIFIC = re.compile(
    rf"(?P<number>{NUMBER[: NUMBER.rindex(chr(40))]})[eE](?P<power>[-−+]?[0-9]{{1,3}})(?![A-Za-z0-9])"
)


def _say_ordinal(match: re.Match[str]) -> list[Said]:
    return whole(match, ordinal(match.group("number").replace(",", "")))


def _say_decade(match: re.Match[str]) -> list[Said]:
    return whole(match, decade(match.group("number")))


def _say_short_decade(match: re.Match[str]) -> list[Said] | None:
    number = match.group("number")
    if before(match, 1).isalnum() or (not match.group("mark") and number == "00"):
        return None
    if number in ("10", "00") and not match.group("mark") and not _AGE.search(before(match)):
        return whole(match, "ten seconds")
    return whole(match, decade(number) if number != "10" else "tens")


def _say_short_year(match: re.Match[str]) -> list[Said] | None:
    if before(match, 1).isalnum():
        return None
    number = match.group("number")
    return whole(match, ("oh " if number[0] == "0" else "") + cardinal(number))


def _say_plural(match: re.Match[str]) -> list[Said] | None:
    number = match.group("number")
    if match.group()[-2] in "'’" and before(match, 1).isalpha():
        return whole(match, f"{code(number)}'s")  # "U2's song"
    if len(number) < 3 and not before(match, 1).isalpha() and before(match, 1) != "-":
        unit = unit_at(match.string, match.end("number"))  # "5s" is five seconds
        if unit is not None:
            return None
    if len(number) == 3 and int(number) % 100 and int(number) % 10 == 0 and before(match, 1) != "-":
        return None  # "120s" is a time, "747s" are aeroplanes
    spoken = cardinal(number) if int(number) % 100 == 0 or len(number) > 4 else code(number)
    return whole(match, plural(spoken).removeprefix("one ") if int(number) in (100, 1000) else plural(spoken))


def _say_fraction(match: re.Match[str]) -> list[Said] | None:
    """ "2 1/2" -> two and a half; with a unit after it the unit is singular below one: "1/2 km"."""
    top, bottom, main = match.group("top"), match.group("bottom"), match.group("whole")
    if main is None and match.group() in _FIXED:
        return whole(match, _FIXED[match.group()])
    if main and int(top) >= int(bottom):  # "3 10/12": two numbers
        return [Said(cardinal(main), match.start(), match.end("whole"))]
    if before(match, 1) in (".", "/"):
        return None
    if _OUT_OF.match(match.string, match.end()) and main is None and int(bottom) > int(top) > 1:
        return whole(match, f"{cardinal(top)} out of {cardinal(bottom)}")
    if _RESULT.match(match.string, match.end()) and main is None:
        return whole(match, f"{cardinal(top)} divided by {cardinal(bottom)}")
    return _with_unit(match, main, _half(match, fraction(top, bottom)))


def _half(match: re.Match[str], words: str) -> str:
    """ "½ an hour" is half an hour."""
    bare = words == "one half" and not match.group("whole") and _ARTICLE.match(match.string, match.end())
    return "half" if bare else words


def _say_rating(match: re.Match[str]) -> list[Said]:
    """ "4.5/5"."""
    return whole(match, f"{number_words(match.group('top'))} out of {cardinal(match.group('bottom'))}")


def _say_vulgar(match: re.Match[str]) -> list[Said]:
    top, _, bottom = unicodedata.normalize("NFKD", match.group("sign")).partition("⁄")
    return _with_unit(match, match.group("whole"), _half(match, fraction(top, bottom)))


def _with_unit(match: re.Match[str], main: str | None, words: str) -> list[Said]:
    """A fraction, its whole number and its unit, parts split where white space lies."""
    said: list[Said] = []
    place = match.start()
    if main:
        words = "and a " + words.removeprefix("one ") if words.startswith("one ") else f"and {words}"
        said.append(Said(cardinal(main), match.start(), match.end("whole")))
        place = match.end("whole")
    said.append(Said((" " if main else "") + words, place, match.end()))
    unit = unit_at(match.string, match.end())
    if after(match, 1) in ('"', "″") and not in_quotation(match):
        said.append(Said(" inches" if main else " inch", match.end(), match.end() + 1))
    elif unit and " over " in words:
        said.append(Said(f" {unit.many}", match.end(), unit.end))
    elif unit:
        said.append(
            Said(
                f" {unit.many if main else 'of a ' + unit.one if words in ('half', 'quarter') else unit.one}",
                match.end(),
                unit.end,
            )
        )
    return said


def _say_year(match: re.Match[str]) -> list[Said] | None:
    """Four digits are a year, unless things are counted: "2024 pixels". 1500 is fifteen hundred either way."""
    text = match.group()
    if before(match, 1).isalpha() or before(match, 1) in (".", ",", "#", "$"):
        return None
    rest = after(match, 26)
    as_year = bool(_AS_YEAR.search(before(match, 12)))
    if (_COUNTED.match(rest) and not as_year and int(text) % 100) or (int(text) < 1100 and not as_year):
        return whole(match, cardinal(text))
    return whole(match, year(text))


def _say_year_span(match: re.Match[str]) -> list[Said] | None:
    first, second = match.group("first"), match.group("second")
    if before(match, 1) and (before(match, 1).isalnum() or before(match, 1) in ".,-/$"):
        return None
    rises = int(first) < int(second) < 2100 if len(second) == 4 else int(first[2:]) < int(second)
    if not rises:
        return None
    spoken = year(second) if len(second) == 4 else cardinal(second)
    return [
        Said(year(first), match.start(), match.start("dash")),
        Said(" to ", match.start("dash"), match.end("dash")),
        Said(spoken, match.start("second"), match.end()),
    ]


def _say_magnitude(match: re.Match[str]) -> list[Said] | None:
    """ "7bn", "10k", "3M people"; a capital letter in an address or before a name is a letter."""
    suffix = match.group("word") or match.group("suffix")
    if before(match, 1).isalpha():
        return None
    if suffix in ("B", "M") and (_LETTERED.search(before(match)) or _NAME.match(after(match, 3))):
        return None
    return whole(match, f"{number_words(match.group('number'))} {MAGNITUDE_SUFFIXES[suffix.lower()]}")


def _say_thousands(match: re.Match[str]) -> list[Said]:
    return whole(match, _POWERS_OF_TEN[match.group("number")])


def _say_pence(match: re.Match[str]) -> list[Said]:
    number = match.group("number")
    return whole(match, f"{cardinal(number)} {'penny' if number == '1' else 'pence'}")


def _say_hex(match: re.Match[str]) -> list[Said]:
    """ "0x1F" -> zero x one F."""
    signs = [cardinal(sign) if sign.isdigit() else sign.upper() for sign in match.group()[2:]]
    return whole(match, f"zero x {' '.join(signs)}")


def _say_grouped(match: re.Match[str]) -> list[Said]:
    """ "1 234 567", "1'234'567": groups of three."""
    return whole(match, cardinal(match.group()))


def _say_scientific(match: re.Match[str]) -> list[Said]:
    """ "1.5e-6" -> one point five times ten to the minus six."""
    power = match.group("power").replace("−", "-").removeprefix("+")
    return whole(match, f"{number_words(match.group('number'))} times ten to the {cardinal(power)}")


def _say_lines(match: re.Match[str]) -> list[Said]:
    """ "1080p" -> ten eighty p."""
    number = match.group("number")
    return whole(match, f"{year(number) if len(number) == 4 else code(number)} {match.group('p')}")


def _say_times(match: re.Match[str]) -> list[Said]:
    return whole(match, f"{number_words(match.group('number'))} times")


def _say_number(match: re.Match[str]) -> list[Said]:
    """A number by itself; glued to letters ("A320") it is read as part of a name."""
    text = match.group()
    glued = before(match, 1).isalpha() or bool(re.search(r"[A-Z]-$", before(match, 2)))
    if glued and text.isdigit():
        return whole(match, code(text))
    return whole(match, number_words(text))


def _say_digits(match: re.Match[str]) -> list[Said]:
    return whole(match, digits(match.group()))


def _say_foreign_digits(match: re.Match[str]) -> list[Said] | None:
    values = [unicodedata.digit(character, None) for character in match.group()]
    if None in values:
        return None
    return whole(match, number_words("".join(map(str, values))), apart=False)


def _say_range(match: re.Match[str]) -> list[Said] | None:
    """A dash between numbers: to in ranges and scores, minus in an equation, nothing between more than two numbers."""
    lead = before(match, 12)
    if not _NUMBER_ENDS.search(lead):
        return None
    if _EQUATION.match(match.string, match.end()) or (match.group()[0] != "−" and "−" in match.group()):
        return whole(match, " minus ")
    several = re.search(r"[0-9]-[0-9]+$", lead) or re.match(r"[0-9]+-[0-9]", after(match, 8))
    model = re.search(r"[A-Z][a-z]{2,20} ([0-9]{3,4})$", before(match, 26))  # "747-400"
    smaller = re.match(r"[0-9]{3,4}(?![0-9.,])", after(match, 6))
    if match.group() == "-" and model and smaller and int(smaller.group()) < int(model.group(1)):
        return whole(match, " ")
    named = re.search(r"[A-Za-z]+-?[0-9]+$", lead) is not None
    return whole(match, " " if several or named else " to ")


def _say_minus(match: re.Match[str]) -> list[Said] | None:
    previous = before(match, 1)
    if previous.isalpha():
        return whole(match, " ") if before(match, 2)[:1].isupper() or previous.isupper() else None
    return whole(match, "minus ") if not previous or previous in " \t\n(=[+×*/,:;^<>\u00a0" else None


PLURAL_RULES = [
    Rule(DIGIT, _HEX, _say_hex),
    Rule("'’", _SHORT_DECADE, _say_short_decade),
    Rule("'’", _SHORT_YEAR, _say_short_year),
    Rule(DIGIT, _THOUSANDS, _say_thousands),
    Rule(DIGIT, _DECADE, _say_decade),
    Rule(DIGIT, _SHORT_DECADE, _say_short_decade),
    Rule(DIGIT, _PLURAL, _say_plural),
]
RULES = [
    Rule(DIGIT, _ORDINAL, _say_ordinal),
    Rule(DIGIT, _RATING, _say_rating),
    Rule(DIGIT, _FRACTION, _say_fraction),
    Rule(DIGIT + _VULGAR, _VULGAR_FRACTION, _say_vulgar),
    Rule(DIGIT, _GROUPED, _say_grouped),
    Rule(DIGIT, _SWISS, _say_grouped),
    Rule(DIGIT, _PENCE, _say_pence),
    Rule(DIGIT, _SCIENTIFIC, _say_scientific),
    Rule(DIGIT, _YEAR_SPAN, _say_year_span),
    Rule(DIGIT, _YEAR, _say_year),
    Rule(DIGIT, _MAGNITUDE, _say_magnitude),
    Rule(DIGIT, _LINES, _say_lines),
    Rule(DIGIT, _TIMES, _say_times),
    Rule(DIGIT, _NUMBER, _say_number),
    Rule(DIGIT, _DIGITS, _say_digits),
    Rule(DIGIT, _FOREIGN_DIGITS, _say_foreign_digits),
    Rule(".", _POINT, _say_number),
    Rule(" \u00a0-–—−", _RANGE, _say_range),
    Rule("-–—−", _MINUS, _say_minus),
]
