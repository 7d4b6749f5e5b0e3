"""Money and percent."""

from __future__ import annotations

import re

from unisono.text.normalized import Said
from unisono.text.plain.numbers import cardinal, is_one
from unisono.text.plain.rules import (
    AMOUNT,
    DASH,
    DIGIT,
    END,
    LETTER,
    MAGNITUDE,
    MAGNITUDE_SUFFIXES,
    NUMBER,
    SPACE,
    Rule,
    after,
    after_article,
    alternatives,
    before,
    number_words,
    whole,
)

# one, many, one hundredth, many hundredths
_DOLLAR = ("dollar", "dollars", "cent", "cents")
CURRENCIES = {
    "$": _DOLLAR,
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""),
    "₽": ("ruble", "rubles", "kopek", "kopeks"),
    "₺": ("lira", "lira", "kurush", "kurush"),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "₫": ("dong", "dong", "", ""),
    "₪": ("shekel", "shekels", "agora", "agorot"),
    "¢": ("cent", "cents", "", ""),
}
_COUNTRIES = {"US$": "U S", "A$": "Australian", "AU$": "Australian", "C$": "Canadian", "CA$": "Canadian",
              "NZ$": "New Zealand", "HK$": "Hong Kong", "S$": "Singapore", "R$": "Brazilian"}  # fmt: skip
_CODES = {
    "USD": ("U S dollar", "U S dollars", "cent", "cents"),
    "EUR": CURRENCIES["€"],
    "GBP": ("British pound", "British pounds", "penny", "pence"),
    "JPY": CURRENCIES["¥"],
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "INR": CURRENCIES["₹"],
    "CNY": ("yuan", "yuan", "", ""),
    "RMB": ("yuan", "yuan", "", ""),
    "BTC": CURRENCIES["₿"],
}
_SYMBOL = "(?P<symbol>" + alternatives([*_COUNTRIES, *(set(CURRENCIES) - {"¢"})]) + ")"
_AMOUNT = rf"(?P<number>{AMOUNT})"
_SIZE = rf"(?:(?P<gap>{SPACE}|-)(?P<size>{MAGNITUDE}){END}|(?P<suffix>[kKmMbB]|mn|bn|tn){END})?"
_FIRST = re.compile(rf"(?P<sign>{DASH}?)(?:{_SYMBOL})(?P<inner>{DASH}|{SPACE})?{_AMOUNT}{_SIZE}")
_FIRST_RANGE = re.compile(
    rf"(?:{_SYMBOL}){SPACE}?(?P<low>{NUMBER})(?P<dash>{SPACE}?{DASH}{SPACE}?)(?P<again>\$|£|€)?{_AMOUNT}{_SIZE}(?!%)"
)
_LAST = re.compile(rf"{_AMOUNT}{_SIZE}{SPACE}?(?P<unit>[$£€¥₹₩₽¢](?![0-9])|(?:{alternatives(_CODES)}){END})")
_PERCENT = re.compile(rf"{_AMOUNT}{SPACE}?(?P<unit>%|‰)")
_CODE_FIRST = re.compile(rf"(?P<unit>{alternatives(_CODES)}){SPACE}?{_AMOUNT}{_SIZE}")
# "€1.234,56": point and comma as on the European continent
_EUROPEAN = re.compile(
    rf"(?:(?P<symbol>[$£€]){SPACE}?)?(?P<number>[0-9]{{1,3}}(?:\.[0-9]{{3}}){{1,4}},[0-9]{{2}})(?![0-9])(?:{SPACE}?(?P<last>[€£$]))?"
)
_NOUN = re.compile(
    r" (?:bills?|notes?|coins?|checks?|cheques?|fees?|fines?|tickets?|prizes?|deposits?|discounts?|vouchers?|deals?|"
    r"coupons?|tips?|bonus|budget|grant|gift)\b"
)


