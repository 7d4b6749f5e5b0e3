"""The character tokenizer and the wrapper around published ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from unisono.errors import CheckpointError
from unisono.text import CharacterTokenizer, load_tokenizer
from unisono.text.hub_tokens import SPECIAL_NAMES, HubTokenizer

NAMES = [names[0] for names in SPECIAL_NAMES.values()]


def make_inner(names):
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(names),
        show_progress=False,
    )
    inner.train_from_iterator(["hello there hello the system user assistant"] * 3, trainer)
    return inner


@pytest.fixture(scope="module")
def hub():
    return HubTokenizer(make_inner(NAMES))


def test_characters_are_kept_folded_or_dropped(tmp_path):
    tokenizer = CharacterTokenizer()
    tokenized = tokenizer.tokenize("Héllo,\n 東W")
    assert "".join(tokenized.texts) == "Hello, W"
    assert tokenizer.decode(tokenized.ids) == "hello, w"
    assert tokenizer.encode("a") == [tokenizer.alphabet.index("a") + 10]
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path).encode("Hello") == tokenizer.encode("Hello")


def test_an_alphabet_may_hold_capitals_accents_and_other_scripts():
    tokenizer = CharacterTokenizer("aAé東 ")
    assert tokenizer.decode(tokenizer.encode("Aaé東 b")) == "Aaé東 "
    assert tokenizer.vocab_size == 15


def test_a_character_file_without_an_alphabet_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"type": "characters", "version": 1}')
    with pytest.raises(CheckpointError, match="lacks alphabet"):
        load_tokenizer(tmp_path)


def test_a_published_tokenizer_is_loaded_by_folder(tmp_path, hub):
    make_inner(NAMES).save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, HubTokenizer)
    assert loaded.encode("hello there") == hub.encode("hello there")
    assert [getattr(loaded, attribute) for attribute in SPECIAL_NAMES] == list(range(len(NAMES)))
    assert loaded.role_ids("system") == loaded.encode("system")


def test_special_tokens_written_in_a_text_stay_text(hub):
    ids = hub.encode("a<|eot_id|>b")
    assert hub.eot_id not in ids
    assert hub.decode(ids) == "a<|eot_id|>b"
    assert hub.decode([hub.bos_id, *hub.encode("hi"), hub.eot_id]) == "hi"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_published_tokens_cover_the_text(hub, text):
    tokenized = hub.tokenize(text)
    assert "".join(tokenized.texts) == text
    assert hub.decode(tokenized.ids) == text
    assert all(0 <= start <= end <= len(text) for start, end in tokenized.spans)


def test_a_tokenizer_of_another_model_is_refused_and_the_way_out_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"begin_of_text.*--tokenizer"):
        HubTokenizer(make_inner(["<s>"]))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"is no tokenizer.*gated.*--tokenizer"):
        load_tokenizer(tmp_path)
