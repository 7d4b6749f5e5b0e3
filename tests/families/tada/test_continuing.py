"""Speaking on from a recording, with a tiny random model: what must hold for any weights."""

import numpy as np
import pytest
import torch

from unisono import hub
from unisono.audio import read_audio
from unisono.errors import AudioError, GenerationError, InputError
from unisono.families.tada.continuing import _whole_words, speakable
from unisono.interface import Audio
from unisono.text import CharacterTokenizer, source_words


def check(speech):
    """Words are those of the text, times are in order and inside."""
    assert [word.text for word in speech.words] == [speech.text[a:b] for a, b in source_words(speech.text)]
    last = 0.0
    for word in speech.words:
        assert last <= word.start < word.end <= speech.duration
        last = word.end
    positions = [token.position for token in speech.tokens]
    assert positions == sorted(set(positions)) and positions[0] >= 1 and positions[-1] <= round(speech.duration * 50)
    assert np.isfinite(speech.audio).all()


@pytest.mark.parametrize("tokens", [1, 2, 7, 25])
def test_at_most_so_many_tokens_and_all_of_them_text(tiny_model, recording, transcript, tokens):
    speech = tiny_model.continue_(recording, text=transcript, tokens=tokens, seed=2)
    assert 1 <= len(speech.tokens) <= tokens
    allowed = tiny_model.tokenizer
    assert speech.text == allowed.decode([token.id for token in speech.tokens])
    assert "".join(token.text for token in speech.tokens) == speech.text and all(t.text for t in speech.tokens)
    check(speech)


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("one two", 7, "one two"),
        ("one two ", 7, "one two"),
        ("one two", 6, "one"),
        ("one two.", 7, "one two"),
        ("it's so", 4, "it's"),
        ("it's so", 6, "it's"),
        ("one", 2, "on"),
        (" one", 2, " o"),
        ("a, bc", 4, "a,"),
        ("a", 1, "a"),
    ],
)
def test_it_ends_with_a_whole_word(text, most, kept):
    tokenizer = CharacterTokenizer()
    ids = tokenizer.encode(text)[: most + 1]
    assert tokenizer.decode(_whole_words(tokenizer, ids, most)) == kept


def test_a_continuation_holds_no_part_of_a_word(tiny_model, recording, transcript):
    """The same seed makes up the same text, however much of it is asked for."""
    whole = tiny_model.continue_(recording, text=transcript, tokens=60, seed=3)
    assert any(map(str.isspace, whole.text.strip()))
    for tokens in range(20, 60, 9):
        some = tiny_model.continue_(recording, text=transcript, tokens=tokens, seed=3)
        assert whole.text.startswith(some.text) and len(some.tokens) <= tokens
        rest = whole.text[len(some.text) :]
        assert not rest or not rest[0].isalnum() or not any(not c.isalnum() for c in whole.text[:tokens])
        check(some)


def test_the_recording_comes_before_it_sample_by_sample(tiny_model, recording, transcript):
    alone = tiny_model.continue_(recording, text=transcript, tokens=12, seed=2)
    whole = tiny_model.continue_(recording, text=transcript, tokens=12, seed=2, with_prompt=True)
    samples = read_audio(recording).samples
    assert np.array_equal(whole.audio[: len(samples)], samples)
    assert np.array_equal(whole.audio[-len(alone.audio) :], alone.audio)
    assert whole.text == transcript + alone.text
    assert len(whole.tokens) == len(tiny_model.encode(recording, text=transcript).text_ids) + len(alone.tokens)
    check(whole)


def test_the_seed_decides_and_text_options_count(tiny_model, recording, transcript):
    def go(seed=1, **options):
        return tiny_model.continue_(recording, text=transcript, tokens=20, seed=seed, **options)

    first = go()
    assert np.array_equal(first.audio, go().audio) and first.text == go().text
    assert {first.text} != {go(seed=seed).text for seed in (2, 3, 4)}
    assert go(text_sample=False).text == go(text_sample=False).text != first.text
    assert go(text_temperature=5.0, top_p=1.0).text != first.text


def test_an_end_of_turn_ends_it_but_not_at_once(tiny_folder, recording, transcript):
    model = hub.load(tiny_folder, device="cpu")
    eot = model.tokenizer.eot_id
    plain = model.model.logits

    def ending(hidden):
        logits = plain(hidden)
        logits[..., eot] = 1e4
        return logits

    model.model.logits = ending
    speech = model.continue_(recording, text=transcript, tokens=30)
    assert len(speech.tokens) == 1
    check(speech)


def test_long_silence_at_the_end_of_a_recording_is_not_spoken_into(tiny_model, recording, transcript):
    samples = np.concatenate([read_audio(recording).samples, np.zeros(24000, np.float32)])
    speech = tiny_model.continue_(Audio(samples, 24000), text=transcript, tokens=5)
    assert speech.tokens[0].position >= 1
    check(speech)


def test_speed_and_half_precision(tiny_folder, tiny_model, recording, transcript):
    slow, fast = (tiny_model.continue_(recording, text=transcript, tokens=25, seed=1, speed=v) for v in (0.25, 4.0))
    assert slow.duration > 2 * fast.duration
    check(hub.load(tiny_folder, device="cpu", dtype="bfloat16").continue_(recording, text=transcript, tokens=4))


@pytest.mark.parametrize("tokens", [0, -1, 2.5, True, 5000, "x"])
def test_counts_that_cannot_be(tiny_model, recording, transcript, tokens):
    with pytest.raises(InputError, match="tokens"):
        tiny_model.continue_(recording, text=transcript, tokens=tokens)


def test_other_input_that_cannot_be_used(tiny_model, recording, transcript, tmp_path):
    with pytest.raises(InputError):
        tiny_model.continue_(recording, text="")
    with pytest.raises(AudioError):
        tiny_model.continue_(tmp_path / "none.wav", text=transcript)
    with pytest.raises(InputError, match="top_p"):
        tiny_model.continue_(recording, text=transcript, top_p=2)


def test_damaged_weights_stop_with_the_step(tiny_folder, recording, transcript):
    model = hub.load(tiny_folder, device="cpu")
    with torch.no_grad():
        model.model.model.embed_tokens.weight[model.tokenizer.eot_id] = float("nan")
    with pytest.raises(GenerationError, match=r"step \d+ "):
        model.continue_(recording, text=transcript, tokens=5)


def test_ids_that_are_no_text_are_never_drawn():
    tokenizer = CharacterTokenizer()
    allowed = speakable(tokenizer, tokenizer.vocab_size + 3)
    named = [tokenizer.vocabulary[index] for index in range(tokenizer.vocab_size) if allowed[index]]
    assert [name for name in named if name.startswith("<")] == ["<eos>", "<eot>"]
    assert len(named) == len(tokenizer.alphabet) + 2 and not allowed[-3:].any()
