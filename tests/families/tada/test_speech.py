"""TADA as a speech model: what every caller may count on, with a tiny random model."""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from unisono import hub
from unisono.audio import read_audio
from unisono.errors import AlignmentError, AudioError, CheckpointError, InputError
from unisono.files import load_voice
from unisono.interface import AlignedTokens, Audio
from unisono.text import source_words

TEXTS = ["Hello there.", "One, two. Three four five! Is it six?", "A", "Dr. Smith paid $3.50 — twice (really)."]


def check_times(speech):
    """The contract of words and tokens."""
    words = [speech.text[span.start : span.end] for span in source_words(speech.text)]
    assert [word.text for word in speech.words] == words
    last = 0.0
    for word in speech.words:
        assert last <= word.start < word.end <= speech.duration
        last = word.end
    positions = [token.position for token in speech.tokens]
    assert all(a < b for a, b in itertools.pairwise(positions)) and positions[0] >= 1
    assert [token.gap for token in speech.tokens] == np.diff(positions, prepend=0).tolist()
    assert positions[-1] <= round(speech.duration * 50)


def equal(a, b):
    return np.array_equal(a.audio, b.audio) and a.words == b.words and a.tokens == b.tokens and a.text == b.text


def close(pieces, whole):
    """Whether pieces are the whole but for rounding."""
    sound = np.concatenate([piece.audio for piece in pieces])
    return len(sound) == len(whole.audio) and np.abs(sound - whole.audio).max() <= 1e-4


@pytest.mark.parametrize("text", TEXTS)
def test_say(tiny_model, text):
    speech = tiny_model.say(text, seed=3)
    assert speech.text == text and speech.sample_rate == 24000
    assert speech.audio.dtype == np.float32 and np.isfinite(speech.audio).all() and np.abs(speech.audio).max() > 0
    assert len(speech.audio) % 480 == 0
    check_times(speech)


def test_one_token_one_sound(tiny_model):
    speech = tiny_model.say("Hello there. This is it.")
    assert "".join(token.text for token in speech.tokens) == " Hello there. This is it."
    assert all(token.gap <= 12 + 12 for token in speech.tokens)  # max_gap, and the end of the sentence before
    assert sum(token.gap for token in speech.tokens) == speech.tokens[-1].position


def test_same_seed_same_bytes_and_another_seed_another_sound(tiny_model):
    first, again, other = (tiny_model.say(TEXTS[1], seed=seed) for seed in (7, 7, 8))
    assert equal(first, again)
    assert not np.array_equal(first.audio, other.audio)


def test_global_random_state_plays_no_part(tiny_model):
    first = tiny_model.say("Hello.", seed=7)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert equal(first, tiny_model.say("Hello.", seed=7))
    assert torch.equal(before, torch.get_rng_state())


def test_a_list_is_spoken_one_by_one(tiny_model):
    together = tiny_model.say(TEXTS, seed=7)
    assert all(equal(a, tiny_model.say(text, seed=7)) for a, text in zip(together, TEXTS, strict=True))
    assert tiny_model.say([]) == []


@pytest.mark.parametrize("text", TEXTS)
def test_stream_is_say_in_at_least_two_pieces(tiny_model, text):
    whole, pieces = tiny_model.say(text, seed=5), list(tiny_model.stream(text, seed=5))
    assert len(pieces) >= 2 and all(len(piece.audio) for piece in pieces)
    assert close(pieces, whole)
    assert [word for piece in pieces for word in piece.words] == whole.words
    assert [token for piece in pieces for token in piece.tokens] == whole.tokens


def test_options_do_something(tiny_model):
    text = "Hello there, how are you today?"
    plain = tiny_model.say(text, seed=1)
    for change in ({"steps": 5}, {"guidance": 3.0}, {"temperature": 0.2}, {"num_flow_matching_steps": 4}):
        assert not equal(plain, tiny_model.say(text, seed=1, **change)), change
    assert equal(plain, tiny_model.say(text, seed=1, steps=2)) and equal(plain, tiny_model.say(text, seed=1, speed=1))
    fast, slow = (tiny_model.say(text, seed=1, speed=speed) for speed in (2.0, 0.5))
    check_times(fast)
    assert fast.duration < 0.75 * plain.duration < 1.2 * slow.duration


