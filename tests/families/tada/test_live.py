"""Speech that is heard while it is made equals the whole; text that arrives in pieces is spoken as it comes."""

import shutil
import warnings

import numpy as np
import pytest
import torch

from unisono import hub
from unisono.errors import InputError
from unisono.families.tada import generate, work
from unisono.families.tada.live import FIRST, GROWTH, HOP
from unisono.interface import Audio

LONG = "Hello there, how are you today, and what is it that you want to hear me say? One, two. Three four five six!"


@pytest.fixture(scope="module")
def published(tiny_folder, tmp_path_factory):
    """The tiny model without a card, with a decoder of convolutions and without a voice, as TADA was published."""
    from unisono.families.tada import Decoder
    from unisono.families.tada.decoder import DecoderConfig

    folder = tmp_path_factory.mktemp("published") / "tada-0b"
    shutil.copytree(tiny_folder, folder)
    (folder / "unisono.json").unlink()
    shutil.rmtree(folder / "decoder")
    torch.manual_seed(3)
    sizes = {"hidden_dim": 16, "embed_dim": 8, "num_attn_layers": 2, "num_attn_heads": 2, "attn_dim_feedforward": 16}
    Decoder(DecoderConfig(**sizes, wav_decoder_channels=32)).save_pretrained(folder / "decoder")
    return hub.load(folder, device="cpu")


def check_stream(model, text, **options):
    """Stream, compare with the whole, hand back the pieces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = model.say(text() if callable(text) else text, **options)
        pieces = list(model.stream(text() if callable(text) else text, **options))
    sound = np.concatenate([piece.audio for piece in pieces])
    assert len(pieces) >= 2 and all(len(piece.audio) for piece in pieces)
    assert len(sound) == len(whole.audio) and np.abs(sound - whole.audio).max() <= 1e-4
    assert np.abs(whole.audio).max() > 0.01
    assert [word for piece in pieces for word in piece.words] == whole.words
    assert [token for piece in pieces for token in piece.tokens] == whole.tokens
    assert [score for piece in pieces for score in piece.speaker_scores] == whole.speaker_scores
    return pieces


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"candidates": 3},
        {"candidates": 2, "scorer": "duration_median"},
        {"speed": 0.7},
        {"speed_up_factor": 1.5},
        {"guidance": 1.0},
        {"negative_source": "prompt"},
        {"transition_steps": 5},
        {"token_seconds": 0.05},
        {"speaker_threshold": -1.0},
    ],
    ids=str,
)
def test_stream_equals_say_for_every_option(tiny_model, options):
    check_stream(tiny_model, LONG, seed=5, **options)


@pytest.mark.parametrize("text", ["A", "One [pause:0.5s] two. [rate:2]Three four.[/rate]", "Hm. [pause:3s]And so on."])
def test_stream_of_little_text_and_of_pauses(tiny_model, text):
    check_stream(tiny_model, text, seed=5, speed=0.8)


@pytest.mark.parametrize("options", [{}, {"speed": 1.3}, {"token_seconds": 0.1}], ids=str)
def test_stream_of_published_checkpoints(published, options):
    pieces = check_stream(published, "Hello there, how are you?", seed=1, steps=2, **options)
    assert len(pieces) > 2


def test_stream_begins_before_the_sentence_is_made(tiny_model, monkeypatch):
    steps, step = [], generate.step
    monkeypatch.setattr(work, "step", lambda *args: steps.append(1) or step(*args))
    pieces = tiny_model.stream(LONG.split("?")[0] + "?", seed=5)
    first = next(pieces)
    begun = len(steps)
    rest = list(pieces)
    assert len(first.audio) == FIRST * HOP and begun < len(steps) / 2
    assert len(rest) >= 2 and len(rest[0].audio) == GROWTH * FIRST * HOP  # later pieces are longer
    end = 0.0
    for piece in [first, *rest]:
        end += piece.duration
        assert all(word.end <= end + 1e-9 for word in piece.words)
        assert all(token.position <= round(end * 50) for token in piece.tokens)


def test_stream_of_text_that_arrives_begins_with_the_first_clause(tiny_model):
    read = []

    def arriving():
        for piece in ["Hello ", "there, ", "my friend. ", "Is it ", "six? ", "It is."]:
            read.append(piece)
            yield piece

    pieces = tiny_model.stream(arriving(), seed=3)
    next(pieces)
    assert read == ["Hello ", "there, "]
    list(pieces)
    assert read[-1] == "It is."
    check_stream(tiny_model, arriving, seed=3)


@pytest.mark.parametrize("last", ["[pause:1s]", " ... [pause:1s] !"])
def test_pauses_that_arrive_alone_are_no_error(tiny_model, last):
    words = [
        word.text for piece in tiny_model.stream(iter(["[pause:1s] ", "Hello there. ", last])) for word in piece.words
    ]
    assert words == ["Hello", "there."]


def test_stream_of_arriving_text_does_not_depend_on_its_pieces(tiny_model):
    text = "Hello there, my friend. Is it six?"
    whole = tiny_model.say(iter([text]), seed=3)
    letters = tiny_model.say(iter(text), seed=3)
    assert whole.text == letters.text == text and np.array_equal(whole.audio, letters.audio)
    assert [word.text for word in whole.words] == text.split()


def test_stream_refuses_at_once_what_cannot_be_said(tiny_model):
    for text in ("", iter([]), iter(["...", " "]), iter([5]), None):
        with pytest.raises(InputError):
            next(tiny_model.stream(text))


def test_a_stream_that_is_given_up_leaves_the_model_as_it_was(tiny_model):
    whole = tiny_model.say(LONG, seed=5)
    pieces = tiny_model.stream(LONG, seed=5)
    next(pieces)
    pieces.close()
    assert np.array_equal(tiny_model.say(LONG, seed=5).audio, whole.audio)


def test_stream_of_the_built_in_model():
    model = hub.load(None, device="cpu")
    pieces = check_stream(model, "Every token of text carries exactly one piece of speech.", seed=7)
    assert isinstance(Audio(pieces[0].audio, 24000).samples, np.ndarray) and len(pieces[0].audio) == FIRST * HOP
