"""Numbers with units: lengths, weights, speeds, temperatures, feet and inches, dimensions."""

from __future__ import annotations

import re
from typing import NamedTuple

from unisono.text.normalized import Said
from unisono.text.plain.numbers import cardinal, is_one
from unisono.text.plain.rules import (
    AMOUNT,
    DIGIT,
    LETTER,
    NUMBER,
    SPACE,
    Rule,
    after_article,
    alternatives,
    before,
    closes_sentence,
    number_words,
    whole,
)

_PREFIXES = {
    "n": "nano",
    "µ": "micro",
    "μ": "micro",
    "m": "milli",
    "c": "centi",
    "k": "kilo",
    "M": "mega",
    "G": "giga",
    "T": "tera",
}
# Unit and the prefixes it is used with.
_METRIC = {
    "m": ("meter", "nµμmck"),
    "g": ("gram", "µμmk"),
    "L": ("liter", "µμmc"),
    "l": ("liter", "µμmc"),
    "s": ("second", "nµμm"),
    "Hz": ("hertz", "kMGT"),
    "W": ("watt", "mkMGT"),
    "Wh": ("watt hour", "kMG"),
    "V": ("volt", "mk"),
    "Ah": ("amp hour", "m"), "A": ("amp", "nµμmk"),
    "B": ("byte", "kMGT"),
    "b": ("bit", "kMG"),
    "bps": ("bit per second", "kMG"),
    "bit": ("bit", "kMG"),
    "Pa": ("pascal", "kM"),
    "J": ("joule", "kM"),
    "cal": ("calorie", "k"),
    "eV": ("electron volt", "kMG"),
    "px": ("pixel", "M"),
}  # fmt: skip
_BARE = ("m", "g", "L", "l", "s", "Hz", "W", "Wh", "V", "bps", "bit", "cal", "px", "Pa")
_OTHER = {
    "KB": "kilobyte", "Kb": "kilobit", "mi": "mile", "mph": "mile per hour", "kph": "kilometer per hour",
    "yd": "yard", "yds": "yard", "ft": "foot", "in.": "inch", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "gal": "gallon", "qt": "quart", "tbsp": "tablespoon", "tsp": "teaspoon", "hr": "hour", "hrs": "hour", "h": "hour",
    "min": "minute", "mins": "minute", "sec": "second", "secs": "second", "yr": "year", "yrs": "year", "wk": "week",
    "wks": "week", "mo": "month", "mos": "month", "ha": "hectare", "dB": "decibel", "rpm": "revolution per minute",
    "fps": "frame per second", "dpi": "dot per inch", "ppm": "part per million", "psi": "pound per square inch",
    "hPa": "hectopascal", "pt": "point", "pts": "point", "mbar": "millibar", "bar": "bar", "kt": "knot",
    "kts": "knot", "knots": "knot", "mol": "mole", "fl oz": "fluid ounce", "°C": "degree Celsius",
    "°F": "degree Fahrenheit", "° C": "degree Celsius", "° F": "degree Fahrenheit", "℃": "degree Celsius",
    "℉": "degree Fahrenheit", "°": "degree", "º": "degree", "ºC": "degree Celsius", "ºF": "degree Fahrenheit",
    "Ω": "ohm", "kΩ": "kilohm", "sq ft": "square foot", "sq. ft.": "square foot", "sq m": "square meter",
    "sq km": "square kilometer", "sq mi": "square mile", "cu ft": "cubic foot", "mg/dL": "milligram per deciliter",
    "bpm": "beat per minute", "atm": "atmosphere",
    "Nm": "newton meter", "kN": "kilonewton", "cc": "cubic centimeter",
    "dl": "deciliter", "mcg": "microgram", "ppb": "part per billion", "KiB": "kibibyte", "MiB": "mebibyte",
    "GiB": "gibibyte", "TiB": "tebibyte", "BTU": "B T U", "mmHg": "millimeter of mercury", "kn": "knot",
    "Å": "angstrom",
}  # fmt: skip
_PLURALS = {"foot": "feet", "inch": "inches"}
_AFTER_PER = dict(
    mo="month", yr="year", hr="hour", h="hour", s="second", sec="second", min="minute", wk="week", day="day", d="day"
)
_POWERS = {"²": "square ", "³": "cubic ", "2": "square ", "3": "cubic ", "^2": "square ", "^3": "cubic "}
_WITH_STOP = "ft lb lbs oz mi yd yds gal qt hr hrs min mins sec secs yr yrs wk wks mo mos pt pts tbsp tsp"
_STOPPED = frozenset(_WITH_STOP.split())
_METERS = frozenset(("m", "km", "cm", "mm", "ft", "mi", "in.", "yd", "μm", "µm", "nm"))


