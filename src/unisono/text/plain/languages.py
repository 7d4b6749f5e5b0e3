"""Numbers, money, percent and signs in languages other than English; number words by num2words."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache, partial
from typing import NamedTuple

from unisono.errors import InputError
from unisono.text.normalized import Said
from unisono.text.plain.chinese import chinese_number
from unisono.text.plain.rules import DIGIT, OTHER, Rule, after, before, whole
from unisono.text.plain.symbols import EMOJI_RULES, SILENT_RULES


class Words(NamedTuple):
    """What a language says beside number words.

    Attributes:
        decimal: the decimal sign as written; the other of "." and "," groups thousands.
        point: the word for it.
        percent, euro, dollar, pound, plus, equals, at, and_: words for signs.
        minus: the word before a negative number.
        spaced: whether words are separated by spaces.
    """

    decimal: str
    point: str
    percent: str
    euro: str
    dollar: str
    pound: str
    and_: str
    plus: str
    equals: str
    minus: str
    degrees: str
    to: str
    clock: str = "{hour} {minute}"
    spaced: bool = True


TABLE = {
    "de": Words(
        ",",
        "Komma",
        "Prozent",
        "Euro",
        "Dollar",
        "Pfund",
        "und",
        "plus",
        "gleich",
        "minus",
        "Grad",
        "bis",
        "{hour} Uhr {minute}",
    ),
    "fr": Words(
        ",",
        "virgule",
        "pour cent",
        "euros",
        "dollars",
        "livres",
        "et",
        "plus",
        "égale",
        "moins",
        "degrés",
        "à",
        "{hour} heures {minute}",
    ),
    "es": Words(
        ",",
        "coma",
        "por ciento",
        "euros",
        "dólares",
        "libras",
        "y",
        "más",
        "igual a",
        "menos",
        "grados",
        "a",
        "{hour} y {minute}",
    ),
    "it": Words(
        ",",
        "virgola",
        "per cento",
        "euro",
        "dollari",
        "sterline",
        "e",
        "più",
        "uguale",
        "meno",
        "gradi",
        "a",
        "{hour} e {minute}",
    ),
    "pt": Words(
        ",",
        "vírgula",
        "por cento",
        "euros",
        "dólares",
        "libras",
        "e",
        "mais",
        "igual a",
        "menos",
        "graus",
        "a",
        "{hour} e {minute}",
    ),
    "pl": Words(
        ",", "przecinek", "procent", "euro", "dolarów", "funtów", "i", "plus", "równa się", "minus", "stopni", "do"
    ),
    "nl": Words(
        ",",
        "komma",
        "procent",
        "euro",
        "dollar",
        "pond",
        "en",
        "plus",
        "is",
        "min",
        "graden",
        "tot",
        "{hour} uur {minute}",
    ),
    "ru": Words(
        ",", "запятая", "процентов", "евро", "долларов", "фунтов", "и", "плюс", "равно", "минус", "градусов", "до"
    ),
    "ar": Words(".", "فاصلة", "بالمئة", "يورو", "دولار", "جنيه", "و", "زائد", "يساوي", "سالب", "درجة", "إلى"),
    "ja": Words(
        ".",
        "点",
        "パーセント",
        "ユーロ",
        "ドル",
        "ポンド",
        "と",
        "プラス",
        "イコール",
        "マイナス",
        "度",
        "から",
        "{hour}時{minute}分",
        spaced=False,
    ),
    "zh": Words(
        ".",
        "点",
        "百分之",
        "欧元",
        "美元",
        "英镑",
        "和",
        "加",
        "等于",
        "负",
        "度",
        "到",
        "{hour}点{minute}分",
        spaced=False,
    ),
    "ko": Words(
        ".",
        "점",
        "퍼센트",
        "유로",
        "달러",
        "파운드",
        "와",
        "더하기",
        "는",
        "마이너스",
        "도",
        "에서",
        "{hour}시 {minute}분",
    ),
    "sv": Words(
        ",", "komma", "procent", "euro", "dollar", "pund", "och", "plus", "är lika med", "minus", "grader", "till"
    ),
    "cs": Words(",", "čárka", "procent", "eur", "dolarů", "liber", "a", "plus", "rovná se", "minus", "stupňů", "až"),
    "tr": Words(",", "virgül", "yüzde", "avro", "dolar", "sterlin", "ve", "artı", "eşittir", "eksi", "derece", "ile"),
}
_ALIASES = {"ch": "zh", "cn": "zh", "jp": "ja", "kr": "ko"}  # "ch" is how the published aligners name Chinese
_LONGEST = 15  # digits; longer numbers are read digit by digit


def canonical(language: str) -> str:
    """ "en-US" -> "en", "ch" -> "zh". Raises InputError for a language without rules."""
    code = re.split("[-_]", str(language).strip().lower())[0]
    code = _ALIASES.get(code, code)
    if code != "en" and code not in TABLE:
        raise InputError(f"no text rules for language {language!r}; choose one of {', '.join(sorted(('en', *TABLE)))}")
    return code


def spaced(code: str) -> bool:
    """Whether a language sets spaces between its words."""
    return code not in TABLE or TABLE[code].spaced


def number(text: str, language: str, words: Words) -> str:
    """A plain number with "." as decimal sign, in words, digit by digit where it is too long or starts with 0."""
    main, _, fraction = text.partition(".")
    if len(main) > _LONGEST or (len(main) > 1 and main.startswith("0")):
        spoken = [_integer(digit, language) for digit in main]
    else:
        spoken = [_integer(main or "0", language)]
    if fraction:
        spoken += [words.point, *(_integer(digit, language) for digit in fraction)]
    return (" " if words.spaced else "").join(spoken)


@lru_cache(maxsize=4096)
def _integer(text: str, language: str) -> str:
    if language == "zh":
        return chinese_number(int(text))
    from num2words import num2words  # takes a tenth of a second to import

    return num2words(Decimal(text), lang=language).strip()


def _year(text: str, language: str) -> str:
    """German, Dutch and Swedish read 1984 as nineteen hundred eighty-four; the others as a number."""
    if language in ("de", "nl") and 1100 <= int(text) < 2000:
        from num2words import num2words

        return num2words(int(text), lang=language, to="year")
    return _integer(text, language)


@lru_cache(maxsize=16)
def rules(language: str) -> tuple[Rule, ...]:
    """All rules of a language other than English."""
    words = TABLE[language]
    point, group = re.escape(words.decimal), re.escape("." if words.decimal == "," else ",")
    numeral = (
        rf"(?:[0-9]{{1,3}}(?:(?:{group}|[ \u00a0\u202f])[0-9]{{3}}){{1,5}}(?![0-9])|[0-9]+)(?:{point}[0-9]{{1,20}})?"
    )
    patterns: list[tuple[str, str, Callable[..., list[Said] | None]]] = [
        (DIGIT, r"(?P<hour>[01]?[0-9]|2[0-3])[:h](?P<minute>[0-5][0-9])(?![0-9:])(?: ?Uhr)?", _say_clock),
        (DIGIT, rf"(?P<number>{numeral}) ?(?P<unit>%|€|\$|£|°C?)", _say_unit),
        ("€$£", rf"(?P<unit>[€$£]) ?(?P<number>{numeral})", _say_unit),
        (DIGIT, r"(?P<number>1[1-9][0-9]{2})(?![0-9.,])", _say_year),
        (DIGIT, rf"(?P<number>{numeral})", _say_number),
        ("-–—−", r"[-–—−](?=[0-9])", _say_dash),
        ("&+=%€$£°", r"(?P<sign>[&+=%€$£°])", _say_sign),
    ]
    own = [Rule(starts, re.compile(pattern), partial(say, language=language)) for starts, pattern, say in patterns]
    foreign = Rule(DIGIT, re.compile(r"[^\W\D0-9]{1,30}"), partial(_say_foreign_digits, language=language))
    return (*own, foreign, *SILENT_RULES, *(rule for rule in EMOJI_RULES_SILENT))


def _plain(text: str, words: Words) -> str:
    """Without grouping signs, with "." as decimal sign."""
    main, _, fraction = text.partition(words.decimal)
    main = re.sub(r"[^0-9]", "", main)
    return f"{main}.{fraction}" if fraction else main


def _join(words: Words, *parts: str) -> str:
    return (" " if words.spaced else "").join(parts)


def _say_number(match: re.Match[str], language: str) -> list[Said]:
    words = TABLE[language]
    return whole(match, number(_plain(match.group("number"), words), language, words))


def _say_year(match: re.Match[str], language: str) -> list[Said]:
    return whole(match, _year(match.group("number"), language))


def _say_unit(match: re.Match[str], language: str) -> list[Said]:
    words = TABLE[language]
    spoken = number(_plain(match.group("number"), words), language, words)
    unit = match.group("unit")
    name = {"%": words.percent, "€": words.euro, "$": words.dollar, "£": words.pound}.get(unit, words.degrees)
    first = unit == "%" and language in ("zh", "tr")
    return whole(
        match,
        _join(words, name, spoken)
        if first
        else _join(words, spoken, name) + (" Celsius" if unit == "°C" and language == "de" else ""),
    )


def _say_clock(match: re.Match[str], language: str) -> list[Said]:
    words = TABLE[language]
    minute = "" if int(match.group("minute")) == 0 else _integer(str(int(match.group("minute"))), language)
    spoken = words.clock.format(hour=_integer(str(int(match.group("hour"))), language), minute=minute).strip()
    return whole(
        match,
        spoken.removesuffix(" y").removesuffix(" e").replace("点分", "点").replace("時分", "時").replace(" 분", ""),
    )


def _say_dash(match: re.Match[str], language: str) -> list[Said] | None:
    words = TABLE[language]
    space = " " if words.spaced else ""
    previous = before(match, 1)
    if previous.isdigit() or previous == "%":
        return whole(match, f"{space}{words.to}{space}")
    return whole(match, words.minus + space) if not previous or previous in " (\t\n" else None


def _say_sign(match: re.Match[str], language: str) -> list[Said]:
    words = TABLE[language]
    names = {"&": words.and_, "+": words.plus, "=": words.equals, "%": words.percent}
    names |= {"€": words.euro, "$": words.dollar, "£": words.pound, "°": words.degrees}
    gap = " " if after(match, 1).strip() and TABLE[language].spaced else ""
    return whole(match, names[match.group("sign")] + gap, apart=True)


def _say_foreign_digits(match: re.Match[str], language: str) -> list[Said] | None:
    """Digits of other scripts, such as Arabic-Indic ones."""
    words = TABLE[language]
    text = "".join(str(int(character)) for character in match.group())
    return whole(match, number(text, language, words))


EMOJI_RULES_SILENT = tuple(Rule(OTHER, rule.pattern, lambda match: whole(match, "")) for rule in EMOJI_RULES)
