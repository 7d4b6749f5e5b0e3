"""TASTE as a speech model: the same calls as TADA's, over a tiny random model."""

import dataclasses

import numpy as np
import pytest
import torch

from unisono.errors import AlignmentError, CheckpointError, InputError
from unisono.files import load_tokens, load_voice, save_tokens

WINDOW = 480  # samples of a frame


@pytest.fixture(scope="module", params=["taste", "taste_diffusion"])
def model(request):
    """Both kinds of unit decoder."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def pieces(model, recording, transcript):
    return model.encode(recording, text=transcript)


@pytest.fixture(scope="module")
def voice(model, recording, transcript):
    return model.voice(recording, text=transcript)


def test_encode_gives_one_tuple_per_token_and_one_per_word(model, pieces):
    words = model.hearing.text(pieces.text_ids.tolist()).words[0]
    assert pieces.codes.shape == (len(pieces.text_ids), 3) and pieces.codes.min() >= 0
    for word in words.unique():
        assert len(pieces.codes[words == word].unique(dim=0)) == 1
    assert pieces.family == "taste" and pieces.extras["speaker"].shape == (60,)
    words_per_second = (int(words.max()) + 1) * 50 / pieces.frames
    assert model.bits_per_second(pieces) == pytest.approx(9 * words_per_second)  # 3 codes of 8


def test_readings_have_a_likelihood(model, pieces):
    one, other = model.score(pieces), model.score(dataclasses.replace(pieces, codes=(pieces.codes + 3) % 8))
    assert np.isfinite(one) and one != other and one == model.score(pieces)


def test_decoding_is_as_long_as_the_recording_and_the_same_again(model, pieces, tmp_path):
    save_tokens(tmp_path / "t.safetensors", pieces)
    speech = model.decode(load_tokens(tmp_path / "t.safetensors"))
    assert len(speech.audio) == pieces.samples and speech.sample_rate == 24000
    assert np.array_equal(speech.audio, model.decode(pieces).audio)
    assert [token.id for token in speech.tokens] == pieces.text_ids.tolist()
    assert [word.text for word in speech.words] == pieces.text.split()


def test_say_speaks_every_token_and_repeats_itself(model, voice):
    speech = model.say("Hello again.", voice=voice, seed=3)
    assert [word.text for word in speech.words] == ["Hello", "again."]
    assert [token.id for token in speech.tokens] == model.hearing.spell("Hello again.").ids
    assert len(speech.audio) % WINDOW == 0 and np.isfinite(speech.audio).all()
    again = model.say("Hello again.", voice=voice, seed=3)
    assert np.array_equal(again.audio, speech.audio)
    both = model.say(["Hello again.", "Good."], voice=voice, seed=3)
    assert np.array_equal(both[0].audio, speech.audio)


def test_streamed_pieces_are_what_say_returns(model, voice):
    text = "Hello again. This is more."
    parts = list(model.stream(text, voice=voice, seed=1))
    whole = model.say(text, voice=voice, seed=1)
    assert len(parts) >= 2 and np.array_equal(np.concatenate([part.audio for part in parts]), whole.audio)
    assert [word for part in parts for word in part.words] == whole.words


def test_speed_changes_the_length(model, voice):
    lengths = [len(model.say("Hello again there.", voice=voice, seed=3, speed=speed).audio) for speed in (0.5, 1, 2)]
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=WINDOW)
    assert lengths[2] <= lengths[1]


@pytest.mark.parametrize("mode", ["audio", "text"])
def test_continue_makes_up_text_and_sound(model, recording, transcript, mode):
    speech = model.continue_(recording, text=transcript, tokens=12, seed=5, mode=mode)
    assert 1 <= len(speech.tokens) <= 12 and len(speech.audio) > 0
    whole = model.continue_(recording, text=transcript, tokens=12, seed=5, mode=mode, with_prompt=True)
    assert whole.text == transcript + speech.text
    assert np.array_equal(whole.audio[-len(speech.audio) :], speech.audio)
    starts = [word.start for word in whole.words]
    assert starts == sorted(starts) and whole.words[-1].end <= whole.duration


def test_voices_are_files_and_names(model, voice, tmp_path):
    voice.save(tmp_path / "v.safetensors")
    back = load_voice(tmp_path / "v.safetensors")
    assert torch.equal(back.tokens.codes, voice.tokens.codes)
    assert np.array_equal(
        model.say("Hi there.", voice=back, seed=1).audio, model.say("Hi there.", voice=voice, seed=1).audio
    )


def test_swapped_words_take_codes_and_length_from_the_other_reading(model, pieces):
    other = dataclasses.replace(pieces, codes=(pieces.codes + 1) % 8, positions=pieces.positions.clone())
    words = model.hearing.text(pieces.text_ids.tolist()).words[0]
    swapped = model.swap(pieces, other, [1])
    chosen = words == 1
    assert torch.equal(swapped.codes[chosen], other.codes[chosen])
    assert torch.equal(swapped.codes[~chosen], pieces.codes[~chosen])
    assert swapped.frames == pieces.frames and len(model.decode(swapped).audio) == swapped.samples
    shifted = dataclasses.replace(other, positions=pieces.positions + torch.arange(len(pieces.positions)))
    longer = model.swap(pieces, dataclasses.replace(shifted, frames=pieces.frames + 50), [1])
    assert longer.frames == pieces.frames + int(chosen.sum())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"guidance": 2.0}, "no option 'guidance'"),
        ({"speed": 9}, "speed is 9"),
        ({"steps": 0}, "steps is 0"),
        ({"unit_order": "left"}, "unit_order is 'left'"),
        ({"seed": -1}, "the seed is -1"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(taste, voice, options, said):
    with pytest.raises(InputError, match=said):
        taste.say("Hello.", voice=voice, **options)


def test_tokens_of_others_are_refused(taste, pieces, tiny_model, recording, transcript):
    with pytest.raises(CheckpointError, match="tada"):
        taste.decode(tiny_model.encode(recording, text=transcript))
    with pytest.raises(CheckpointError, match="taste"):
        tiny_model.decode(pieces)
    with pytest.raises(CheckpointError, match="speaker"):
        taste.decode(dataclasses.replace(taste.encode(recording, text=transcript), extras={}))


def test_what_cannot_be_heard_or_said_is_refused(taste, recording, transcript):
    with pytest.raises(AlignmentError):
        taste.encode(recording, text="word " * 400)
    with pytest.raises(InputError, match="tokens is 0"):
        taste.continue_(recording, text=transcript, tokens=0)
    with pytest.raises(CheckpointError, match="no voice of its own"):
        taste.say("Hello.")
    with pytest.raises(InputError, match="needs the words"):
        taste.voice(recording)
    with pytest.raises(InputError, match="no latent noise"):
        taste.encode(recording, text=transcript, sample_latent=True)


def test_the_folder_is_known_by_its_card_and_by_its_keys(taste_dir, tmp_path):
    from unisono import hub
    from unisono.families import guess_family
    from unisono.files import read_json

    assert hub.family_of(taste_dir) == "taste"
    assert guess_family(read_json(taste_dir / "config.json")) == "taste"
    with pytest.raises(InputError, match="quantize"):
        hub.load(taste_dir, device="cpu", quantize="int8")
    with pytest.raises(InputError, match="speaks 'en' only"):
        hub.load(taste_dir, device="cpu", language="de")
