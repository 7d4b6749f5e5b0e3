"""The sounds of English as the CMU dictionary writes them, and the names of the letters. No imports, no arithmetic."""

from __future__ import annotations

from collections.abc import Iterable

LETTERS = "'abcdefghijklmnopqrstuvwxyz"
_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
VOWELS = frozenset(_VOWELS.split())
PHONEMES = tuple(sorted(VOWELS.union(_CONSONANTS.split())))
VOICELESS = frozenset(("P", "T", "K", "F", "TH"))
SIBILANT = frozenset(("S", "Z", "SH", "ZH", "CH", "JH"))
SILENT = "_"
LETTER_NAMES = dict(
    a="EY", b="B-IY", c="S-IY", d="D-IY", e="IY", f="EH-F", g="JH-IY", h="EY-CH", i="AY", j="JH-EY", k="K-EY",
    l="EH-L", m="EH-M", n="EH-N", o="OW", p="P-IY", q="K-Y-UW", r="AA-R", s="EH-S", t="T-IY", u="Y-UW", v="V-IY",
    w="D-AH-B-AH-L-Y-UW", x="EH-K-S", y="W-AY", z="Z-IY",
)  # fmt: skip


def sounds(labels: Iterable[str]) -> list[str]:
    """The phonemes that a sequence of labels ("K", "K-S", "_" for none) spells out."""
    return [phoneme for label in labels if label != SILENT for phoneme in label.split("-")]
