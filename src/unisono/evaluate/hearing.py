"""What a listener understands: pocketsphinx under its general language model and under one of the domain's sentences.

The general model hears clean recordings with some 30 % word errors, which hides differences; a bigram model of the
evaluated sentences and their domain hears them with some 4 %, and decides. English only.
"""

from __future__ import annotations

import importlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from unisono.audio import resample
from unisono.errors import InputError
from unisono.interface import Audio

RATE = 16000
PADDING = RATE // 5  # samples of silence before and after
LEVEL = 0.7  # peak that every sound is brought to
DISCOUNT = 0.5  # taken from every bigram count, and added to every unigram count
LEAST = 1e-6  # of a probability that is divided by or taken the logarithm of
NEVER = -99.0  # log10 probability of what cannot be said
START, END = "<s>", "</s>"
PACKAGES = ("jiwer", "pocketsphinx")


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


class Ear:
    """A listener with one language model.

    Every sound gets a decoder of its own (0.3 s to make): a used one carries its estimate of the noise over to the next
    sound, even after `reinit_feat` and `set_cmn`, and what is heard would depend on the order.
    """

    def __init__(self, language_model: str | Path | None = None) -> None:
        """`language_model`: an ARPA file; None = pocketsphinx's general English one."""
        self._given = {} if language_model is None else {"lm": str(language_model)}
        self._dictionary = self._decoder()

    def _decoder(self) -> Any:
        from pocketsphinx import Decoder

        return Decoder(samprate=RATE, loglevel="FATAL", **self._given)

    def knows(self, word: str) -> bool:
        """Whether the pronunciation of a word is known."""
        return self._dictionary.lookup_word(word) is not None

    def hear(self, audio: Audio) -> str:
        """The words of mono float samples [N] at any rate, in the form of `clean`; "" for none."""
        decoder = self._decoder()
        decoder.start_utt()
        decoder.process_raw(_pcm(audio), full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp()
        return clean(heard.hypstr) if heard else ""


def _pcm(audio: Audio) -> bytes:
    """16-bit samples at `RATE` with silence around and the peak at `LEVEL`."""
    samples = np.pad(resample(audio, RATE).samples.astype(np.float32), PADDING)
    peak = float(np.abs(samples).max()) or 1.0
    return (samples / peak * LEVEL * 32767).astype(np.int16).tobytes()


def write_domain_model(path: Path, sentences: Iterable[str], knows: Callable[[str], bool]) -> dict[str, int]:
    """Write a bigram language model with absolute discounting and back-off, in ARPA format.

    Args:
        path: file to be written.
        sentences: texts in any form; those that are equal after `clean` count once.
        knows: whether the listener has a pronunciation for a word; others are left out of the model.

    Returns:
        how many "sentences", "words" and "unknown_words" there are.
    """
    words: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    known: dict[str, bool] = {}
    distinct = dict.fromkeys(cleaned for sentence in sentences if (cleaned := clean(sentence)))
    for sentence in distinct:
        spoken = sentence.split()
        known |= {word: knows(word) for word in spoken if word not in known}
        row = [START, *(word for word in spoken if known[word]), END]
        words.update(row)
        pairs.update(pairwise(row))
    path.write_text("\n".join(_arpa(words, pairs)) + "\n", encoding="utf-8")
    return {
        "sentences": len(distinct),
        "words": sum(known.values()),
        "unknown_words": list(known.values()).count(False),
    }


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
