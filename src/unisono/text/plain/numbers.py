"""English number words: cardinals, ordinals, decimals, years, digits, fractions, Roman numerals. Strings in and out."""

from __future__ import annotations

import re
from functools import lru_cache

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
SMALL = tuple(_SMALL.split())
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion")
LONGEST_CARDINAL = 3 * len(SCALES)  # digits; longer numbers are read digit by digit
_IRREGULAR_ORDINALS = dict(
    one="first", two="second", three="third", five="fifth", eight="eighth", nine="ninth", twelve="twelfth"
)
_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = dict(I=1, V=5, X=10, L=50, C=100, D=500, M=1000)


@lru_cache(maxsize=4096)
def cardinal(number: int | str) -> str:
    """ "1234" -> "one thousand two hundred thirty-four"; separators are ignored, very long numbers read as digits."""
    text = re.sub(r"[^0-9]", "", str(number))
    sign = "minus " if str(number).startswith("-") else ""
    if len(text) > LONGEST_CARDINAL:
        return sign + digits(text)
    value = int(text or 0)
    if value == 0:
        return sign + "zero"
    words: list[str] = []
    scale = 0
    while value:
        value, group = divmod(value, 1000)
        if group:
            words.insert(0, f"{_below_thousand(group)} {SCALES[scale]}".strip())
        scale += 1
    return sign + " ".join(words)


def _below_hundred(value: int) -> str:
    if value < 20:
        return SMALL[value]
    tens, ones = divmod(value, 10)
    return TENS[tens] + (f"-{SMALL[ones]}" if ones else "")


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    if not hundreds:
        return _below_hundred(rest)
    return f"{SMALL[hundreds]} hundred" + (f" {_below_hundred(rest)}" if rest else "")


def ordinal(number: int | str) -> str:
    """ "21" -> "twenty-first"."""
    head, mark, last = re.match(r"(.*?)([ -]?)([a-z]+)$", cardinal(number)).groups()  # type: ignore[union-attr]
    if last in _IRREGULAR_ORDINALS:
        last = _IRREGULAR_ORDINALS[last]
    else:
        last = (last[:-1] + "ie" if last.endswith("y") else last) + "th"
    return head + mark + last


def digits(text: str) -> str:
    """ "305" -> "three zero five"; other characters are ignored."""
    return " ".join(SMALL[int(character)] for character in text if "0" <= character <= "9")


def decimal(text: str) -> str:
    """ "3.14" -> "three point one four", ".5" -> "point five", "1,000" -> "one thousand", "007" -> digits."""
    whole, _, fraction = text.partition(".")
    whole = whole.replace(",", "")
    if len(whole) > 1 and whole.startswith("0"):
        spoken = digits(whole)
    else:
        spoken = cardinal(whole) if whole else ""
    return f"{spoken} point {digits(fraction)}".strip() if fraction else spoken


def year(text: str) -> str:
    """ "1984" -> "nineteen eighty-four", "2005" -> "two thousand five", "1900" -> "nineteen hundred"."""
    value = int(text)
    high, low = divmod(value, 100)
    if value < 1000 or value > 9999 or value % 1000 < 10:
        return cardinal(value)
    if low == 0:
        return f"{_below_hundred(high)} hundred"
    return f"{_below_hundred(high)} " + (f"oh {SMALL[low]}" if low < 10 else _below_hundred(low))


def decade(text: str) -> str:
    """ "1990" -> "nineteen nineties", "90" -> "nineties", "1900" -> "nineteen hundreds"."""
    if int(text) == 0:
        return "two thousands"
    return plural(_below_hundred(int(text)) if len(text) == 2 else year(text))


def plural(word: str) -> str:
    """ "twenty" -> "twenties", "two" -> "twos", "six" -> "sixes"."""
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith("x") else "s")


def fraction(top: str, bottom: str) -> str:
    """ "3", "4" -> "three quarters"; uncommon denominators as "ten over thirty-seven"."""
    numerator, denominator = int(top), int(bottom)
    if denominator in (0, 1) or (denominator > 20 and denominator not in (32, 50, 64, 100, 1000)):
        return f"{cardinal(top)} over {cardinal(bottom)}"
    one = {2: "half", 4: "quarter"}.get(denominator) or ordinal(denominator)
    many = "halves" if denominator == 2 else one + "s"
    return f"{cardinal(top)} {one if numerator == 1 else many}"


def roman(text: str) -> int | None:
    """The value of a well-formed Roman numeral in capitals; None for anything else."""
    if not text or not _ROMAN.fullmatch(text):
        return None
    total = 0
    for character, following in zip(text, [*text[1:], ""], strict=True):
        value = _ROMAN_VALUES[character]
        total += -value if following and _ROMAN_VALUES[following] > value else value
    return total


def is_one(text: str) -> bool:
    """Whether a written number takes a singular noun."""
    return text in ("1", "-1")


def code(text: str) -> str:
    """A number in a name, as people read it: "16" sixteen, "320" three twenty, "2600" a number, else digits."""
    if len(text) > 4 or text.startswith("0"):
        return digits(text)
    if len(text) < 3:
        return cardinal(text)
    high, low = divmod(int(text), 100)
    if len(text) == 4:
        return year(text) if high % 10 or low else cardinal(text)
    return f"{SMALL[high]} " + ("hundred" if low == 0 else f"oh {SMALL[low]}" if low < 10 else _below_hundred(low))
