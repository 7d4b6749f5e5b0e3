"""Editing: what is not edited keeps its vectors to the bit and its sound, for both heads."""

import shutil

import numpy as np
import pytest
import torch

from unisono import hub
from unisono.audio import read_audio
from unisono.errors import CheckpointError, InputError
from unisono.families.edits import find_edits
from unisono.families.tada import Decoder
from unisono.families.tada.card import make_options
from unisono.families.tada.decoder import DecoderConfig
from unisono.families.tada.editing import NEW, cuts, edit_tokens, pieces_of
from unisono.families.tada.splicing import stretches_of
from unisono.families.tada.windows import Grid
from unisono.interface import Audio

TEXT = "Hello there, this is a test of words and more."
EDITS = [
    {"replace": {"this": "that other"}},
    {"delete": ["is"]},
    {"insert_after": {"test": "case"}},
    {"delete": ["Hello there"]},
    {"replace": {"Hello": "Bye"}},
    {"replace": {"more": "less"}},
    {"replace": {"there": "you"}, "delete": ["a"], "insert_after": {"words": "here"}},
]
HOP = 480


@pytest.fixture(scope="module", params=["source_filter", "dac"])
def spoken(request, tiny_folder, recording, tmp_path_factory):
    """A model with either head, a recording encoded, and its sound."""
    folder = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("edit") / "m")
    if request.param == "dac":
        torch.manual_seed(0)
        sizes = {
            "hidden_dim": 16,
            "embed_dim": 8,
            "num_attn_layers": 1,
            "num_attn_heads": 2,
            "attn_dim_feedforward": 16,
        }
        shutil.rmtree(folder / "decoder")
        Decoder(DecoderConfig(**sizes, head="dac", wav_decoder_channels=32)).save_pretrained(folder / "decoder")
    tts = hub.load(folder, device="cpu")
    sound = read_audio(recording).samples
    tokens = tts.encode(Audio(np.concatenate([sound, sound]), 24000), text=TEXT)
    return tts, tokens, tts.decode(tokens)


def edited(tts, tokens, edits, seed=0):
    options = make_options(tts.card, {})
    found = find_edits(TEXT, **edits)
    return edit_tokens(tts.model, tts.card, tokens, found, tts.spell, options, seed=seed, progress=None)


@pytest.mark.parametrize("edits", EDITS, ids=str)
def test_kept_vectors_are_bit_equal_and_kept_sound_is_shifted(spoken, edits):
    tts, tokens, before = spoken
    result = edited(tts, tokens, edits)
    after, origins = result.tokens, result.origins
    assert after.text_ids.tolist() == tts.spell(after.text).ids
    kept = [i for i, origin in enumerate(origins) if origin != NEW]
    sources = [origins[i] for i in kept]
    assert kept and sources == sorted(set(sources)) and len(kept) >= len(tokens.text_ids) - 25
    assert torch.equal(after.vectors[kept], tokens.vectors[sources])
    assert torch.equal(after.text_ids[kept], tokens.text_ids[sources])
    assert bool((after.positions.diff() > 0).all()) and int(after.positions[0]) == int(tokens.positions[0])
    assert after.frames - int(after.positions[-1]) == tokens.frames - int(tokens.positions[-1])
    assert len(result.audio.samples) == after.samples and np.isfinite(result.audio.samples).all()
    # Outside of the reach of the edit the sound is that of the unedited tokens.
    grids = [Grid(t.vectors, t.positions - 1, t.frames) for t in (tokens, after)]
    decoder = tts.model.decoder
    stretches = stretches_of(*grids, origins, decoder.reach)
    margin, checked = decoder.wav_decoder.margin, 0
    for index, (start, stop, shift) in enumerate(stretches):
        if shift is None:
            continue
        low = (start + margin * (index > 0)) * HOP
        high = (stop - margin * (index + 1 < len(stretches))) * HOP
        if low < high:
            mine = result.audio.samples[low:high]
            theirs = before.audio[low - shift * HOP : low - shift * HOP + len(mine)]
            np.testing.assert_allclose(mine, theirs, atol=1e-4)
            checked += high - low
    assert checked > 10 * HOP