class Unit(NamedTuple):
    """A unit found in a text: its end, and what one and what many are called."""

    end: int
    one: str
    many: str


def _table() -> dict[str, str]:
    table = dict(_OTHER)
    for symbol, (name, prefixes) in _METRIC.items():
        if symbol in _BARE:
            table[symbol] = name
        for prefix in prefixes:
            table.setdefault(prefix + symbol, _PREFIXES[prefix] + name)
    return table


UNITS = _table()
_WORD_END = r"(?![A-Za-z0-9]|['’][A-Za-z])"
_UNIT = re.compile(
    rf"(?P<gap>{SPACE}|-)?(?P<unit>{alternatives(UNITS)})(?P<power>\^?[23]|[²³])?"
    rf"(?:/(?P<per>{alternatives({*UNITS, *_AFTER_PER})})(?P<under>\^?[23]|[²³])?)?{_WORD_END}(?P<stop>\.(?![0-9]))?"
)
_WITH_UNIT = re.compile(rf"(?P<number>{AMOUNT})(?={SPACE}?-?[A-Za-zÅµμ°º℃℉Ω])")
_NEXT_WORD = re.compile(r" ([a-z]{2,20})")
_NO_NOUN = frozenset(
    ("of", "and", "or", "in", "at", "from", "to", "than", "per", "for", "with", "on", "by", "as", "is")
)
_LONE = re.compile(rf"(?P<unit>(?:km|m|mi|[MGk][Bb]|[mk]?g|ml|mL|L)/(?:h|s|hr|dL|L|kg|min)){_WORD_END}")
_FEET = re.compile(
    rf"(?P<feet>[0-9]{{1,3}}){SPACE}?(?:ft\.?|feet|['’′]){SPACE}?(?P<inches>[0-9]{{1,2}}(?:\.[0-9]{{1,2}})?)"
    rf"(?P<mark>{SPACE}?(?:in\.?{_WORD_END}|inch(?:es)?|[\"”″]|''))?(?![0-9A-Za-z])"
)
_OPENING_QUOTE = re.compile(r"(?<!\w)'(?=\w)")
_ONLY_FEET = re.compile(r"(?P<number>[0-9]{1,5})(?P<mark>['′])(?![A-Za-z0-9'])")
_INCHES = re.compile(r"(?P<number>[0-9]{1,4}(?:\.[0-9]{1,3})?)(?P<mark>[\"″])(?![A-Za-z0-9\"])")
_TIMES = re.compile(
    rf"(?P<one>{NUMBER})(?P<x>{SPACE}?[x×]{SPACE}?)(?P<two>{NUMBER})(?:(?P<y>{SPACE}?[x×]{SPACE}?)(?P<three>{NUMBER}))?"
    r"(?![A-Za-z0-9]{3})"
)
_EQUATION = re.compile(r"[ ]?=")
_SIZE_UNIT = r"(?:mm|cm|m|km|ft|in|yd|px)"
_UNIT_TIMES = re.compile(
    rf"(?P<one>{NUMBER}){SPACE}?(?P<unit>{_SIZE_UNIT})(?P<x>{SPACE}?[x×]{SPACE}?)"
    rf"(?={NUMBER}{SPACE}?{_SIZE_UNIT}(?![A-Za-z0-9]))"
)
_BASIS = re.compile(r"(?P<number>[0-9]{1,3})(?P<unit>[ ]?bps)(?![A-Za-z0-9])")
_ANGLE = re.compile(
    r"(?P<degrees>[0-9]{1,3})[°º][ ]?(?P<minutes>[0-9]{1,2})['’′](?:[ ]?(?P<seconds>[0-9]{1,2})[\"”″])?"
)
_SPAN = re.compile(
    r"(?P<hours>[0-9]{1,3})h[ ]?(?P<minutes>[0-5]?[0-9])(?:m|min)(?:[ ]?(?P<seconds>[0-5]?[0-9])s)?(?![A-Za-z0-9])"
)
_H_CLOCK = re.compile(r"(?P<hour>1?[0-9]|2[0-3])h(?P<minute>[0-5][0-9])(?![A-Za-z0-9])")


