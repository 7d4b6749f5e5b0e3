"""What families share: texts to tokens that know their place, sentences to one speech, one speech in pieces."""

import numpy as np
import pytest

from unisono.errors import CheckpointError, InputError
from unisono.families import FAMILIES, get_family, guess_family
from unisono.families.joining import cut, join, shift, speech_of
from unisono.families.spelling import spell
from unisono.interface import Audio, Family
from unisono.text import CharacterTokenizer

TOKENIZER = CharacterTokenizer()


def spelled(text, leading_space=True):
    return spell(text, TOKENIZER, style="plain", language="en", leading_space=leading_space)


def speech(text, step=3, tail=5):
    """A speech with a mark every `step` frames and noise for a sound."""
    result = spelled(text)
    positions = [step * (index + 1) for index in range(len(result.ids))]
    frames = positions[-1] + tail
    noise = np.random.default_rng(0).normal(size=480 * frames).astype(np.float32)
    return speech_of(result, positions, Audio(noise, 24000), lead=0.0)


def test_every_token_knows_its_place_in_the_source():
    result = spelled("  It costs $3. \n")
    assert result.spoken == " " + result.spoken.strip() and result.spoken.startswith(" It costs three")
    assert "".join(result.texts) == result.spoken
    places = [result.source[span.start : span.end] for span in result.spans]
    assert places[1:10] == list("It costs ") and set(places[10:-1]) <= {"$3", "$", "3"} and places[-1] == "."
    starts = [span.start for span in result.spans]
    assert starts == sorted(starts)


def test_without_a_leading_space_the_text_stays_as_it_is():
    assert spelled("Hello there.", leading_space=False).spoken == "Hello there."


@pytest.mark.parametrize("text", ["...", "你好", "—"])
def test_nothing_readable_is_an_error(text):
    with pytest.raises(InputError, match="can be read"):
        spelled(text)


def test_joining_counts_on_from_what_was_there():
    parts = [speech("One two."), speech("Three.")]
    whole = join("One two. Three.", parts)
    assert whole.duration == pytest.approx(sum(part.duration for part in parts))
    assert [word.text for word in whole.words] == ["One", "two.", "Three."]
    positions = [token.position for token in whole.tokens]
    assert [token.gap for token in whole.tokens] == np.diff(positions, prepend=0).tolist()
    assert positions[-1] == parts[0].duration * 50 + parts[1].tokens[-1].position
    assert whole.words[-1].end <= whole.duration
    assert join("One two.", parts[:1]).words == shift(parts[0], 0, 0).words


@pytest.mark.parametrize("frame", [1, 7, 20, 30])
def test_pieces_are_the_whole(frame):
    whole = speech("One two three.")
    pieces = cut(whole, frame / 50)
    assert np.array_equal(np.concatenate([piece.audio for piece in pieces]), whole.audio)
    assert [word for piece in pieces for word in piece.words] == whole.words
    assert [token for piece in pieces for token in piece.tokens] == whole.tokens
    assert all(word.start < frame / 50 for word in pieces[0].words)
    assert all(token.position > frame for token in pieces[1].tokens)


def test_shifting_moves_times_and_the_first_gap():
    moved = shift(speech("One."), samples=4800, last=8)
    assert moved.tokens[0].position == 13 and moved.tokens[0].gap == 5
    assert moved.words[0].start == pytest.approx(speech("One.").words[0].start + 0.2)


def test_families_by_name():
    for name in FAMILIES:
        assert isinstance(get_family(name), Family) and get_family(name).name == name
    with pytest.raises(CheckpointError, match="unknown"):
        get_family("nobody")
    assert guess_family({"acoustic_dim": 512}) == "tada" and guess_family({"hidden_size": 8}) is None
