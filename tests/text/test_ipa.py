"""Pronunciations: IPA and respelling to sounds, sounds to letters."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.errors import InputError
from unisono.text import load_tokenizer
from unisono.text.fitting import fit, one_letter_each
from unisono.text.ipa import english, ipa_sounds, is_ipa, is_respelling, respelled_sounds
from unisono.text.phonemes import PHONEMES, sounds


@pytest.mark.parametrize(
    ("spoken", "phones"),
    [
        ("naɪki", "N AY K IY"),
        ("/ˈnaɪ.ki/", "N AY K IY"),
        ("t͡ʃaɪˈkɔfski", "CH AY K AO F S K IY"),
        ("d͡ʒɔɪ ʤɔɪ dʒɔɪ", "JH OY | JH OY | JH OY"),
        ("ˈwɜːrtʃəstər", "W ER CH AH S T ER"),
        ("əˈraʊnd ˈmɔːdərn", "AH R AW N D | M AO D ER N"),
        ("bʌtn̩ bɒtl̩", "B AH T AH N | B AA T AH L"),
        ("ˈaɪ̯nʃtaɪ̯n", "AY N SH T AY N"),
        ("bɔ̃ʒuʁ", "B AO N ZH UW R"),
        ("ðɪs θɪŋ", "DH IH S | TH IH NG"),
        ("nɪə skwɛə tʊə", "N IH R | S K W EH R | T UH R"),
        ("oʊ əʊ eɪ aʊ", "OW | OW | EY | AW"),
        ("jæŋ yæŋ", "Y AE NG | Y AE NG"),
        ("ʃevʁɔle", "SH EH V R AO L EY"),
    ],
)
def test_ipa(spoken, phones):
    assert is_ipa(spoken)
    assert ipa_sounds(spoken) == [word.split() for word in phones.split(" | ")]


@pytest.mark.parametrize("spoken", ["nykee", "New York", "garçon", "NY-kee", "5 dollars", "über", "Øre", "a/b", "/"])
def test_plain_letters_are_no_ipa(spoken):
    assert not is_ipa(spoken)


@pytest.mark.parametrize("symbol", ["ʘ", "ǃ", "5", "東", "♥", "æ̈ʘ"[-1]])
def test_an_unknown_symbol_is_named(symbol):
    with pytest.raises(InputError, match=f"symbol '{symbol}'"):
        ipa_sounds(f"nə{symbol}k")


@pytest.mark.parametrize(
    ("item", "phones"),
    [
        ("NY-kee", "N AY K IY"),
        ("kuh-MAHR-luh", "K AH M AA R L AH"),
        ("CHY-kof-skee", "CH AY K AA F S K IY"),
        ("TYME-er", "T AY M ER"),
        ("hyoo-STUN", "HH Y UW S T AH N"),
        ("yes-SUH", "Y EH S S AH"),
        ("BAWSS-ee", "B AO S IY"),
    ],
)
def test_respelling(item, phones):
    assert is_respelling(item) and respelled_sounds(item) == phones.split()


@pytest.mark.parametrize("item", ["F-B-I", "NASA", "nykee", "e-mail", "Jean-Luc", "-", "NY-", "NY-k33"])
def test_other_words_are_no_respelling(item):
    assert not is_respelling(item)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-", max_size=20))
def test_every_respelling_is_read(item):
    if is_respelling(item):
        assert set(respelled_sounds(item)) <= set(PHONEMES)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="aɪnkibʃʒðŋə̩̃ːˈt͡ʃ5ʘ c", max_size=15))
def test_any_ipa_gives_known_sounds_or_an_error(spoken):
    try:
        words = ipa_sounds(spoken)
    except InputError:
        return
    assert words and all(word and set(word) <= set(PHONEMES) for word in words)


def test_english_letters():
    assert [english(phones.split()) for phones in ("N AY K IY", "AY N", "Y EH S", "SH EH")] == [
        "nighkee", "eyen", "yess", "sheh",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PHONEMES), min_size=1, max_size=12))
def test_any_sounds_are_made_by_letters_of_the_built_in_vocabulary(tokenizer, phones):
    text, ids = tokenizer.sound_out("Xyzzy", [phones])
    made = [tokenizer.vocabulary[index] for index in ids]
    assert sounds(name[2:] for name in made) == phones
    assert "".join(name[0] for name in made) == text.lower()


LABELS = {"n": ["N", "_"], "i": ["IH", "AY"], "k": ["K"], "e": ["_", "IY"], "x": ["K-S"]}


def test_sounds_are_fitted_to_letters():
    assert fit("nike", ["N", "AY", "K", "IY"], LABELS) == ["N", "AY", "K", "IY"]
    assert fit("nix", ["N", "IH", "K", "S"], LABELS) == ["N", "IH", "K-S"]
    assert fit("nike", ["N", "AY", "K", "OW"], LABELS) is None
    assert fit("nik?", ["N"], LABELS) is None
    assert fit("neeee", ["N"], LABELS) is None  # too many silent letters
    assert fit("", [], LABELS) == [] and fit("", ["N"], LABELS) is None
    assert one_letter_each(["AY", "N"], LABELS) == ("in", ["AY", "N"])
    with pytest.raises(KeyError):
        one_letter_each(["ZH"], LABELS)


# Words with the IPA that dictionaries give them, British and American.
SPOKEN = """
house haʊs|water ˈwɔːtər|hello həˈloʊ|father ˈfɑːðər|school skuːl|little ˈlɪtəl|little ˈlɪtl̩|nation ˈneɪʃən
think θɪŋk|morning ˈmɔrnɪŋ|people ˈpiːpəl|world wɜːrld|mother ˈmʌðər|voice vɔɪs|number ˈnʌmbər|year jɪr|year jɪər
question ˈkwɛstʃən|picture ˈpɪktʃər|happy ˈhæpi|better ˈbɛtər|better ˈbɛɾɚ|about əˈbaʊt|chair tʃɛr|chair tʃɛər
fire ˈfaɪər|our aʊər|our aʊr|there ðɛər|four fɔːr|work wɜrk|girl ɡɜːl|measure ˈmɛʒər|music ˈmjuːzɪk|square skwɛə
bottle ˈbɒtl̩|error ˈɛrər|area ˈɛəriə|fine fʌɪn|near nɪə|go ɡəʊ|day deː|carry ˈkæri|tour tʊər
"""


@pytest.mark.parametrize("entry", SPOKEN.replace("\n", "|").strip("|").split("|"))
def test_a_word_in_ipa_is_read_as_the_word_is(tokenizer, entry):
    word, spoken = entry.split()
    phones = ipa_sounds(spoken)
    assert phones == [sounds(name[2:] for name in tokenizer.sounds(word))]
    assert tokenizer.sound_out(word, phones) == (word, tokenizer.encode(word))


@pytest.mark.parametrize(("spoken", "said"), [("haʊs", "house"), ("ˈwɔːtər", "water"), ("θɪŋk", "think")])
def test_what_is_not_written_so_is_written_as_a_word_that_sounds_so(tokenizer, spoken, said):
    assert tokenizer.sound_out("Xyz", ipa_sounds(spoken)) == (said, tokenizer.encode(said))


def test_of_doubled_letters_the_first_one_sounds():
    labels = {"n": ["N", "_"], "a": ["AE"]}
    assert fit("anna", ["AE", "N", "AE"], labels) == ["AE", "N", "_", "AE"]
