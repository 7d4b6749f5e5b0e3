"""Abbreviations, titles, initials and dotted acronyms."""

from __future__ import annotations

import re

from unisono.text.normalized import Said
from unisono.text.plain.rules import (
    END,
    LETTER,
    SPACE,
    Rule,
    after,
    alternatives,
    before,
    closes_sentence,
    like,
    whole,
    without_stop,
)
from unisono.text.sentences import STARTERS

# Before a name, with or without the full stop.
_TITLES = {"Mr": "Mister", "Mrs": "Missus", "Ms": "Ms", "Dr": "Doctor", "Prof": "Professor", "Messrs": "Messieurs"}
# Before a name, only with the full stop.
_STOPPED_TITLES = {
    "Rev": "Reverend", "Hon": "Honorable", "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant",
    "Sgt": "Sergeant", "Cpl": "Corporal", "Maj": "Major", "Cmdr": "Commander", "Adm": "Admiral", "Sen": "Senator",
    "Rep": "Representative", "Gov": "Governor", "Pres": "President", "Fr": "Father", "Mt": "Mount", "Ft": "Fort",
    "Mx": "Mix", "Supt": "Superintendent", "Insp": "Inspector",
    "Mme": "Madame", "Mlle": "Mademoiselle", "Drs": "Doctors", "Profs": "Professors", "Msgr": "Monsignor",
    "Amb": "Ambassador", "Brig": "Brigadier", "Sens": "Senators", "Reps": "Representatives", "Sec": "Secretary",
}  # fmt: skip
# Anywhere; the full stop is part of them.
_STOPPED = {
    "vs": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "approx": "approximately",
    "dept": "department", "govt": "government", "inc": "Incorporated", "corp": "Corporation", "ltd": "Limited",
    "co": "Company", "bros": "Brothers", "jr": "Junior", "sr": "Senior", "esq": "Esquire", "ave": "Avenue",
    "blvd": "Boulevard", "rd": "Road", "hwy": "Highway", "pkwy": "Parkway", "cf": "compare", "al": "al",
    "a.k.a": "also known as", "max": "maximum", "avg": "average", "tel": "telephone", "est": "established",
    "misc": "miscellaneous", "assn": "Association", "univ": "University", "intl": "international",
    "w.r.t": "with respect to", "resp": "respectively", "viz": "namely", "incl": "including", "attn": "attention",
    "abbr": "abbreviation", "temp": "temperature", "orig": "originally", "min": "minimum", "apt": "apartment",
    "mfg": "manufacturing", "ln": "Lane", "ct": "Court", "pl": "Place", "sq": "Square",
}  # fmt: skip
# Before a number.
_BEFORE_NUMBER = {
    "no": "number", "nos": "numbers", "fig": "figure", "figs": "figures", "vol": "volume", "vols": "volumes",
    "p": "page", "pp": "pages", "ch": "chapter", "chap": "chapter", "sec": "section", "ext": "extension",
    "ca": "circa", "c": "circa", "art": "article", "eq": "equation", "ver": "version", "para": "paragraph",
    "apt": "apartment", "rm": "room", "tbl": "table", "ex": "example", "nr": "number", "est": "established",
    "approx": "approximately", "max": "maximum", "min": "minimum", "bldg": "building", "rev": "revision",
    "op": "opus", "rte": "route", "ste": "suite", "pt": "part", "hwy": "highway", "par": "paragraph", "ps": "Psalm",
}  # fmt: skip
_ALSO_WORDS = frozenset(
    ("co", "al", "max", "min", "temp", "est", "apt", "sr", "jr", "ave", "corp", "resp", "rd", "ln", "ct", "pl", "sq")
)
_SLASHED = {
    "w/o": "without",
    "w/": "with",
    "b/c": "because",
    "n/a": "N A",
    "c/o": "care of",
    "a/c": "A C",
    "and/or": "and or",
    "&c.": "et cetera",
}
_TITLE = re.compile(
    rf"(?P<title>{alternatives(_TITLES)})(?:\.(?={SPACE}?[\w&])|(?={SPACE}[A-Z]))|(?P<loud>MRS?|MS|DR)\.(?={SPACE}[A-Z])"
)
_STOPPED_TITLE = re.compile(rf"(?P<title>{alternatives(_STOPPED_TITLES)})\.(?={SPACE}?[A-Z])")
_SAINT = re.compile(rf"(?P<word>[Ss]t|ST)(?:\.|(?={SPACE}[A-Z][a-z])){END}")
_DRIVE = re.compile(rf"[A-Z][a-z]+{SPACE}$")
_ANY = re.compile(rf"(?P<word>{alternatives(_STOPPED)})\.(?![A-Za-z0-9])", re.IGNORECASE)
_NUMBERED = re.compile(
    rf"(?P<word>{alternatives(_BEFORE_NUMBER)})\.(?={SPACE}?(?:\(?[0-9]|[IVX]{{1,5}}{END}))", re.IGNORECASE
)
_SLASH = re.compile(rf"(?:{alternatives(_SLASHED)})(?![A-Za-z])", re.IGNORECASE)
_ERA = re.compile(rf"(?P<era>AD|BCE|BC|CE|A\.D\.|B\.C\.E\.|B\.C\.|C\.E\.){END}")
_ACRONYM = re.compile(rf"(?:[A-Za-z]\.){{2,8}}(?:[A-Za-z]{END}|s{END})?|[A-Z](?:\.[A-Z]){{1,8}}{END}")
_DEGREE = re.compile(r"Ph\.?D\.?(?:(?![A-Za-z])|s(?![A-Za-z]))|(?:B\.?|M\.?)Sc\.(?![A-Za-z])")
_LIFE = re.compile(rf"[bd]\.(?={SPACE}?(?:1[0-9]|20)[0-9]{{2}}(?![0-9]))")
_GENERATION = re.compile(rf"Gen\.?(?={SPACE}[XYZ](?![A-Za-z]))")
_WORLD_WAR = re.compile(rf"WW(?:I|1|(?P<two>II|2)){END}")
_AGAINST = re.compile(rf"v\.(?={SPACE}[A-Z])")
_PARTY = re.compile(rf"\b[A-Z][\w.'’-]{{0,30}}{SPACE}$")
# "Plan B. Smith agreed": the letter is no initial.
_LETTERED = frozenset(
    (
        "plan",
        "vitamin",
        "option",
        "type",
        "group",
        "part",
        "section",
        "hepatitis",
        "grade",
        "class",
        "letter",
        "point",
        "size",
        "team",
    )
)
_ANOTHER = re.compile(rf"{SPACE}?[A-Z]\.")
_INITIAL = re.compile(rf"[A-Z]\.(?={SPACE}?[A-Z])")