def many(name: str) -> str:
    """The plural of a unit: the first word of "mile per hour" takes the s."""
    head, space, tail = name.partition(" per ")
    if not space:
        head, space, tail = name.partition(" of ")
    words = head.split(" ")
    at = 0 if words[0] == "degree" else -1
    words[at] = _PLURALS.get(words[at], words[at] + ("" if words[at].endswith("hertz") else "s"))
    return " ".join(words) + space + tail


def unit_at(text: str, place: int) -> Unit | None:
    """The unit that stands at `place`, after an optional space or hyphen; None when there is none."""
    match = _UNIT.match(text, place)
    if match is None:
        return None
    symbol, power = match.group("unit"), match.group("power")
    if symbol == "m" and power is None and match.group("gap") == "-":
        return None
    if power and symbol not in _METERS and symbol != "s":
        return None
    name = (_POWERS[power] if power else "") + UNITS[symbol]
    if match.group("per"):
        under = match.group("per")
        name += " per " + (UNITS.get(under) if under in _METERS or under not in _AFTER_PER else _AFTER_PER[under])
        if match.group("under"):
            name += {"²": " squared", "³": " cubed"}.get(
                match.group("under"), " squared" if "2" in match.group("under") else " cubed"
            )
    end = match.end()
    if match.group("stop") and (symbol not in _STOPPED or closes_sentence(text[end : end + 40])):
        end -= 1
    return Unit(end, name, name if match.group("gap") == "-" else many(name))


def _say_number(match: re.Match[str]) -> list[Said] | None:
    """A number and its unit, each a part of its own where white space lies between them."""
    unit = unit_at(match.string, match.end())
    if unit is None:
        return None
    number = match.group("number")
    name = unit.one if is_one(number) or _is_adjective(match, unit.end) else unit.many
    words = number_words(number)
    if match.string[match.end()].isspace():
        return [Said(words, match.start(), match.end()), Said(f" {name}", match.end(), unit.end)]
    return [Said(f"{words} {name}", match.start(), unit.end)]


def _is_adjective(match: re.Match[str], end: int) -> bool:
    """ "a 16 GB drive": an article before the number and a noun after the unit."""
    following = _NEXT_WORD.match(match.string, end)
    return after_article(match) and bool(following) and following.group(1) not in _NO_NOUN


def _say_feet(match: re.Match[str]) -> list[Said] | None:
    if match.group("mark") is None and not match.group()[len(match.group("feet")) :].lstrip().startswith(
        ("'", "’", "′")
    ):
        return None
    feet, inches = match.group("feet"), match.group("inches")
    single = _is_adjective(match, match.end())
    one = "foot" if single or is_one(feet) else "feet"
    place = match.start("inches")
    if match.string[place - 1].isspace():
        inch = "inch" if single or is_one(inches) else "inches"
        return [
            Said(f"{cardinal(feet)} {one}", match.start(), place - 1),
            Said(f" {number_words(inches)} {inch}", place - 1, match.end()),
        ]
    return whole(match, f"{cardinal(feet)} {one} {number_words(inches)}")


def _say_only_feet(match: re.Match[str]) -> list[Said] | None:
    if before(match, 1) in ("'", "’", "‘"):
        return None  # '90' is a quotation
    number = match.group("number")
    if match.group("mark") == "'" and _OPENING_QUOTE.search(before(match, 80)):
        return None
    single = is_one(number) or _is_adjective(match, match.end())
    return whole(match, f"{cardinal(number)} {'foot' if single else 'feet'}")


