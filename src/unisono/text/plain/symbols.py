"""Signs that are read as words, emoji by their names, and signs that are not read at all."""

from __future__ import annotations

import re
import unicodedata

from unisono.text.normalized import Said
from unisono.text.plain.numbers import cardinal
from unisono.text.plain.rules import LETTER, OTHER, SPACE, Rule, after, before, part, whole

_TAG = re.compile(
    r"\[(?:/?(?:pause|rate)(?:[:\s][^\[\]\n]{0,40})?|/say|say:[^\[\]|\n]{0,200}\|[^\[\]\n]{0,200})\]", re.IGNORECASE
)
_WORDS = {
    "&": "and", "+": "plus", "=": "equals", "×": "times", "÷": "divided by", "±": "plus or minus",
    "≈": "approximately", "≠": "is not equal to", "≤": "is less than or equal to", "≥": "is greater than or equal to",
    "°": "degrees", "√": "square root of", "∞": "infinity", "§": "section", "©": "copyright", "№": "number",
    "%": "percent", "‰": "per mille", "@": "at", "€": "euros", "£": "pounds", "$": "dollars", "¥": "yen",
    "¢": "cents", "→": "to", "⇒": "implies", "∑": "sum", "∫": "integral", "∈": "in", "∂": "partial", "¬": "not",
    "¶": "paragraph", "†": "", "‡": "", "℃": "degrees Celsius", "℉": "degrees Fahrenheit", "\\": "backslash",
}  # fmt: skip
_SILENT = "®™•·*`_|~^<>{}←↑↓■□▪●○◦※†‡¦¤¨¯¸"
_SIGN = re.compile("&&|[" + re.escape("".join(_WORDS)) + "]")
_SILENT_SIGN = re.compile("&&|[" + re.escape(_SILENT) + "]{1,80}")
_RULER = re.compile(r"([-=_*#~+.])\1{3,}")
_SHARP = re.compile(r"(?P<note>[A-Ga-g])#(?![A-Za-z0-9])")
_PLUS_PLUS = re.compile(r"(?P<name>[A-Za-z])(?P<plus>\+\+)(?![+0-9])")
_NUMBER_SIGN = re.compile(rf"#{SPACE}?(?=[0-9])")
_MARKUP = re.compile(
    r"</?(?:[abipsu]|br|em|strong|div|span|h[1-6]|li|ul|ol|code|pre|sub|sup|img|table|tr|td|th)(?:\s[^<>]{0,200})?/?>",
    re.IGNORECASE,
)
_COPYRIGHT = re.compile(r"\([cC]\)(?= ?(?:19|20)[0-9]{2})")
_PER_WORDS = frozenset(("hour", "day", "second", "minute", "week", "month", "year", "gallon", "person", "night"))
_FAMILY = re.compile("[\U0001f466-\U0001f469\U0001f9d1][^ ]{0,4}\u200d[\U0001f466-\U0001f469\U0001f9d1]")
_HASH = re.compile(r"#{1,6}")
_ABOUT = re.compile(r"[~≈](?=[$£€]?\.?[0-9])")
_COMPARE = re.compile(r"(?P<sign><=|>=|!=|==|<|>)(?=[ ]?[-$]?\.?[0-9]|[ ][A-Za-z](?![A-Za-z]))")
_COMPARISONS = {
    "<": "is less than",
    ">": "is greater than",
    "<=": "is less than or equal to",
    ">=": "is greater than or equal to",
    "!=": "is not equal to",
    "==": "equals",
}
_TIMES = re.compile(r"[ ]?\*[ ]?(?=[0-9])")
_POWER = re.compile(r"\^(?P<number>[0-9]{1,3}|[a-z](?![a-z]))")
_SUPERSCRIPT = re.compile("⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4}")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]{1,4}")
_PER = {
    "month": "month", "mo": "month", "year": "year", "yr": "year", "week": "week", "wk": "week", "day": "day",
    "night": "night", "hour": "hour", "hr": "hour", "h": "hour", "minute": "minute", "min": "minute",
    "second": "second", "sec": "second", "s": "second", "person": "person", "kg": "kilogram", "lb": "pound",
    "gallon": "gallon", "gal": "gallon", "mile": "mile", "km": "kilometer", "ton": "ton", "barrel": "barrel",
    "liter": "liter", "litre": "liter", "L": "liter", "unit": "unit", "user": "user", "piece": "piece",
    "kWh": "kilowatt hour", "share": "share", "acre": "acre", "sq": "square",
}  # fmt: skip
_PER_UNIT = re.compile(r"/(?P<unit>[A-Za-z]{1,8})(?![A-Za-z/])")
_SLASH = re.compile(rf"{SPACE}?/{SPACE}?(?=\w)")
_EITHER = frozenset(
    ("either", "or", "he", "she", "his", "her", "him", "yes", "no", "s/he", "true", "false", "on", "off", "his/her")
)
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "κ": "kappa", "λ": "lambda", "μ": "mu", "µ": "micro", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma",
    "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Δ": "delta", "Γ": "gamma", "Θ": "theta",
    "Λ": "lambda", "Π": "pi", "Σ": "sigma", "Φ": "phi", "Ψ": "psi", "Ω": "omega",
}  # fmt: skip
_LONE_GREEK = re.compile("[" + "".join(_GREEK) + "](?![\u0370-\u03ff\u1f00-\u1fff])")
_EMOTICON = re.compile(r"(?:[:;=8][-o']?[)(\]\[DPp|/\\](?![A-Za-z0-9/])|<3(?![0-9]))")
_EMOJI_BASE = "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u231a-\u23ff\u3030\u303d\u3297\u3299"
_EMOJI_JOINERS = "\ufe0e\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"
_EMOJI = re.compile(
    rf"(?P<sign>[{_EMOJI_BASE}])[{_EMOJI_JOINERS}]{{0,20}}(?:(?<=\u200d)[{_EMOJI_BASE}][{_EMOJI_JOINERS}]{{0,20}}){{0,6}}"
    rf"(?:(?P=sign)[{_EMOJI_JOINERS}]{{0,4}}){{0,50}}"
)
_JOINERS = re.compile(f"[{_EMOJI_JOINERS}]+")
_EMOJI_NAMES = {
    "❤": "red heart", "♥": "heart", "✔": "check mark", "✅": "check mark", "⭐": "star", "🙂": "slightly smiling face",
    "✨": "sparkles", "👍": "thumbs up", "👎": "thumbs down", "🙏": "folded hands", "🤷": "shrug", "⚡": "lightning",
    "☕": "coffee", "➡": "", "⬅": "", "⬆": "", "⬇": "",
}  # fmt: skip
_NAME_NOISE = re.compile(
    r"\b(?:sign|symbol|white|black|heavy|with variation selector|emoji modifier|negative squared|squared)\b ?"
)
_FLAG_LETTERS = "\U0001f1e6-\U0001f1ff"
_FLAG = re.compile(f"[{_FLAG_LETTERS}]{{1,2}}")