def _say_title(match: re.Match[str]) -> list[Said]:
    word = match.group("title") or match.group("loud").capitalize()
    if (
        word == "Dr"
        and _DRIVE.search(before(match))
        and match.group().endswith(".")
        and not after(match, 3).strip()[:1].isupper()
    ):
        return without_stop(match, "Drive")
    return whole(match, _TITLES[word])


def _say_stopped_title(match: re.Match[str]) -> list[Said]:
    return whole(match, _STOPPED_TITLES[match.group("title")])


def _say_saint(match: re.Match[str]) -> list[Said] | None:
    """Street after a name or number, Saint before a name."""
    previous = before(match).split()
    named = bool(previous) and before(match, 1) != "\n" and not previous[-1].endswith((".", ",", "!", "?", ":", ";"))
    last = previous[-1].strip("\"'“‘(") if named else ""
    numbered = bool(re.fullmatch(r"[0-9]+(?:st|nd|rd|th)?", last))
    after_name = numbered or (last[:1].isupper() and last.lower() not in STARTERS)
    follows_capital = after(match, 3).strip()[:1].isupper()
    if after_name:
        return without_stop(match, "Street")
    return whole(match, "Saint") if follows_capital else None


def _say_drive(match: re.Match[str]) -> list[Said] | None:
    return without_stop(match, "Drive") if _DRIVE.search(before(match)) else without_stop(match, "doctor")


def _say_any(match: re.Match[str]) -> list[Said] | None:
    word = match.group("word")
    lower = word.lower()
    if lower in _ALSO_WORDS and not _is_abbreviation(lower, word, match):
        return None
    return without_stop(match, like(word, _STOPPED[lower]) if _STOPPED[lower].islower() else _STOPPED[lower])


