"""What a listener understands: pocketsphinx under its general language model and under one of the domain's sentences.

The general model hears clean recordings with some 30 % word errors, which hides differences; a bigram model of the
evaluated sentences and their domain hears them with some 4 %, and decides. English only.
"""

from __future__ import annotations

import importlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from unisono.align.transcribe import hear_sphinx
from unisono.errors import InputError
from unisono.interface import Audio

DISCOUNT = 0.5  # taken from every bigram count, and added to every unigram count
LEAST = 1e-6  # of a probability that is divided by or taken the logarithm of
NEVER = -99.0  # log10 probability of what cannot be said
START, END = "<s>", "</s>"
PACKAGES = ("jiwer", "pocketsphinx")
DICTIONARY = "en-us/cmudict-en-us.dict"  # of pocketsphinx


def check_packages() -> None:
    """Raise InputError when a package of the extra [eval] is missing."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as problem:
            raise InputError(f"evaluating needs the package {name}: pip install 'unisono[eval]'") from problem


def clean(text: str) -> str:
    """Lower-case words of a-z and inner apostrophes, separated by single spaces; all else, digits too, is dropped."""
    letters = re.sub(r"[^a-z' ]+", " ", text.lower().replace("’", "'"))
    return " ".join(word.strip("'") for word in letters.split() if word.strip("'"))


class DomainModel(NamedTuple):
    """A language model (ARPA) of some sentences, the pronunciations of its words, and how many there are.

    The pronunciations are those of the general dictionary. What is heard is the same with all of it, word by word and
    score by score, but the decoder is made five times as fast, and for a handful of sentences a hundred times.
    """

    language_model: Path
    dictionary: Path
    sentences: int
    words: int
    unknown_words: int


class Ear:
    """A listener with one language model: that of a domain, or pocketsphinx's general English one."""

    def __init__(self, domain: DomainModel | None = None) -> None:
        self._given = {} if domain is None else {"lm": str(domain.language_model), "dict": str(domain.dictionary)}

    def hear(self, audio: Audio) -> str:
        """The words of mono float samples [N] at any rate, in the form of `clean`; "" for none."""
        return clean(hear_sphinx(audio, **self._given))


def write_domain_model(folder: Path, sentences: Iterable[str]) -> DomainModel:
    """Write a bigram language model with absolute discounting and back-off, and a dictionary, into a folder.

    Args:
        sentences: texts in any form; those that are equal after `clean` count once. Words without a known
            pronunciation are left out of the model.
    """
    known = pronunciations()
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    unknown: set[str] = set()
    distinct = dict.fromkeys(cleaned for sentence in sentences if (cleaned := clean(sentence)))
    for sentence in distinct:
        row = [START, *(word for word in sentence.split() if word in known), END]
        unknown |= set(sentence.split()) - known.keys()
        words.update(row)
        pairs.update(pairwise(row))
    language_model, dictionary = folder / "domain.lm", folder / "domain.dict"
    language_model.write_text("\n".join(_arpa(words, pairs)) + "\n", encoding="utf-8")
    spoken = [line for word in sorted(words) for line in known.get(word, ())]
    dictionary.write_text("\n".join(spoken or next(iter(known.values()))) + "\n", encoding="utf-8")  # never empty
    return DomainModel(language_model, dictionary, len(distinct), len(words.keys() - {START, END}), len(unknown))


def pronunciations() -> dict[str, list[str]]:
    """Words that pocketsphinx can hear, each with its lines of the dictionary (one a way to say it)."""
    from pocketsphinx import get_model_path

    found: dict[str, list[str]] = {}
    for line in Path(get_model_path(DICTIONARY)).read_text(encoding="utf-8").splitlines():
        if line.strip():
            found.setdefault(re.sub(r"\(\d+\)$", "", line.split()[0]), []).append(line)
    return found


def _arpa(words: Counter[str], pairs: Counter[tuple[str, str]]) -> Iterator[str]:
    """Lines of the ARPA file: log10 probabilities of words and pairs, and log10 back-off weights of words."""
    size, total = len(words), sum(count for word, count in words.items() if word != START)
    share = {word: (count + DISCOUNT) / (total + DISCOUNT * size) for word, count in words.items() if word != START}
    followers: defaultdict[str, list[str]] = defaultdict(list)
    context: Counter[str] = Counter()
    for (first, second), count in pairs.items():
        followers[first].append(second)
        context[first] += count
    yield from ("\\data\\", f"ngram 1={size}", f"ngram 2={len(pairs)}", "", "\\1-grams:")
    for word in sorted(words):
        weight = 0.0
        if context[word]:
            freed = DISCOUNT * len(followers[word]) / context[word]
            unseen = 1 - sum(share[follower] for follower in followers[word])
            weight = math.log10(max(freed, LEAST) / max(unseen, LEAST))
        alone = math.log10(share[word]) if word in share else NEVER
        yield f"{alone:.5f} {word} {weight:.5f}"
    yield from ("", "\\2-grams:")
    for (first, second), count in sorted(pairs.items()):
        yield f"{math.log10((count - DISCOUNT) / context[first]):.5f} {first} {second}"
    yield from ("", "\\end\\")
