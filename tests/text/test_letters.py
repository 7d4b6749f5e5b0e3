"""The built-in letter-sound tokenizer: lossless spelling, right sounds, sound spans, readable errors."""

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unisono.errors import CheckpointError
from unisono.text import load_tokenizer
from unisono.text.tokenizers import BUILTIN

SPELLABLE = st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCZ .,?!;:'-\"()", max_size=40)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer()


def test_the_ids_that_models_were_trained_on_never_change(tokenizer):
    """The language model's embedding rows are these; a change needs a new version and a new model."""
    assert tokenizer.vocab_size == 222
    assert tokenizer.encode("Hello there.") == [99, 82, 121, 122, 134, 10, 169, 98, 81, 153, 80, 11]
    ids = (tokenizer.blank_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.start_header_id)
    assert ids == (0, 1, 2, 3, 4)
    assert (tokenizer.end_header_id, tokenizer.eot_id) == (5, 6)
    assert [tokenizer.role_ids(role) for role in ("system", "user", "assistant")] == [[7], [8], [9]]


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("phone", "p/F h/_ o/OW n/N e/_"),
        ("taxi", "t/T a/AE x/K-S i/IY"),
        ("knight", "k/_ n/N i/AY g/_ h/_ t/T"),
        ("boss's", "b/B o/AO s/S s/_ '/IH s/Z"),
        ("NASA", "n/N a/AE s/S a/AH"),
        ("XKCD", "x/EH-K-S k/K-EY c/S-IY d/D-IY"),
        ("XKCD's", "x/EH-K-S k/K-EY c/S-IY d/D-IY '/_ s/Z"),
        ("the US", "t/DH h/_ e/AH   u/Y-UW s/EH-S"),
        ("give us", "g/G i/IH v/V e/_   u/AH s/S"),
        ("A dog", "a/AH   d/D o/AO g/G"),
        ("plan A", "p/P l/L a/AE n/N   a/EY"),
        ("A B C", "a/EY   b/B-IY   c/S-IY"),
        ("naïve", "n/N a/AY i/IY v/V e/_"),
    ],
)
def test_sounds(tokenizer, text, sounds):
    assert " ".join(tokenizer.sounds(text)) == sounds


@pytest.mark.parametrize(
    ("word", "ending"),
    [
        ("zorped", "e/_ d/T"),
        ("blorgs", "s/Z"),
        ("florpt's", "'/_ s/S"),
        ("xylophoning", "i/IH n/_ g/NG"),
    ],
)
def test_unknown_words_take_regular_endings(tokenizer, word, ending):
    assert " ".join(tokenizer.sounds(word)).endswith(ending)


def test_punctuation_around_words_does_not_change_them(tokenizer):
    plain = tokenizer.sounds("hello")
    for text in ("'hello'", '"hello"', "(hello)", "hello,", "-hello-", "hello…"):
        found = [name for name in tokenizer.sounds(text) if name[0].isalpha()]
        assert found == plain


def test_what_has_no_token_is_dropped_with_its_span(tokenizer):
    text = "a  🎉\t東京b 7c"
    tokenized = tokenizer.tokenize(text)
    assert "".join(tokenized.texts) == "a b c"
    assert [text[span.start : span.end] for span in tokenized.spans if span.end == span.start + 1][-1] == "c"
    assert tokenizer.tokenize("東京🎉").ids == []
    assert tokenizer.encode("") == []


def test_special_tokens_are_never_made_from_text(tokenizer):
    for text in ("<bos>", "<|eot_id|>", "<blank>", "system", "<system>"):
        assert min(tokenizer.encode(text)) > max(tokenizer.eot_id, 9)
    assert tokenizer.decode([tokenizer.bos_id, *tokenizer.encode("Hi"), tokenizer.eot_id]) == "hi"


@settings(max_examples=200, deadline=None)
@given(SPELLABLE)
def test_spelling_is_lossless_but_for_case_and_runs_of_spaces(tokenizer, text):
    tokenized = tokenizer.tokenize(text)
    while "  " in text:
        text = text.replace("  ", " ")
    assert tokenizer.decode(tokenized.ids) == text.lower()
    assert "".join(tokenized.texts) == text


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gives_ids_in_range_and_ordered_spans(tokenizer, text):
    tokenized = tokenizer.tokenize(text)
    assert len(tokenized.ids) == len(tokenized.texts) == len(tokenized.spans)
    assert all(0 < index < tokenizer.vocab_size for index in tokenized.ids)
    place = 0
    for start, end in tokenized.spans:
        assert place <= start < end <= len(text)
        place = start


def test_damaged_folders_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)
    for name in ("tokenizer.json", "lexicon.txt.gz", "ngrams.txt.gz"):
        shutil.copy(BUILTIN / name, tmp_path / name)
    assert load_tokenizer(tmp_path).encode("Hi") == load_tokenizer().encode("Hi")
    (tmp_path / "lexicon.txt.gz").write_bytes((BUILTIN / "lexicon.txt.gz").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"lexicon\.txt\.gz is missing or damaged"):
        load_tokenizer(tmp_path).encode("Hi")
    shutil.copy(BUILTIN / "lexicon.txt.gz", tmp_path / "lexicon.txt.gz")
    (tmp_path / "ngrams.txt.gz").unlink()
    assert load_tokenizer(tmp_path).encode("Hi") == load_tokenizer().encode("Hi")
    with pytest.raises(CheckpointError, match=r"ngrams\.txt\.gz is missing"):
        load_tokenizer(tmp_path).encode("Blorpity")
    (tmp_path / "tokenizer.json").write_text('{"type": "letters", "version": 99}')
    with pytest.raises(CheckpointError, match="version 1"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"type": "letters", ')
    with pytest.raises(CheckpointError, match="damaged"):
        load_tokenizer(tmp_path)
