"""Addresses of the net, phone numbers, versions, file names, handles and hashtags."""

from __future__ import annotations

import re

from unisono.text.normalized import Said
from unisono.text.plain.numbers import cardinal, code, digits
from unisono.text.plain.rules import DIGIT, END, LETTER, SPACE, Rule, before, like, part, whole

_HOST_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_COMMON_TLDS = (
    "com|org|net|edu|gov|mil|int|io|ai|app|dev|info|biz|co|tv|uk|de|fr|es|jp|cn|ru|br|au|nl|eu|ch|se|ca|pl|kr"
)
_URL = re.compile(r"(?:(?:https?|ftp)://|www\.)[^\s<>\"“”]+", re.IGNORECASE)
_EMAIL = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9._%+-]{{0,63}})@(?:{_HOST_PART}\.){{1,6}}[A-Za-z]{{2,24}}{END}")
_DOMAIN = re.compile(
    rf"(?:{_HOST_PART}\.){{1,6}}(?:(?:{_COMMON_TLDS})|(?:ly|me|gl|be|gg|fm|us|it|to|ee)(?=/))(?:(?=[/:?#])[^\s<>\"“”]*)?(?![A-Za-z0-9@-]|\.[A-Za-z])"
)
_FILE = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,80})(?:\.[A-Za-z0-9_-]{1,20}){0,3}\.(?:txt|pdf|html?|docx?|xlsx?|pptx?|csv|tsv|json|xml|ya?ml|png|jpe?g|gif|svg|mp[34]|wav|"
    rf"zip|tar|gz|exe|py|js|ts|cpp|md|sh|log|ini|cfg){END}"
)
_HANDLE = re.compile(r"@(?P<name>[A-Za-z_][A-Za-z0-9_]{0,60})")
_HASHTAG = re.compile(r"#(?P<name>[^\W\d_]\w{0,80})")
_TRAILING = ".,;:!?'\"’”)]}…*"
_LETTERED = "www http https ftp html htm pdf txt csv tsv jpg png svg mp3 mp4 xml cpp js ts py md sh gz io ai tv uk"
_SPELLED = frozenset(_LETTERED.split())
_PATH_SIGNS = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals", "&": "and",
    "#": "hash", "%": "percent", ":": "colon", "~": "tilde", "+": "plus", "@": "at", ",": "comma", ";": "semicolon",
    "!": "exclamation mark", "*": "star", "$": "dollar", "(": "", ")": "", "'": "", "[": "", "]": "", "|": "",
    "\\": "backslash", "^": "caret",
}  # fmt: skip
_PATH_PART = re.compile(r"[^\W\d_]+|[0-9]+|.", re.DOTALL)
_CAMEL = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W_]")

