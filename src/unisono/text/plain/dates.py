"""Dates and times of day."""

from __future__ import annotations

import re

from unisono.text.normalized import Said
from unisono.text.plain.numbers import cardinal, ordinal, year
from unisono.text.plain.rules import (
    DASH,
    DIGIT,
    END,
    LETTER,
    SPACE,
    Rule,
    after,
    alternatives,
    before,
    closes_sentence,
    part,
    whole,
    without_stop,
)

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
_SHORT = {
    "Jan": 1,
    "Feb": 2,
    "Mar": 3,
    "Apr": 4,
    "Jun": 6,
    "Jul": 7,
    "Aug": 8,
    "Sept": 9,
    "Sep": 9,
    "Oct": 10,
    "Nov": 11,
    "Dec": 12,
}
WEEKDAYS = {
    "Mon": "Monday", "Tues": "Tuesday", "Tue": "Tuesday", "Wed": "Wednesday", "Thurs": "Thursday", "Thur": "Thursday",
    "Thu": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip
_NAMES = {name: name for name in MONTHS} | {short: MONTHS[index - 1] for short, index in _SHORT.items()}
MONTH_NAMES = tuple(_NAMES)
MONTH = f"(?:{alternatives(_NAMES)})"
_YEAR = r"(?:1[0-9]|20)[0-9]{2}(?![0-9]|,[0-9]{3})"
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])(?![0-9])"
_SUFFIX = r"(?:st|nd|rd|th)"
_DAY_MONTH = re.compile(
    rf"(?P<day>{_DAY}){_SUFFIX}?(?:(?P<dash>{SPACE}?{DASH}{SPACE}?)(?P<to>{_DAY}){_SUFFIX}?)?(?P<of>{SPACE}(?:of{SPACE})?)"
    rf"(?P<month>{MONTH}){END}(?P<stop>\.(?={SPACE}[0-9]))?(?:(?P<comma>,?{SPACE})(?P<year>{_YEAR}))?"
)
_MONTH_DAY = re.compile(
    rf"(?P<month>{MONTH})(?P<stop>\.?{SPACE})(?P<day>{_DAY}){_SUFFIX}?(?![:/.][0-9])"
    rf"(?:(?P<dash>{SPACE}?{DASH}{SPACE}?)(?P<to>{_DAY}){_SUFFIX}?)?{END}(?!{SPACE}?%)(?:(?P<comma>,?{SPACE})(?P<year>{_YEAR}))?"
)
_MONTH_YEAR = re.compile(rf"(?P<month>{alternatives(_SHORT)})(?P<stop>\.?)(?P<gap>,?{SPACE})(?P<year>{_YEAR})")
_LONE_MONTH = re.compile(rf"(?P<month>{alternatives(_SHORT)})\.(?![A-Za-z0-9])")
_BEFORE_MONTH = re.compile(
    r"\b(?:in|of|since|by|until|from|to|next|last|this|late|early|mid|and|through)[ -]$", re.IGNORECASE
)
_WEEKDAY = re.compile(rf"(?P<day>{alternatives(WEEKDAYS)})\.?(?=,?{SPACE}(?:the )?(?:{MONTH}{END}|{_DAY}(?!,[0-9])))")
_LONE_WEEKDAY = re.compile(rf"(?P<day>{alternatives(WEEKDAYS)})\.(?![A-Za-z0-9])")
_BEFORE_WEEKDAY = re.compile(
    r"\b(?:on|by|until|till|from|to|next|last|this|every|and|through|or|since|late|early)[ -]$|[a-z]\.,? ?[-–] ?$",
    re.IGNORECASE,
)
_NAMED_DAYS = WEEKDAYS | {day: day for day in WEEKDAYS.values()}
_DAY_SPAN = re.compile(
    rf"(?P<one>{alternatives(_NAMED_DAYS)})(?P<dash>\.?{SPACE}?{DASH}{SPACE}?)(?P<two>{alternatives(_NAMED_DAYS)}){END}"
)
_MONTH_SPAN = re.compile(rf"(?P<one>{MONTH})(?P<dash>\.?{SPACE}?{DASH}{SPACE}?)(?P<two>{MONTH}){END}")
_ISO = re.compile(
    r"(?P<year>(?:1[0-9]|20)[0-9]{2})[-–/](?P<month>0[1-9]|1[0-2])[-–/](?P<day>0[1-9]|[12][0-9]|3[01])(?![0-9])(?P<t>T(?=[0-9]{2}:))?"
)
_SLASHES = re.compile(r"(?P<a>[0-3]?[0-9])/(?P<b>[0-3]?[0-9])/(?P<year>[12][0-9]{3}|[0-9]{2})(?![0-9/])")
_DOTS = re.compile(r"(?P<day>[0-3]?[0-9])\.(?P<month>[01]?[0-9])\.(?P<year>[12][0-9]{3})(?![0-9])")
_HALF_DAY = rf"{SPACE}?(?P<half>[aApP])(?:\.[mM]\.|\.?[mM]{END})"
_CLOCK = re.compile(
    rf"(?P<hour>[01]?[0-9]|2[0-4]):(?P<minute>[0-5][0-9])(?![0-9])(?::(?P<second>[0-5][0-9])(?:\.[0-9]{{1,6}})?(?![0-9:]))?(?:{_HALF_DAY})?"
)
_HOUR = re.compile(rf"(?P<hour>1[0-2]|0?[1-9]){_HALF_DAY}")
_POINT_CLOCK = re.compile(rf"(?P<hour>1[0-2]|0?[1-9])\.(?P<minute>[0-5][0-9]){_HALF_DAY}")  # "7.30pm", British
_RATIO = re.compile(r"(?P<one>[0-9]{1,5})(?P<x>:)(?P<two>[0-9]{1,5})(?:(?P<y>:)(?P<three>[0-9]{1,5}))?(?![0-9:A-Fa-f])")