@pytest.mark.parametrize("edits", EDITS[:4], ids=str)
def test_the_new_sound_joins_without_a_step(spoken, edits):
    tts, tokens, before = spoken
    after = edited(tts, tokens, edits).audio.samples
    assert np.abs(np.diff(after)).max() <= 1.5 * np.abs(np.diff(before.audio)).max()


def test_what_is_decoded_anew_is_what_decoding_all_anew_gives(spoken):
    """The result is an honest decoding of the edited tokens; only a harmonic source has another phase and noise."""
    tts, tokens, _ = spoken
    if tts.model.decoder.config.head != "dac":
        pytest.skip("its phase and noise are those of the recording")
    for edits in EDITS:
        result = edited(tts, tokens, edits)
        np.testing.assert_allclose(result.audio.samples, tts.decode(result.tokens).audio, atol=1e-4)


def test_a_word_may_be_spoken_anew(spoken):
    tts, tokens, _ = spoken
    result = edited(tts, tokens, {"replace": {"words": "words"}})
    assert result.tokens.text == TEXT and torch.equal(result.tokens.text_ids, tokens.text_ids)
    assert result.origins.count(NEW) == len(" words ")


def test_cuts_are_as_small_as_they_can_be(tiny_model):
    for edits in EDITS:
        spans = find_edits(TEXT, **edits)
        for cut, edit in zip(cuts(TEXT, spans, tiny_model.spell), spans, strict=True):
            # the letters of the edit, and a mark to each side that holds how a word begins or ends
            assert len(cut.ids) <= len(edit.new) + 2 and cut.stop - cut.start <= edit.span.end - edit.span.start + 2


def test_the_gap_behind_an_edit_is_the_recordings_own(spoken):
    tts, tokens, _ = spoken
    result = edited(tts, tokens, {"delete": ["is"]})
    old = pieces_of(tokens).gaps
    new = result.tokens.positions.diff(prepend=torch.zeros(1, dtype=torch.long)).tolist()
    for index, origin in enumerate(result.origins):
        if origin != NEW and index:
            assert new[index] == old[origin]


def test_edit_is_deterministic_and_takes_tokens_or_sound(tiny_model, recording, transcript):
    words = {"replace": {"test": "word"}}
    first = tiny_model.edit(recording, text=transcript, **words, seed=3)
    tokens = tiny_model.encode(recording, text=transcript)
    second, pieces = tiny_model.edit_tokens(tokens, **words, seed=3)
    assert np.array_equal(first.audio, second.audio) and first.words == second.words
    assert first.text == pieces.text == transcript.replace("test", "word")
    assert [word.text for word in first.words] == first.text.split()
    other = tiny_model.edit(recording, text=transcript, **words, seed=4)
    assert not np.array_equal(first.audio, other.audio)


def test_progress_reaches_its_total(tiny_model, recording, transcript):
    seen = []
    words = {"replace": {"test": "word"}, "delete": ["a"]}
    tiny_model.edit(recording, text=transcript, **words, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] and [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_edits_that_are_refused(tiny_model, recording, transcript):
    for words, options in (
        ({"delete": ["nothing of this"]}, {}),
        ({"replace": {"test": "你好"}}, {}),
        ({"replace": {"test": "\ud800"}}, {}),
        ({"delete": ["test"]}, {"steps": 0}),
        ({"delete": ["test"]}, {"seed": -1}),
    ):
        with pytest.raises(InputError) as caught:
            tiny_model.edit(recording, text=transcript, **words, **options)
        assert "\n" not in str(caught.value)
    tokens = tiny_model.encode(recording, text=transcript)
    tokens.model = "another"
    with pytest.raises(CheckpointError):
        tiny_model.edit(tokens, delete=["test"])