_GROUP = r"\(?[0-9]{1,8}\)?"
_INTERNATIONAL = re.compile(
    rf"\+(?P<country>[0-9]{{1,3}})(?=[ .()-]?[0-9(])(?:[ .-]?{_GROUP}){{1,5}}(?![0-9])|\+[0-9]{{8,15}}(?![0-9])"
)
_AMERICAN = re.compile(r"(?:(?P<one>1)[ .-])?\(?[2-9][0-9]{2}\)?(?:[ .-]|(?<=\)))[0-9]{3}[ .-][0-9]{4}(?![0-9-])")
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15  # of an international number
_LOCAL = re.compile(r"(?P<first>[2-9][0-9]{2})-[0-9]{4}(?![0-9-])")
_LEADING_ZERO = re.compile(r"\(?0[0-9]{2,4}\)?(?:[ -][0-9]{3,4}){2,3}(?![0-9])")
_CARD = re.compile(r"[0-9]{4}(?:[ -][0-9]{4}){2,4}(?![0-9])")
_CALL = re.compile(r"(?:call|dial|phone|tel|text|number|fax|reach|ring|at)[^.?!\n]{0,16}$", re.IGNORECASE)
_EMERGENCY = re.compile(r"[0-9]{3}(?![0-9]|[.,:%/-][0-9]|[^\W\d_])")
_CALLED = re.compile(r"(?:call(?:ed|ing|s)?|dial(?:ed|ing|s)?)[ \t]$", re.IGNORECASE)
_FREE_CALL = re.compile(
    r"1-8(?P<two>00|33|44|55|66|77|88)-(?=[A-Z0-9-]{0,9}[A-Z])(?P<rest>[A-Z0-9]{2,11}(?:-[A-Z0-9]{2,8})?)(?![A-Za-z0-9-])"
)
_ISBN = re.compile(r"(?P<name>ISBN(?:-1[03])?:?[ ]?)(?P<number>[0-9](?:[0-9 -]{8,15})[0-9X])(?![0-9A-Za-z])")
_SOCIAL = re.compile(r"[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-])")
_ZIP = re.compile(r"[0-9]{5}(?:-[0-9]{4})?(?![0-9-]|[,.][0-9])")
_STATE = re.compile(
    r"(?:^|[ ,])(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|"
    r"V[AT]|W[AIVY]) $"
)
_HARDWARE = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:-])")
_VERSION = re.compile(
    rf"(?P<v>[vV](?:\.|er(?:sion|\.)?)?{SPACE}?)(?P<number>[0-9]{{1,6}}(?:\.[0-9]{{1,6}}){{0,4}}){END}"
)
_NAMED_VERSION = re.compile(
    r"(?P<name>Python|Java|Ubuntu|iOS|macOS|Android|PHP|Ruby|Node|CUDA|PyTorch|Linux|Debian|Release|release|Firefox|Chrome)"
    rf"(?P<gap>{SPACE})(?P<number>[0-9]{{1,4}}(?:\.[0-9]{{1,4}}){{1,3}}){END}"
)
_DOTTED = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){2,5}(?![0-9])")


def _spell_out(text: str) -> str:
    """The parts of an address in words, without its protocol: letters stay, marks and digits are named."""
    words = []
    for piece in _PATH_PART.findall(text):
        if piece.isalpha():
            words.append(" ".join(piece.upper()) if piece.lower() in _SPELLED else piece)
        elif piece.isdigit():
            words.append(code(piece) if piece.isascii() else piece)
        else:
            words.append(_PATH_SIGNS.get(piece, ""))
    return " ".join(filter(None, words))


def _say_url(match: re.Match[str]) -> list[Said] | None:
    address = match.group().rstrip(_TRAILING if "(" not in match.group() else _TRAILING.replace(")", ""))
    bare = re.sub(r"^[A-Za-z]+://", "", address).rstrip("/")
    if not bare:
        return None
    return [Said(_spell_out(bare).replace("W W W", "w w w"), match.start(), match.start() + len(address))]


def _say_domain(match: re.Match[str]) -> list[Said] | None:
    if match.group().replace(".", "").isdigit():
        return None
    return _say_url(match)


def _say_address(match: re.Match[str]) -> list[Said]:
    return whole(match, _spell_out(match.group()))


def _say_handle(match: re.Match[str]) -> list[Said]:
    return whole(match, f"at {_spell_out(match.group('name'))}", apart=True)


def _say_hashtag(match: re.Match[str]) -> list[Said] | None:
    words = [
        code(word) if word.isdecimal() and word.isascii() else word for word in _CAMEL.findall(match.group("name"))
    ]
    return whole(match, f"hashtag {' '.join(words)}", apart=True) if words else None


def _say_phone(match: re.Match[str]) -> list[Said] | None:
    """Digit by digit, with a comma between the groups; each group is a part of its own."""
    said = []
    if match.group()[0] == "+" and not _FEWEST_DIGITS <= sum(map(str.isdigit, match.group())) <= _MOST_DIGITS:
        return None
    country = match.groupdict().get("country")
    for group in re.finditer(r"[^0-9]*([0-9]+)[^0-9 .-]*", match.group()):
        start, end = match.start() + group.start(), match.start() + group.end()
        words = "eight hundred" if group.group(1) == "800" else digits(group.group(1))
        said.append(Said((", " if said else "plus " if country or match.group()[0] == "+" else "") + words, start, end))
    return said


