"""What families share: texts to tokens that know their place, sentences to one speech, one speech in pieces."""

from dataclasses import replace

import numpy as np
import pytest

from unisono.errors import CheckpointError, InputError
from unisono.families import FAMILIES, get_family, guess_family
from unisono.families.joining import Teller, join, shift, soften, speech_of
from unisono.families.spelling import spell, spell_sentences
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


@pytest.mark.parametrize("size", [480, 3360, 9600, 14400])
def test_what_is_told_piece_by_piece_is_the_whole(size):
    result = spelled("One two three, four. Five!")
    positions = [3 * (index + 1) for index in range(len(result.ids))]
    noise = np.random.default_rng(0).normal(size=480 * (positions[-1] + 5)).astype(np.float32)
    whole = speech_of(result, positions, Audio(noise, 24000), lead=0.05, running=True)
    teller, pieces = Teller(result, 24000, 0.05), []
    for start in range(0, len(noise), size):
        known = [mark for mark in positions if mark <= (start + size) // 480 + 4]  # a few marks ahead of the sound
        pieces.append(teller.tell(noise[start : start + size], known, last=start + size >= len(noise)))
        assert all(word.end <= (start + size) / 24000 for word in pieces[-1].words)
    assert np.array_equal(np.concatenate([piece.audio for piece in pieces]), noise)
    assert [word for piece in pieces for word in piece.words] == whole.words
    assert [token for piece in pieces for token in piece.tokens] == whole.tokens


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


@pytest.mark.parametrize("loud", [0.3, 1.0])
def test_joined_parts_make_no_click(loud):
    """No sample step at a seam, or where joining changed the sound, is over the 99.9th percentile of its own part's."""
    at = np.arange(24000) / 24000
    rng = np.random.default_rng(0)
    parts = []
    for frequency in (110, 180, 90):  # ends anywhere in its cycle, as loud as in the middle
        sound = loud * np.sin(2 * np.pi * frequency * at + rng.uniform(0, 6)) + 0.002 * rng.normal(size=len(at))
        parts.append(replace(speech("Hello."), audio=sound.astype(np.float32)))
    soft = [soften(part, start=i > 0, end=i + 1 < len(parts)) for i, part in enumerate(parts)]
    whole = join("Hello. Hello. Hello.", soft).audio
    steps = np.abs(np.diff(whole))
    limits = [np.percentile(np.abs(np.diff(part.audio)), 99.9) for part in parts]
    for index, seam in enumerate((24000, 48000)):
        assert steps[seam - 120 : seam - 1].max() <= limits[index]
        assert steps[seam - 1] <= min(limits) and steps[seam : seam + 120].max() <= limits[index + 1]
    assert whole[0] == parts[0].audio[0] and whole[-1] == parts[-1].audio[-1]  # the outer ends stay


def test_a_sentence_without_end_is_spoken_in_pieces():
    text = "Word, " * 200 + "end."
    pieces = spell_sentences(text, TOKENIZER, style="plain", language="en", leading_space=True)
    assert len(pieces) > 4 and all(len(piece.source) <= 300 for piece in pieces)
    assert "".join("".join(piece.source.split()) for piece in pieces) == "".join(text.split())
    assert all(piece.source.endswith(",") for piece in pieces[:-1])
