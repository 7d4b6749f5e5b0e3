"""Letters aligned with sounds, contexts for unknown words, and the files made of both."""

import numpy as np
import pytest

from unisono.errors import DataError
from unisono.text import LetterSoundTokenizer, ngrams
from unisono.text.graphones import best_labels, chunk_code, chunk_name, expected_counts, group_by_shape, initial_table
from unisono.text.lexicon import align_dictionary, build_lexicon, distance, fold, read_dictionary, to_codes, to_labels
from unisono.text.phonemes import LETTER_NAMES, LETTERS, sounds

DICTIONARY = """
phone F OW N
phone(2) F OW N AH
fox F AA K S
box B AA K S
bone B OW N
tone T OW N
cat K AE T
cats K AE T S
that DH AE T
the DH AH
thin TH IH N
fin F IH N
fun F AH N
nun N AH N
bob's B AA B Z
bob B AA B
fbi EH F B IY AY
w D AH B AH L Y UW
x EH K S
self-made S EH L F M EY D
graph G R AE F
""".strip()


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory):
    path = tmp_path_factory.mktemp("dictionary") / "small.dict"
    path.write_text(DICTIONARY)
    return path


def test_a_dictionary_gives_first_pronunciations_of_plain_words(dictionary, tmp_path):
    entries = dict(read_dictionary(dictionary))
    assert entries["phone"] == ["F", "OW", "N"]
    assert "self-made" not in entries and "phone(2)" not in entries
    (tmp_path / "none.dict").write_text("self-made S\n")
    with pytest.raises(DataError, match="no dictionary entries"):
        read_dictionary(tmp_path / "none.dict")


def test_chunks_have_codes_and_names():
    names = ["_", "K", "K-S", *LETTER_NAMES.values()]
    assert [chunk_name(chunk_code(name)) for name in names] == names
    with pytest.raises(KeyError):
        chunk_code("QQ")


def test_labels_spell_the_pronunciation(dictionary):
    entries = read_dictionary(dictionary)
    kept, words = align_dictionary(entries, least=1)
    assert len(words) == len(entries)
    for word, phonemes in entries:
        assert sounds(words[word]) == phonemes
        assert to_labels(word, to_codes(word, words[word], kept), kept) == words[word]
    assert words["fox"] == ["F", "AA", "K-S"]
    assert words["cat"] == ["K", "AE", "T"]
    assert words["w"] == ["D-AH-B-AH-L-Y-UW"]


def test_rare_labels_are_folded_to_similar_ones(dictionary):
    kept, words = align_dictionary(read_dictionary(dictionary), least=1000)
    assert set(kept) == set(LETTERS)
    assert all(LETTER_NAMES[letter] in kept[letter] for letter in LETTER_NAMES)
    assert all(label in kept[c] for word, found in words.items() for c, label in zip(word, found, strict=True))
    assert distance("AA", "AO") < distance("AA", "K") < distance("AA", "K-S")
    assert fold("a", "AY", {"a": ["_", "K", "EY"]}) == "EY"


def test_expected_counts_equal_brute_force():
    """Every way to cut three phonemes over two letters, weighed by hand."""
    group = group_by_shape([("ab", ["K", "S", "T"])])[0]
    table = initial_table()
    counts = expected_counts(group, table)
    ways = [(("K",), ("S", "T")), (("K", "S"), ("T",))]
    weights = np.array([table[0, chunk_code("-".join(a))] * table[0, chunk_code("-".join(b))] for a, b in ways])
    weights /= weights.sum()
    for (first, second), weight in zip(ways, weights, strict=True):
        assert counts[LETTERS.index("a"), chunk_code("-".join(first))] == pytest.approx(weight)
        assert counts[LETTERS.index("b"), chunk_code("-".join(second))] == pytest.approx(weight)
    assert counts.sum() == pytest.approx(2)


def test_what_cannot_be_spelled_is_absent():
    groups = group_by_shape([("a", ["K", "S", "T"]), ("ab", ["K", "S"])])
    assert set(best_labels(groups, initial_table())) == {1}


def test_ngrams_learn_the_words_they_were_trained_on():
    entries = [("cat", "AAA"), ("city", "BAAA"), ("cent", "BBAA"), ("cot", "AAA")] * 5
    model = ngrams.NGrams(
        ngrams.train(entries), {"a": "x", "c": "xy", "e": "xy", "i": "x", "n": "x", "o": "x", "t": "x", "y": "x"}
    )
    assert [model.predict(word) for word, _ in entries] == [codes for _, codes in entries]
    assert model.predict("cen") == "BBA"
    with pytest.raises(KeyError):
        model.predict("q")


def test_probabilities_of_all_units_add_up_to_one():
    counts = {"": {"aA": 3, "bA": 1}, "aA": {"bA": 2}}
    floor = 1 - 398 / 400  # two of four hundred units have counts here, the others keep their share
    total = sum(ngrams.probability(counts, "aA", unit) for unit in ("aA", "bA"))
    others = 398 * ngrams.probability(counts, "aA", "zZ")
    assert total + others == pytest.approx(1)
    assert floor < total < 1


def test_counts_are_packed_within_a_few_percent():
    units = {"aA": 1, "bB": 17, "c_": 123456}
    unpacked = ngrams.unpack(ngrams.pack(units))
    assert list(unpacked) == ["c_", "bB", "aA"]
    assert all(unpacked[unit] == pytest.approx(count, rel=0.08) for unit, count in units.items())
    assert ngrams.pack(units).isascii()


def test_the_built_folder_is_a_tokenizer_and_building_is_deterministic(dictionary, tmp_path):
    figures = build_lexicon(dictionary, tmp_path / "a", least=1, source="made up")
    build_lexicon(dictionary, tmp_path / "b", least=1, source="made up")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    tokenizer = LetterSoundTokenizer(tmp_path / "a")
    assert tokenizer.vocab_size == figures["vocab_size"]
    assert " ".join(tokenizer.sounds("Phone")) == "p/F h/_ o/OW n/N e/_"
    assert 0 <= figures["word_accuracy"] <= 1