def _names(symbol: str) -> tuple[str, str, str, str]:
    if symbol in _CODES:
        return _CODES[symbol]
    if symbol == "R$":
        return "Brazilian real", "Brazilian reais", "centavo", "centavos"
    if symbol in _COUNTRIES:
        country = _COUNTRIES[symbol]
        return f"{country} dollar", f"{country} dollars", "cent", "cents"
    return CURRENCIES[symbol]


def _amount(number: str, size: str, names: tuple[str, str, str, str], single: bool) -> tuple[str, str]:
    """(number words, unit words) of a sum; "3.50" of dollars gives ("three dollars and fifty", "cents")."""
    one, many, small_one, small_many = names
    main, _, fraction = number.replace(",", "").partition(".")
    if size:
        return number_words(number), f"{size} {one if single else many}"
    if len(fraction) == 2 and small_one:
        cents = cardinal(fraction)
        small = small_one if int(fraction) == 1 else small_many
        if int(fraction) == 0:
            return cardinal(main or "0"), one if single or is_one(main) else many
        if int(main or 0) == 0:
            return cents, small
        return f"{cardinal(main)} {one if is_one(main) else many} and {cents}", small
    return number_words(number), one if single or is_one(number) else many


def _size(match: re.Match[str]) -> str:
    suffix = match.group("suffix")
    return match.group("size") or (MAGNITUDE_SUFFIXES[suffix.lower()] if suffix else "")


def _say(match: re.Match[str], symbol: str, sign: str = "") -> list[Said]:
    """A sum of money: the size word ("million") is a word of its own in the source and gets a part of its own."""
    single = match.group("gap") == "-" or (after_article(match) and after(match, 2)[1:].isalpha())
    single = single or bool(_NOUN.match(match.string, match.end()))
    number, unit = _amount(match.group("number"), _size(match), _names(symbol), single)
    if match.group("gap") and match.group("gap") != "-":
        place = match.start("gap")
        return [Said(sign + number, match.start(), place), Said(f" {unit}", place, match.end())]
    return whole(match, f"{sign}{number} {unit}")


def _say_first(match: re.Match[str]) -> list[Said] | None:
    sign = match.group("sign")
    inner = (match.group("inner") or "").strip()
    if sign and before(match, 1).strip(" ("):
        return None  # a range such as €5–€10: the dash is read by itself
    return _say(match, match.group("symbol"), "minus " if sign or inner else "")


def _say_range(match: re.Match[str]) -> list[Said] | None:
    if match.group("symbol") in _COUNTRIES and match.group("again"):
        return None
    number, unit = _amount(match.group("number"), _size(match), _names(match.group("symbol")), False)
    low = match.group("low")
    if "." in low and not _size(match):
        return None
    low_end = match.end("low")
    return [
        Said(number_words(low), match.start(), low_end),
        Said(" to ", low_end, match.end("dash")),
        Said(f"{number} {unit}", match.end("dash"), match.end()),
    ]


def _say_european(match: re.Match[str]) -> list[Said] | None:
    symbol = match.group("symbol") or match.group("last")
    if symbol is None or (match.group("symbol") and match.group("last")):
        return None
    number = match.group("number").replace(".", "").replace(",", ".")
    return whole(match, " ".join(_amount(number, "", _names(symbol), False)))


def _say_last(match: re.Match[str]) -> list[Said]:
    return _say(match, match.group("unit"))


def _say_percent(match: re.Match[str]) -> list[Said]:
    unit = "percent" if match.group("unit") == "%" else "per mille"
    return whole(match, f"{number_words(match.group('number'))} {unit}")


RULES = [
    Rule(DIGIT + "$£€", _EUROPEAN, _say_european),
    Rule(LETTER + "$£€¥₹₩₽₺₿₫₪", _FIRST_RANGE, _say_range),
    Rule(LETTER + "$£€¥₹₩₽₺₿₫₪-–—−", _FIRST, _say_first),
    Rule(LETTER, _CODE_FIRST, _say_last),
    Rule(DIGIT + ".", _PERCENT, _say_percent),
    Rule(DIGIT + ".", _LAST, _say_last),
]