def _month_day(day: str, month: int, year_text: str) -> str:
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(_full_year(year_text))}"


def _full_year(text: str) -> str:
    """A two-digit year means the century around now: 00 to 49 are 2000 to 2049."""
    return text if len(text) == 4 else ("20" if int(text) < 50 else "19") + text


def _say_day_month(match: re.Match[str]) -> list[Said] | None:
    """ "5 May 2024" -> the fifth of May twenty twenty-four."""
    the = "" if re.search(r"(?:^|\W)the\W$", before(match), re.IGNORECASE) else "the "
    said = [
        Said(
            the + ordinal(match.group("day")),
            match.start(),
            match.start("dash") if match.group("dash") else match.start("of"),
        )
    ]
    if match.group("dash"):
        said += [
            part(match, "dash", " to "),
            Said(the + ordinal(match.group("to")), match.start("to"), match.start("of")),
        ]
    said += [part(match, "of", " of "), Said(_NAMES[match.group("month")], match.start("month"), match.end("month"))]
    if match.group("year"):
        said += [part(match, "comma", " "), part(match, "year", year(match.group("year")))]
    return said


def _say_month_day(match: re.Match[str]) -> list[Said] | None:
    said = [part(match, "month", _NAMES[match.group("month")]), part(match, "stop", " ")]
    last = match.end("to") if match.group("to") else match.end("day")
    if match.group("to"):
        said += [part(match, "day", ordinal(match.group("day"))), Said(" to ", match.end("day"), match.start("to"))]
    first = match.start("to") if match.group("to") else match.start("day")
    end = match.start("comma") if match.group("year") else match.end()
    said.append(Said(ordinal(match.group("to") or match.group("day")), first, max(last, end)))
    if match.group("year"):
        said += [part(match, "comma", ", "), part(match, "year", year(match.group("year")))]
    return said


def _say_month_year(match: re.Match[str]) -> list[Said]:
    return [
        Said(_NAMES[match.group("month")], match.start(), match.start("gap")),
        part(match, "gap", " "),
        part(match, "year", year(match.group("year"))),
    ]


def _say_lone_month(match: re.Match[str]) -> list[Said] | None:
    """ "since Dec." is a month, "I met Jan." is not."""
    goes_on = after(match, 2).lstrip()[:1].islower()
    return without_stop(match, _NAMES[match.group("month")]) if goes_on or _BEFORE_MONTH.search(before(match)) else None


