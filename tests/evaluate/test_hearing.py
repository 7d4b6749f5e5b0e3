"""The listener and its language model."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.audio import read_audio
from unisono.errors import InputError
from unisono.evaluate.data import read_sentences
from unisono.evaluate.hearing import DISCOUNT, Ear, check_packages, clean, write_domain_model
from unisono.interface import Audio

SENTENCES = ("The cat sat.", "the cat ran", "A dog sat", "the Cat sat!", "zzyzx sat", "1905")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Don’t — 'stop', it's 5 o'clock!", "don't stop it's o'clock"),
        ("Ça va?", "a va"),
        ("''", ""),
        ("1905", ""),
    ],
)
def test_clean_keeps_letters_and_inner_apostrophes(text, cleaned):
    assert clean(text) == cleaned


@settings(deadline=None)
@given(st.text())
def test_clean_is_stable(text):
    assert clean(clean(text)) == clean(text)


def read_arpa(path):
    """Probabilities of words and pairs, and back-off weights."""
    words, pairs, weights, part = {}, {}, {}, ""
    for line in path.read_text().splitlines():
        if line.startswith("\\"):
            part = line
        elif part == "\\1-grams:" and line:
            value, word, weight = line.split()
            words[word], weights[word] = 10 ** float(value), 10 ** float(weight)
        elif part == "\\2-grams:" and line:
            value, first, second = line.split()
            pairs[first, second] = 10 ** float(value)
    return words, pairs, weights


def test_the_language_model_is_a_distribution_after_every_word(tmp_path):
    model = write_domain_model(tmp_path, SENTENCES)
    assert (model.sentences, model.words, model.unknown_words) == (4, 6, 1)
    assert model.dictionary.read_text().splitlines()[:3] == ["a AH", "a(2) EY", "cat K AE T"]
    words, pairs, weights = read_arpa(model.language_model)
    # The judge's recipe counts the start of a sentence among the words that share the discount: a little is lost.
    share = 1 - DISCOUNT / (14 + DISCOUNT * len(words))
    assert "zzyzx" not in words and math.isclose(sum(words.values()), share, abs_tol=1e-4)
    for first in words.keys() - {"</s>"}:
        total = sum(pairs.get((first, word), weights[first] * words[word]) for word in words.keys() - {"<s>"})
        assert share - 0.03 < total < 1.001, first


def test_an_ear_forgets_what_it_heard_before(tmp_path):
    ear = Ear(write_domain_model(tmp_path, SENTENCES))
    at = np.arange(8000) / 16000
    buzz = sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 20)) * np.clip(np.sin(8 * np.pi * at), 0, 1)
    sounds = [Audio(x.astype(np.float32), 16000) for x in (np.zeros(8000), buzz, 0.01 * buzz[::-1])]
    first = [ear.hear(sound) for sound in sounds]
    assert [ear.hear(sound) for sound in reversed(sounds)] == first[::-1]


def test_a_domain_without_a_known_word_can_be_listened_with(tmp_path):
    model = write_domain_model(tmp_path, ["Zzyzxq!", "1905"])
    assert (model.words, model.unknown_words) == (0, 1)
    assert isinstance(Ear(model).hear(Audio(np.random.default_rng(0).standard_normal(4000), 16000)), str)


@pytest.mark.parametrize("package", ["jiwer", "pocketsphinx"])
def test_a_missing_package_is_named_with_what_to_type(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package}: pip install 'unisono\[eval\]'"):
        check_packages()


JUDGE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import judge
rows = judge.rows(sys.argv[2])
from pocketsphinx import Decoder
known = Decoder(samprate=16000, loglevel="FATAL").lookup_word
lm = judge.closed_lm([judge.clean(row["text"]) for row in rows], lambda word: known(word) is not None)
heard = [judge.clean(text) for text in judge.hear([row["audio"] for row in rows], [row["text"] for row in rows])]
print(json.dumps({"lm": open(lm).read(), "heard": heard}))
"""


def test_hears_what_the_judge_hears(shared, tmp_path):
    """Same language model, byte for byte, and the same words."""
    folder = shared / "speech" / "kathleen_en"
    lines = (folder / "metadata.csv").read_text().splitlines()[1:]
    chosen = sorted(lines, key=lambda line: float(line.split("|")[-1]))[5:8]
    rows = [{"audio": str(folder / line.split("|")[0]), "text": line.split("|")[1]} for line in chosen]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-W", "ignore", "-c", JUDGE, str(shared), str(tmp_path / "list.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    judged = json.loads(done.stdout)

    domain = [text for file in sorted((shared / "speech").glob("*/metadata.csv")) for text in read_sentences(file)]
    model = write_domain_model(tmp_path, [*(row["text"] for row in rows), *domain])
    assert model.language_model.read_text() == judged["lm"]
    ear = Ear(model)
    assert [ear.hear(read_audio(row["audio"])) for row in reversed(rows)] == judged["heard"][::-1]