def _is_abbreviation(lower: str, word: str, match: re.Match[str]) -> bool:
    """Whether a word that also exists without a stop is meant as an abbreviation here."""
    ends = closes_sentence(after(match))
    if lower == "al":
        return bool(re.search(r"\b[Ee]t\W$", before(match, 4)))
    if lower in ("ln", "ct", "pl", "sq"):
        return word[0].isupper() and bool(_DRIVE.search(before(match)))
    if lower in ("co", "sr", "jr", "ave", "corp", "rd", "est"):
        return word[0].isupper()
    return not ends  # "Max." at the end of a sentence is a name


def _say_numbered(match: re.Match[str]) -> list[Said] | None:
    word = match.group("word")
    if word.lower() in ("art", "ex", "min", "rev", "max") and closes_sentence(after(match)):
        return None
    if word in ("P", "C") or (len(word) == 1 and before(match, 1).isalnum()):
        return None
    return whole(match, like(word, _BEFORE_NUMBER[word.lower()]))


def _say_life(match: re.Match[str]) -> list[Said] | None:
    """ "(b. 1970)", "d. 2001"."""
    if before(match, 1) not in ("", "(", "\n") and before(match, 2) not in (", ", "; "):
        return None
    return whole(match, "born" if match.group()[0] == "b" else "died")


def _say_generation(match: re.Match[str]) -> list[Said]:
    return whole(match, "Generation")


def _say_world_war(match: re.Match[str]) -> list[Said]:
    return whole(match, "World War two" if match.group("two") else "World War one")


def _say_against(match: re.Match[str]) -> list[Said] | None:
    """ "Smith v. Jones"."""
    return whole(match, "versus") if _PARTY.search(before(match)) else None


def _say_slash(match: re.Match[str]) -> list[Said] | None:
    if before(match, 1).isalnum() or before(match, 1) == "/":
        return None
    gap = " " if match.group().endswith("/") and after(match, 1).strip() else ""
    return whole(match, _SLASHED[match.group().lower()] + gap)


def _say_era(match: re.Match[str]) -> list[Said] | None:
    near_number = re.search(r"[0-9]s?\W?$", before(match, 4)) or re.match(rf"{SPACE}?[0-9]", after(match, 3))
    return without_stop(match, " ".join(c for c in match.group() if c != ".")) if near_number else None


def _say_acronym(match: re.Match[str]) -> list[Said] | None:
    if match.group().islower() and len(match.group()) > 5:
        return None
    letters = match.group().replace(".", "")
    if match.group().lower() in ("a.m.", "p.m."):
        letters = letters.upper()
    plural = "'s" if letters.endswith("s") and letters[:-1].isupper() else ""
    letters = letters[:-1] if plural else letters
    return without_stop(match, " ".join(letters.upper()) + plural)


def _say_degree(match: re.Match[str]) -> list[Said]:
    letters = match.group().replace(".", "")
    plural = "'s" if letters.endswith("s") else ""
    return without_stop(match, " ".join(letters.removesuffix("s").upper()) + plural)


def _say_initial(match: re.Match[str]) -> list[Said] | None:
    """The stop of an initial in a name is not spoken as a pause; that of "Plan B. Then" is."""
    if match.group()[0] == "I" or closes_sentence(after(match)):
        return None
    previous = before(match).split()
    if previous and previous[-1].lower() in _LETTERED and not _ANOTHER.match(after(match)):
        return None
    return whole(match, match.group()[0] + ("" if after(match, 1).isspace() else " "))


RULES = [
    Rule(LETTER + "&", _SLASH, _say_slash),
    Rule(LETTER, _GENERATION, _say_generation),
    Rule(LETTER, _WORLD_WAR, _say_world_war),
    Rule(LETTER, _DEGREE, _say_degree),
    Rule(LETTER, _ERA, _say_era),
    Rule(LETTER, _NUMBERED, _say_numbered),
    Rule(LETTER, _TITLE, _say_title),
    Rule(LETTER, re.compile(rf"Dr\.{END}"), _say_drive),
    Rule(LETTER, _STOPPED_TITLE, _say_stopped_title),
    Rule(LETTER, _SAINT, _say_saint),
    Rule(LETTER, _AGAINST, _say_against),
    Rule(LETTER, _LIFE, _say_life),
    Rule(LETTER, _ANY, _say_any),
    Rule(LETTER, _ACRONYM, _say_acronym),
    Rule(LETTER, _INITIAL, _say_initial),
]