def _say_weekday(match: re.Match[str]) -> list[Said]:
    return whole(match, WEEKDAYS[match.group("day")])


def _say_name_span(match: re.Match[str]) -> list[Said]:
    """ "Mon–Fri", "Jan-Mar"."""
    names = _NAMES | _NAMED_DAYS
    return [
        part(match, "one", names[match.group("one")]),
        part(match, "dash", " to "),
        part(match, "two", names[match.group("two")]),
    ]


def _say_lone_weekday(match: re.Match[str]) -> list[Said] | None:
    """ "on Mon. at noon"."""
    return without_stop(match, WEEKDAYS[match.group("day")]) if _BEFORE_WEEKDAY.search(before(match)) else None


def _say_iso(match: re.Match[str]) -> list[Said]:
    words = _month_day(match.group("day"), int(match.group("month")), match.group("year"))
    return whole(match, words + (" at " if match.group("t") else ""))


def _say_slashes(match: re.Match[str]) -> list[Said] | None:
    """Month first, as in the United States, unless only the other order makes sense."""
    month, day = int(match.group("a")), int(match.group("b"))
    if month > 12:
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return whole(match, _month_day(str(day), month, match.group("year")))


def _say_dots(match: re.Match[str]) -> list[Said] | None:
    day, month = int(match.group("day")), int(match.group("month"))
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return whole(match, f"the {ordinal(day)} of {MONTHS[month - 1]} {year(match.group('year'))}")


def _clock_words(hour: int, minute: str | None, half: str | None) -> str:
    if minute is None or int(minute) == 0:
        if half:
            return cardinal(hour)
        if hour in (0, 24):
            return "midnight"
        return f"{cardinal(hour)} o'clock" if hour <= 12 else f"{cardinal(hour)} hundred"
    minutes = f"oh {cardinal(minute)}" if minute.startswith("0") else cardinal(minute)
    return f"{cardinal(hour)} {minutes}"


def _say_clock(match: re.Match[str]) -> list[Said] | None:
    """ "10:05 p.m." -> ten oh five P M; the stop of "p.m." stays where it ends a sentence."""
    groups = match.groupdict()
    second, half = groups.get("second"), groups["half"]
    words = _clock_words(int(groups["hour"]), groups.get("minute"), half)
    if second and int(second):
        words = (
            words.removesuffix(" o'clock").removesuffix(" hundred")
            + (" oh " if second[0] == "0" else " ")
            + cardinal(second)
        )
    if not half:
        return whole(match, words)
    end = match.end() - (match.group().endswith(".") and closes_sentence(after(match)))
    return [Said(words, match.start(), match.start("half")), Said(f" {half.upper()} M", match.start("half"), end)]


def _say_ratio(match: re.Match[str]) -> list[Said]:
    said = []
    for number, sign in (("one", "x"), ("two", "y"), ("three", None)):
        if match.group(number) is None:
            break
        said.append(part(match, number, cardinal(match.group(number))))
        if sign and match.group(sign):
            said.append(part(match, sign, " to "))
    return said


RULES = [
    Rule(LETTER, _DAY_SPAN, _say_name_span),
    Rule(LETTER, _MONTH_SPAN, _say_name_span),
    Rule(LETTER, _MONTH_DAY, _say_month_day),
    Rule(LETTER, _MONTH_YEAR, _say_month_year),
    Rule(LETTER, _WEEKDAY, _say_weekday),
    Rule(LETTER, _LONE_WEEKDAY, _say_lone_weekday),
    Rule(LETTER, _LONE_MONTH, _say_lone_month),
    Rule(DIGIT, _ISO, _say_iso),
    Rule(DIGIT, _SLASHES, _say_slashes),
    Rule(DIGIT, _DOTS, _say_dots),
    Rule(DIGIT, _DAY_MONTH, _say_day_month),
    Rule(DIGIT, _CLOCK, _say_clock),
    Rule(DIGIT, _POINT_CLOCK, _say_clock),
    Rule(DIGIT, _HOUR, _say_clock),
    Rule(DIGIT, _RATIO, _say_ratio),
]
