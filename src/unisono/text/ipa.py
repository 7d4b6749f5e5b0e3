"""Pronunciations as people write them, IPA or English respelling, as the sounds of `phonemes`, and back to letters.

IPA: the symbols of English and their nearest sounds for those of other languages; stress, length, tone and syllable
marks are passed over. Respelling: "NY-kee", syllables with hyphens, the stressed one in capitals.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from unisono.errors import InputError
from unisono.text.phonemes import VOWELS

_IPA = """
p P|b B|t T|d D|k K|g G|ɡ G|q K|f F|v V|θ TH|ð DH|s S|z Z|ʃ SH|ʒ ZH|h HH|ɦ HH|x K|χ K|ɣ G|ħ HH|m M|ɱ M|n N|ɳ N|ŋ NG
ɲ N Y|l L|ɫ L|ɭ L|ɬ L|ʎ L Y|ʟ L|r R|ɹ R|ɻ R|ʀ R|ʁ R|ɾ T|j Y|w W|ʍ W|ɥ W|ʔ|ʕ|ʋ V|ⱱ V|β V|ɸ F|ʂ SH|ʐ ZH|ɕ SH|ʑ ZH|ç HH
ʝ Y|ʈ T|ɖ D|c K|ɟ G|ɢ G|ɴ NG|ɮ L|ɽ T|ʙ B|ɰ W|ɧ SH|ʧ CH|ʤ JH|ʦ T S|ʣ D Z|tʃ CH|dʒ JH|tɕ CH|dʑ JH|ʈʂ CH
i IY|ɪ IH|ɨ IH|ɛ EH|e EH|æ AE|a AA|ɑ AA|ɒ AA|ɔ AO|o OW|ʊ UH|u UW|ʉ UW|ɯ UW|ʌ AH|ə AH|ɐ AH|ɘ AH|ɤ AH|ɞ AH|ɵ AH
ɜ ER|ɝ ER|ɚ ER|ɜr ER|ɜɹ ER|ø ER|œ ER|ɶ AE|y UW|ʏ UH|ɩ IH|ᵻ IH
aɪ AY|ʌɪ AY|ɐɪ AY|ɑi AY|ai AY|aj AY|ɑɪ AY|aʊ AW|ɐʊ AW|au AW|aw AW|ɑʊ AW|æʊ AW|eɪ EY|ei EY|ej EY|ɛɪ EY|oʊ OW|ou OW
ow OW|əʊ OW|ɔɪ OY|ɔi OY|oɪ OY|oi OY|ɔj OY|or AO R|oɹ AO R|er EH R|eɹ EH R|eə EH R|ɛə EH R|ɪə IH R|ʊə UH R
"""
_SOUNDS = {
    symbol: tuple(phones)
    for symbol, *phones in (entry.split() for entry in _IPA.replace("\n", "|").split("|") if entry)
}
_LONGEST = max(map(len, _SOUNDS))
# Letters that only phonetic alphabets use; æ, ø, œ and ç alone do not make a text IPA, but for æ between other letters.
_ONLY_IPA = re.compile("[\u0250-\u02af\u02c8\u02cc\u02d0\u02d1æðŋθβχ\u1d7b\u0361\u035c]")
_PASSED_OVER = re.compile("[\u02b0-\u02ff\u0300-\u0302\u0304-\u0326\u0328\u032a-\u036f\u203f'’.,:;()/|\\-–‖↗↘↑↓]")
_CEDILLA, _TILDE, _SYLLABIC = "\u0327", "\u0303", "\u0329"
_ENGLISH = dict(
    AA="ah", AE="a", AH="uh", AO="aw", AW="ow", AY="igh", EH="e", ER="ur", EY="ay", IH="i", IY="ee", OW="oh", OY="oy",
    UH="oo", UW="oo", B="b", CH="ch", D="d", DH="th", F="f", G="g", HH="h", JH="j", K="k", L="l", M="m", N="n", NG="ng",
    P="p", R="r", S="s", SH="sh", T="t", TH="th", V="v", W="w", Y="y", Z="z", ZH="zh",
)  # fmt: skip
_AT_END = dict(EH="eh", IH="ih", AE="ah", S="ss")
_AT_START = dict(AY="eye")
_KEY = """
air EH R|are EH R|ayr EH R|eer IH R|ear IH R|oor UH R|igh AY|eye AY|ire AY ER|tch CH|ee IY|ea IY|ay EY|ey EY|ai EY
oh OW|oe OW|oa OW|oo UW|ew UW|uu UH|ow AW|ou AW|oy OY|oi OY|aw AO|au AO|ah AA|uh AH|eh EH|ih IH|ur ER|er ER|ir ER
ar AA R|or AO R|th TH|dh DH|ch CH|sh SH|zh ZH|ng NG|nk NG K|kh K|ph F|wh W|ck K|qu K W|a AE|e EH|i IH|o AA|u AH|b B|c K
d D|f F|g G|h HH|j JH|k K|l L|m M|n N|p P|q K|r R|s S|t T|v V|w W|x K S|y Y|z Z
"""
_SYLLABLE = {
    symbol: tuple(phones)
    for symbol, *phones in (entry.split() for entry in _KEY.replace("\n", "|").split("|") if entry)
}
_STRESSED = re.compile(
    r"(?=[^ ]*[a-z])(?=[^ ]*[A-Z]{2}|[^ ]*-[A-Z](?:-|$)|[A-Z]-)[A-Za-z]{1,12}(?:-[A-Za-z]{1,12}){1,12}"
)


def is_ipa(spoken: str) -> bool:
    """Whether a pronunciation is IPA: in slashes, or with a letter that nothing else uses."""
    spoken = spoken.strip()
    return bool(_ONLY_IPA.search(spoken)) or (len(spoken) > 2 and spoken[0] == spoken[-1] == "/")


def is_respelling(item: str) -> bool:
    """Whether a word is respelled: syllables with hyphens, at least one of them in capitals and one not."""
    return _STRESSED.fullmatch(item) is not None


def ipa_sounds(spoken: str) -> list[list[str]]:
    """ "ˈnaɪki ʃuz" -> [[N AY K IY], [SH UW Z]].

    Raises:
        InputError: a symbol that is not known, or no sound at all.
    """
    words = [word for item in spoken.split() if (word := _ipa_word(item, spoken))]
    if not words:
        raise InputError(f"the pronunciation {spoken[:40]!r} holds no sound: write IPA, as in [say:naɪki|Nike]")
    return words


def _ipa_word(item: str, spoken: str) -> list[str]:
    """The sounds of one word of `spoken`."""
    text = unicodedata.normalize("NFD", item.lower()).replace("c" + _CEDILLA, "ç")
    text = re.sub(f"(.){_SYLLABIC}", r"ə\1", _PASSED_OVER.sub("", text))
    phones: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == _TILDE and phones:
            phones.append("N")
            at += 1
            continue
        length = next((n for n in range(min(_LONGEST, len(text) - at), 0, -1) if text[at : at + n] in _SOUNDS), 0)
        if not length:
            raise InputError(
                f"the IPA symbol {text[at]!r} (U+{ord(text[at]):04X}) in {spoken[:40]!r} is not known: "
                "write it with the sounds of English, or in plain letters"
            )
        found = list(_SOUNDS[text[at : at + length]])
        at += length
        following = _SOUNDS.get(text[at : at + 1], ())
        if found == ["AH"] and following == ("R",) and not _is_vowel(text, at + 1):
            found, at = ["ER"], at + 1  # ər before a consonant
        elif found == ["UW"] and text[at - 1] == "y" and following and following[0] in VOWELS:
            found = ["Y"]  # y written for j
        elif found == ["EH"] and text[at - 1] == "e" and at == len(text) and len(text) > 1:
            found = ["EY"]  # café
        elif found == ["R"] and phones[-1:] == ["R"]:
            found = []  # hɪər is hɪə
        elif found == ["R"] and phones[-1:] == ["AW"] and not _is_vowel(text, at):
            found = ["ER"]  # aʊr is said like aʊər
        phones += found
    return phones


def _is_vowel(text: str, at: int) -> bool:
    """Whether a vowel stands at a place."""
    return bool(VOWELS.intersection(_SOUNDS.get(text[at : at + 1], ())))


def respelled_sounds(item: str) -> list[str]:
    """ "NY-kee" -> [N, AY, K, IY], each syllable read by the key of English respelling."""
    return [phone for syllable in item.lower().split("-") for phone in _syllable_sounds(syllable)]


def _syllable_sounds(syllable: str) -> list[str]:
    phones: list[str] = []
    at = 0
    while at < len(syllable):
        length = next(n for n in range(min(3, len(syllable) - at), 0, -1) if syllable[at : at + n] in _SYLLABLE)
        found = list(_SYLLABLE[syllable[at : at + length]])
        at += length
        if found == ["Y"] and (at == len(syllable) or _SYLLABLE[syllable[at]][0] not in VOWELS):
            found = ["AY"]  # ny, tyme
        elif found == ["EH"] and syllable[at - 1] == "e" and at == len(syllable) and VOWELS.intersection(phones):
            found = []  # the silent e of tyme
        if found != phones[-1:] or found[0] in VOWELS:  # doubled consonants are one
            phones += found
    return phones


def english(phones: Sequence[str]) -> str:
    """Letters that English readers pronounce so, as well as letters can: [N, AY, K, IY] -> "nighkee"."""
    last = len(phones) - 1
    letters = []
    for place, phone in enumerate(phones):
        plain = _ENGLISH[phone]
        letters.append(
            _AT_START.get(phone, plain) if place == 0 else _AT_END.get(phone, plain) if place == last else plain
        )
    return "".join(letters)