def test_progress_reaches_its_total(tiny_model):
    seen = []
    tiny_model.say(TEXTS[1], progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 20 and {total for _, total in seen} == {seen[-1][0]}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 0},
        {"speed": float("nan")},
        {"speed": "fast"},
        {"steps": 0},
        {"steps": 2.5},
        {"steps": True},
        {"guidance": -1},
        {"guidance": float("inf")},
        {"temperature": 9},
        {"candidates": 0},
        {"scorer": "best"},
        {"noise_temperature": "warm"},
        {"volume": 11},
        {"seed": -1},
        {"seed": 1.5},
        {"seed": 2**70},
    ],
    ids=str,
)
def test_unknown_option_values_are_named(tiny_model, options):
    with pytest.raises(InputError) as caught:
        tiny_model.say("Hello.", **options)
    assert next(iter(options)) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", " \n\t", "...", "🙂🙂", "—", None, 5, "\ud800a", "你好"])
def test_texts_that_cannot_be_spoken(tiny_model, recording, text):
    for call in (
        lambda: tiny_model.say(text),
        lambda: list(tiny_model.stream(text)),
        lambda: tiny_model.align(recording, text=text),
        lambda: tiny_model.encode(recording, text=text),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_align_and_encode_agree(tiny_model, recording, transcript):
    speech, tokens = (call(recording, text=transcript) for call in (tiny_model.align, tiny_model.encode))
    check_times(speech)
    assert speech.sample_rate == 24000 and np.array_equal(speech.audio, read_audio(recording).samples)
    assert [token.position for token in speech.tokens] == tokens.positions.tolist()
    assert [token.id for token in speech.tokens] == tokens.text_ids.tolist()
    assert tokens.vectors.shape == (len(tokens.text_ids), 8) and tokens.frames == 150 and tokens.samples == 72000


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_decode_gives_as_much_sound_as_was_encoded(tiny_model, recording, transcript, rate):
    import soxr

    samples = soxr.resample(read_audio(recording).samples[:67001], 24000, rate)
    tokens = tiny_model.encode(Audio(samples, rate), text=transcript)
    speech = tiny_model.decode(tokens)
    assert speech.sample_rate == 24000
    assert abs(speech.duration - len(samples) / rate) <= 0.02
    check_times(speech)


def test_encoding_is_deterministic(tiny_model, recording, transcript):
    first, second = (tiny_model.encode(recording, text=transcript) for _ in range(2))
    assert torch.equal(first.vectors, second.vectors)


def test_a_voice_changes_the_sound_and_survives_a_file(tiny_model, recording, tmp_path):
    voice = tiny_model.voice(recording, text="Something else is said.")
    voice.save(tmp_path / "v.safetensors")
    first = tiny_model.say("Hello.", voice=voice)
    assert equal(first, tiny_model.say("Hello.", voice=load_voice(tmp_path / "v.safetensors")))
    assert not equal(first, tiny_model.say("Hello."))


def test_too_much_text_for_the_sound(tiny_model, recording):
    with pytest.raises(AlignmentError):
        tiny_model.align(recording, text="word " * 200)


def test_unusable_sound(tiny_model, tmp_path):
    for sound in (Audio(np.zeros(24000), 24000), Audio(np.ones(1), 24000), tmp_path, tmp_path / "missing.wav"):
        for call in (tiny_model.align, tiny_model.encode, tiny_model.voice):
            with pytest.raises(AudioError):
                call(sound, text="Hello.")


def test_a_voice_of_another_model_is_refused(tiny_model, recording, transcript):
    voice = tiny_model.voice(recording, text=transcript)
    for change in ({"model": "other"}, {"family": "taste"}, {"vectors": torch.ones(len(voice.tokens.text_ids), 9)}):
        changed = AlignedTokens(**{**vars(voice.tokens), **change})
        with pytest.raises(CheckpointError):
            tiny_model.decode(changed)
        with pytest.raises(CheckpointError):
            tiny_model.say("Hello.", voice=type(voice)("x", changed))


def test_without_a_voice(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "m")
    shutil.rmtree(folder / "voices")
    check_times(hub.load(folder, device="cpu").say("Hello there."))


def test_what_training_lays_out_is_what_speaking_reads(tiny_model):
    """The sequence of a voice and a text is laid out as two joined utterances are in training."""
    from unisono.families.tada.card import make_options
    from unisono.families.tada.training import Passage, lay_out
    from unisono.families.tada.voice_prompt import plan_sentence, voice_prompt

    voice, model = tiny_model.default_voice, tiny_model.model
    prompt = voice_prompt(model, voice, name_speaker=True)
    ids = model.tokenizer.encode(" and more")
    options = make_options(tiny_model.card, {})
    plan, first = plan_sentence(model, prompt, ids, options, transition_steps=0, show_prompt_text=True)
    count = len(prompt.ids) + len(ids)
    vectors = np.zeros((count, 8), np.float32)
    vectors[: len(prompt.ids)] = prompt.vectors[0].numpy()
    positions = np.concatenate(
        [voice.tokens.positions.numpy(), int(voice.tokens.positions[-1]) + 1 + np.arange(len(ids))]
    )
    passage = Passage(np.array(prompt.ids + ids), vectors, positions, int(positions[-1]) + 5, voice.speaker)
    layout = lay_out(passage, model.tokenizer, 5, 16)
    assert plan.branch_ids[0, 0].tolist() == layout.ids.tolist()
    shift, slots = model.config.shift_acoustic, first + 1  # slots up to the voice's last token
    for table, laid in ((plan.tables.vectors, layout.vectors), (plan.tables.masks, layout.masks)):
        read = torch.from_numpy(laid[shift + 1 : shift + 1 + slots])
        torch.testing.assert_close(table[0, :slots].to(read), read, atol=1e-6, rtol=0)
    for table, laid in ((plan.tables.before, layout.before), (plan.tables.after, layout.after)):
        read = torch.from_numpy(laid[shift + 1 : shift + slots])  # slot j reads column j + 1
        assert table[0, 1:slots].tolist() == read.tolist()


def change_card(folder, **values):
    card = json.loads((folder / "unisono.json").read_text())
    (folder / "unisono.json").write_text(json.dumps({**card, **values}))


@pytest.mark.parametrize(
    "values",
    [
        {"famly": "tada"},
        {"family": "other"},
        {"name": 5},
        {"options": {"steps": 0}},
        {"options": {"stepz": 1}},
        {"word_lead": "x"},
        {"voice": "nobody"},
    ],
    ids=str,
)
def test_a_card_that_cannot_be_used(tiny_folder, tmp_path, values):
    folder = shutil.copytree(tiny_folder, tmp_path / "m")
    change_card(folder, **values)
    with pytest.raises(CheckpointError) as caught:
        hub.load(folder, device="cpu").say("Hello.")
    assert "\n" not in str(caught.value)


def test_parts_that_do_not_belong_together(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "m")
    config = json.loads((folder / "decoder" / "config.json").read_text())
    weights = load_file(folder / "decoder" / "model.safetensors")
    for name, value in weights.items():
        if value.dim() > 1 and value.shape[-1] == 8 and name.startswith(("decoder_proj", "mark_context")):
            weights[name] = torch.cat([value, value[..., :1]], -1)
    save_file(weights, folder / "decoder" / "model.safetensors")
    (folder / "decoder" / "config.json").write_text(json.dumps({**config, "embed_dim": 9}))
    with pytest.raises(CheckpointError):
        hub.load(folder, device="cpu")


def test_half_precision_speaks(tiny_folder):
    check_times(hub.load(tiny_folder, device="cpu", dtype="bfloat16").say("Hello there."))