def _say_free_call(match: re.Match[str]) -> list[Said]:
    """ "1-800-FLOWERS"."""
    area = "eight hundred" if match.group("two") == "00" else digits("8" + match.group("two"))
    rest = [group if group.isalpha() else " ".join(digits(c) if c.isdigit() else c for c in group) for group in
            match.group("rest").split("-")]  # fmt: skip
    return whole(match, f"one, {area}, {', '.join(rest)}")


def _say_isbn(match: re.Match[str]) -> list[Said]:
    groups = re.split("[ -]+", match.group("number"))
    words = ", ".join(" ".join("X" if sign == "X" else digits(sign) for sign in group) for group in groups)
    return [part(match, "name", match.group("name").rstrip()), Said(f" {words}", match.start("number"), match.end())]


def _say_zip(match: re.Match[str]) -> list[Said] | None:
    return _say_phone(match) if _STATE.search(before(match, 4)) else None


def _say_hardware(match: re.Match[str]) -> list[Said]:
    """ "00:1A:2B:3C:4D:5E", pair by pair."""
    pairs = re.split("[:-]", match.group())
    return whole(match, ", ".join(" ".join(digits(c) if c.isdigit() else c.upper() for c in pair) for pair in pairs))


def _say_local(match: re.Match[str]) -> list[Said] | None:
    return _say_phone(match) if match.group("first") == "555" or _CALL.search(before(match)) else None


def _say_emergency(match: re.Match[str]) -> list[Said] | None:
    return whole(match, digits(match.group())) if _CALLED.search(before(match)) else None


def _version_words(number: str) -> str:
    return " point ".join(
        digits(group) if len(group) > 1 and group[0] == "0" else cardinal(group) for group in number.split(".")
    )


def _say_version(match: re.Match[str]) -> list[Said] | None:
    if before(match, 1).isalnum():
        return None
    return [
        Said(like(match.group("v"), "version "), match.start(), match.start("number")),
        part(match, "number", _version_words(match.group("number"))),
    ]


def _say_named_version(match: re.Match[str]) -> list[Said]:
    name = match.group("name")
    return [
        part(match, "name", name),
        part(match, "gap", " "),
        part(match, "number", _version_words(match.group("number"))),
    ]


def _say_dotted(match: re.Match[str]) -> list[Said]:
    """Four groups are a network address, read in digits; three a version."""
    groups = match.group().split(".")
    if len(groups) == 4 and all(int(group) < 256 for group in groups):
        return whole(match, " dot ".join(digits(group) for group in groups))
    return whole(match, _version_words(match.group()))


RULES = [
    Rule(LETTER, _URL, _say_url),
    Rule(LETTER + DIGIT, _EMAIL, _say_address),
    Rule(LETTER + DIGIT, _DOMAIN, _say_domain),
    Rule(LETTER + DIGIT, _FILE, _say_address),
    Rule("@", _HANDLE, _say_handle),
    Rule("#", _HASHTAG, _say_hashtag),
    Rule("+", _INTERNATIONAL, _say_phone),
    Rule(DIGIT + "(", _AMERICAN, _say_phone),
    Rule(DIGIT, _FREE_CALL, _say_free_call),
    Rule(LETTER, _ISBN, _say_isbn),
    Rule(DIGIT, _SOCIAL, _say_phone),
    Rule(DIGIT, _ZIP, _say_zip),
    Rule(LETTER + DIGIT, _HARDWARE, _say_hardware),
    Rule(DIGIT, _LOCAL, _say_local),
    Rule(DIGIT + "(", _LEADING_ZERO, _say_phone),
    Rule(DIGIT, _CARD, _say_phone),
    Rule(DIGIT, _EMERGENCY, _say_emergency),
    Rule(LETTER, _VERSION, _say_version),
    Rule(LETTER, _NAMED_VERSION, _say_named_version),
    Rule(DIGIT, _DOTTED, _say_dotted),
]