def emoji_name(sign: str) -> str:
    """ "😀" -> "grinning face"; "" for one without a name."""
    if sign in _EMOJI_NAMES:
        return _EMOJI_NAMES[sign]
    return _NAME_NOISE.sub("", unicodedata.name(sign, "").lower()).strip().replace("-", " ")


def _say_tag(match: re.Match[str]) -> list[Said]:
    """Control tags are left for those who act on them."""
    return whole(match, match.group())


def _say_sign(match: re.Match[str]) -> list[Said] | None:
    gap = "" if not after(match, 1).strip() or after(match, 1) in ".,!?;:)" else " "
    word = _WORDS[match.group()[0]]
    if not before(match, 2).strip():
        word = word.removeprefix("is ")
    return whole(match, word + gap, apart=True) if word else whole(match, "")


def _say_nothing(match: re.Match[str]) -> list[Said]:
    """Dropped; a sign between two words leaves a space."""
    return whole(match, " " if before(match, 1).isalnum() and after(match, 1).isalnum() else "")


def _say_sharp(match: re.Match[str]) -> list[Said] | None:
    return None if before(match, 1).isalnum() else whole(match, f"{match.group('note')} sharp")


def _say_plus_plus(match: re.Match[str]) -> list[Said] | None:
    return (
        None
        if before(match, 1).isalnum()
        else [part(match, "name", match.group("name")), part(match, "plus", " plus plus")]
    )


def _say_number_sign(match: re.Match[str]) -> list[Said]:
    return whole(match, "number ", apart=before(match, 1).isalnum())


def _say_copyright(match: re.Match[str]) -> list[Said]:
    return whole(match, "copyright")


def _say_hash(match: re.Match[str]) -> list[Said]:
    at_start = before(match, 1) in ("", "\n")  # a heading in Markdown
    return whole(match, "" if at_start else "hash" + (" " if after(match, 1).strip() else ""), apart=True)


def _say_about(match: re.Match[str]) -> list[Said]:
    return whole(match, "about ")


def _say_compare(match: re.Match[str]) -> list[Said]:
    spoken = _COMPARISONS[match.group("sign")]
    if not before(match, 2).strip():
        spoken = spoken.removeprefix("is ")
    return whole(match, spoken + ("" if after(match, 1) == " " else " "), apart=True)


def _say_times(match: re.Match[str]) -> list[Said] | None:
    return whole(match, " times ") if before(match, 1).isdigit() else None