def in_quotation(match: re.Match[str]) -> bool:
    """Whether a straight quotation mark has been opened in this line before the match."""
    return before(match, 200).rpartition("\n")[2].count('"') % 2 == 1


def _say_inches(match: re.Match[str]) -> list[Said] | None:
    if match.group("mark") == '"' and in_quotation(match):
        return None
    number = match.group("number")
    single = is_one(number) or _is_adjective(match, match.end())
    return whole(match, f"{number_words(number)} {'inch' if single else 'inches'}")


def _say_lone(match: re.Match[str]) -> list[Said] | None:
    """A compound unit without a number: "speed in km/h"."""
    unit = None if before(match, 1).isalnum() else unit_at(match.string, match.start())
    return whole(match, unit.many) if unit else None


def _say_times(match: re.Match[str]) -> list[Said]:
    """ "4 × 3 = 12" is a product, "4 x 3 m" a size."""
    unit = unit_at(match.string, match.end())
    spaced_sign = match.group("x").strip() == "×" and match.group("x") != "×"
    equation = _EQUATION.match(match.string, match.end()) or before(match, 2).rstrip().endswith("=")
    power = match.string[match.end() : match.end() + 1] in tuple("^⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
    word = "times" if equation or power or (spaced_sign and unit is None) else "by"
    said = []
    for number, sign in (("one", "x"), ("two", "y"), ("three", None)):
        if match.group(number) is None:
            break
        said.append(Said(number_words(match.group(number)), match.start(number), match.end(number)))
        if sign and match.group(sign):
            said.append(Said(f" {word} ", match.start(sign), match.end(sign)))
    if unit and word == "by":
        said.append(Said(f" {unit.many}", match.end(), unit.end))
    return said


def _say_unit_times(match: re.Match[str]) -> list[Said]:
    """ "10 cm x 20 cm": the first of the two."""
    unit = UNITS["in." if match.group("unit") == "in" else match.group("unit")]
    name = unit if is_one(match.group("one")) else many(unit)
    return [
        Said(f"{number_words(match.group('one'))} {name}", match.start(), match.start("x")),
        Said(" by ", match.start("x"), match.end("x")),
    ]


def _say_basis(match: re.Match[str]) -> list[Said]:
    """Up to 999 "bps" are basis points; bits come in greater numbers."""
    number = match.group("number")
    return whole(match, f"{cardinal(number)} basis point{'' if is_one(number) else 's'}")


def _amounts(match: re.Match[str], *units: str) -> list[Said]:
    """The groups named like `units` with their units, those that are there."""
    parts = [(match.group(unit), unit) for unit in units if match.group(unit)]
    return whole(match, " ".join(f"{cardinal(n)} {unit[:-1] if is_one(n) else unit}" for n, unit in parts))


def _say_angle(match: re.Match[str]) -> list[Said]:
    return _amounts(match, "degrees", "minutes", "seconds")


def _say_span(match: re.Match[str]) -> list[Said]:
    return _amounts(match, "hours", "minutes", "seconds")


def _say_h_clock(match: re.Match[str]) -> list[Said]:
    """ "10h30", the time of day as in French."""
    minute = match.group("minute")
    oh = "oh " if minute.startswith("0") else ""
    return whole(match, f"{cardinal(match.group('hour'))} " + ("hundred" if minute == "00" else oh + cardinal(minute)))


RULES = [
    Rule(DIGIT, _UNIT_TIMES, _say_unit_times),
    Rule(DIGIT, _BASIS, _say_basis),
    Rule(DIGIT, _ANGLE, _say_angle),
    Rule(DIGIT, _SPAN, _say_span),
    Rule(DIGIT, _H_CLOCK, _say_h_clock),
    Rule(DIGIT, _FEET, _say_feet),
    Rule(DIGIT, _TIMES, _say_times),
    Rule(DIGIT + ".", _WITH_UNIT, _say_number),
    Rule(DIGIT, _ONLY_FEET, _say_only_feet),
    Rule(DIGIT, _INCHES, _say_inches),
    Rule(LETTER, _LONE, _say_lone),
]