def _say_power(match: re.Match[str]) -> list[Said] | None:
    if not (before(match, 1).isalnum() or before(match, 1) == ")"):
        return None
    return whole(match, _power(match.group("number")), apart=True)


def _power(text: str) -> str:
    return {"2": "squared", "3": "cubed"}.get(
        text
    ) or f"to the power of {cardinal(text) if text[-1].isdigit() else text}"


def _say_superscript(match: re.Match[str]) -> list[Said]:
    """A power after a letter, digit or bracket; a footnote mark after a longer word."""
    text = "".join(str(unicodedata.digit(character)) for character in match.group().lstrip("⁻"))
    text = ("-" if match.group()[0] == "⁻" else "") + text
    in_word = before(match, 3).isalpha() and len(before(match, 3)) == 3
    if in_word or not (before(match, 1).isalnum() or before(match, 1) == ")"):
        return whole(match, "")
    return whole(match, _power(text), apart=True)


def _say_subscript(match: re.Match[str]) -> list[Said]:
    text = "".join(str(unicodedata.digit(character)) for character in match.group())
    return whole(match, cardinal(text), apart=before(match, 1).isalnum())


def _say_per(match: re.Match[str]) -> list[Said] | None:
    """ "$20/month", "5 lb/day": per, after a number or its unit."""
    unit = _PER.get(match.group("unit"))
    if unit is None or not re.search(r"[0-9%][^\s]{0,4}$|[0-9] ?[A-Za-z]{1,6}$", before(match, 12)):
        return None
    return whole(match, f" per {unit}")


def _say_slash(match: re.Match[str]) -> list[Said] | None:
    left = re.search(r"([A-Za-z']+)$", before(match))
    right = re.match(r"[A-Za-z']+", after(match, 20))
    if match.group().strip() != match.group() and before(match, 1).isdigit() and right is None:
        return whole(match, " divided by ")
    if left and right and left.group(1).lower() == "either":
        return whole(match, " ")
    if left and right and right.group().lower() in _PER_WORDS and left.group(1)[-1] in "sS":
        return whole(match, " per ")
    if left and right and left.group(1).lower() in _EITHER and right.group().lower() in _EITHER:
        return whole(match, " or ")
    return whole(match, " slash ")


def _say_greek(match: re.Match[str]) -> list[Said] | None:
    previous = before(match, 1)
    if "\u0370" <= previous <= "\u03ff":
        return None
    return whole(match, _GREEK[match.group()], apart=previous.isalnum())


def _say_emoji(match: re.Match[str]) -> list[Said]:
    """One name for an emoji and its repetitions."""
    name = "family" if _FAMILY.match(match.group()) else emoji_name(match.group("sign"))
    return whole(match, name + (" " if name and after(match, 1) not in ("", " ", *".,!?;:)\n") else ""), apart=True)


def _say_flag(match: re.Match[str]) -> list[Said]:
    return whole(match, "flag" + (" " if after(match, 1).strip() else ""), apart=True)


def _say_emoticon(match: re.Match[str]) -> list[Said] | None:
    if before(match, 1) and not (before(match, 1).isspace() or before(match, 1) in ".!?,"):
        return None
    return whole(match, "heart" if match.group() == "<3" else "")


TAG_RULES = [Rule("[", _TAG, _say_tag)]
EMOJI_RULES = [
    Rule(OTHER, _FLAG, _say_flag),
    Rule(OTHER, _EMOJI, _say_emoji),
    Rule(OTHER, _JOINERS, _say_nothing),
]
SILENT_RULES = [Rule(_SILENT, _SILENT_SIGN, _say_nothing)]
RULES = [
    Rule("-=_*#~+.", _RULER, _say_nothing),
    Rule(":;=8<", _EMOTICON, _say_emoticon),
    Rule(LETTER, _SHARP, _say_sharp),
    Rule(LETTER, _PLUS_PLUS, _say_plus_plus),
    Rule("#", _NUMBER_SIGN, _say_number_sign),
    Rule("#", _HASH, _say_hash),
    Rule("(", _COPYRIGHT, _say_copyright),
    Rule("~≈", _ABOUT, _say_about),
    Rule("<", _MARKUP, _say_nothing),
    Rule("<>!=", _COMPARE, _say_compare),
    Rule(" *", _TIMES, _say_times),
    Rule("^", _POWER, _say_power),
    Rule("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", _SUPERSCRIPT, _say_superscript),
    Rule("₀₁₂₃₄₅₆₇₈₉", _SUBSCRIPT, _say_subscript),
    Rule("/", _PER_UNIT, _say_per),
    Rule(" /", _SLASH, _say_slash),
    Rule(LETTER, _LONE_GREEK, _say_greek),
    Rule("".join(_WORDS), _SIGN, _say_sign),
    *SILENT_RULES,
    *EMOJI_RULES,
]
