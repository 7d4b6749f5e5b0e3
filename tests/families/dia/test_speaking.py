"""Dia as a speech model: dialogues, lengths, streams, batches, voices and what it refuses."""

import shutil

import numpy as np
import pytest
import torch

import unisono
from unisono.cli import main
from unisono.errors import CheckpointError, GenerationWarning, InputError
from unisono.families.dia.delay import decoder_prompt, undelayed
from unisono.families.dia.script import Turn, pack, read_turns, write_turns

pytestmark = pytest.mark.filterwarnings("ignore::unisono.errors.GenerationWarning")
TEXT = "[S1] Hello there. [S2] How are you?"


@pytest.fixture(scope="module")
def spoken(dia):
    """The speech that others are compared with."""
    return dia.say(TEXT, seed=3)


def test_a_speech_is_as_long_as_its_frames(dia, spoken):
    pieces, keys, options = dia.prepare(TEXT, None, 3, {})
    codes = torch.cat(list(dia.engine.codes(pieces[0], keys[0], options)))
    limit = dia.engine.limit(pieces[0], options)
    assert limit == int((len(dia.engine.text_ids(TEXT)) + 4) * 0.02 * 44100 / 512)
    assert 0 < len(codes) <= limit and codes.shape[1] == 9 and int(codes.min()) >= 0 and int(codes.max()) < 1024
    assert len(spoken.audio) == 512 * len(codes) and spoken.sample_rate == 44100


def test_frames_are_as_many_as_were_asked_for(dia):
    """Of N new steps the library makes N - 16 frames: the end takes one, and the delays of the last channel 15."""
    from transformers import GenerationConfig

    pieces, keys, options = dia.prepare(TEXT, None, 3, {"token_seconds": 0.2})
    limit = dia.engine.limit(pieces[0], options)
    with pytest.warns(GenerationWarning, match="did not end"):
        codes = torch.cat(list(dia.engine.codes(pieces[0], keys[0], options)))
    assert len(codes) == limit > 100

    ids, mask = decoder_prompt(None, 1, dia.engine.config)
    text = torch.tensor([dia.engine.text_ids("[S1] Hi.")])
    for steps in (20, 40):
        names = dict(bos_token_id=1026, eos_token_id=1024, pad_token_id=1025, decoder_start_token_id=1026)
        config = GenerationConfig(do_sample=False, max_new_tokens=steps, **names)
        given = dict(decoder_input_ids=ids, decoder_attention_mask=mask, generation_config=config)
        made = dia.engine.model.generate(text, attention_mask=torch.ones_like(text), **given)
        assert len(undelayed(made[0], 1, dia.engine.config)) == steps - 16


def test_no_speech_ends_before_it_has_begun(dia_folder):
    """A model that would always end takes 20 ms for each letter; with and without guidance."""
    eager = unisono.load(dia_folder, device="cpu")

    def end(module, given, made):
        made[..., 1024] += 50.0  # of the first channel

    eager.engine.model.logits_dense.register_forward_hook(end)
    for guidance in (3.0, 1.0):
        pieces, keys, options = eager.prepare("Hello there, you.", None, 1, {"guidance": guidance})
        wanted = round(15 * 0.02 * 44100 / 512)  # [S1] counts as two
        assert len(torch.cat(list(eager.engine.codes(pieces[0], keys[0], options)))) == wanted < 40


def test_later_pieces_go_on_from_the_first(dia, monkeypatch):
    text = "[S1] Hello there, you are early today. [S2] Am I? I did not know that. It is the bus. [S1] Good."
    asked, batch = [], dia.engine.batch
    monkeypatch.setattr(dia.engine, "batch", lambda pieces, *rest: asked.extend(pieces) or batch(pieces, *rest))
    spoken = dia.say(text, seed=3)
    first, *later = asked
    assert first.codes is None and later and all(piece.said == first.text for piece in later)
    assert all(dia.engine.text_ids(p.text, p.said) == dia.engine.text_ids(f"{p.said} {p.text}") for p in later)
    (row, _) = dia.say([text, "One."], seed=3)
    assert len(row.audio) == len(spoken.audio) and np.abs(row.audio - spoken.audio).max() < 1e-5


def test_same_seed_same_bytes_and_a_stream_is_what_say_gives(dia, spoken):
    parts = list(dia.stream(TEXT, seed=3))
    assert len(parts) >= 2 and np.array_equal(np.concatenate([part.audio for part in parts]), spoken.audio)
    assert not np.array_equal(dia.say(TEXT, seed=4).audio[:512], spoken.audio[:512])


def test_batch_rows_equal_singles_and_cached_equals_uncached(dia, spoken):
    rows = dia.say([TEXT, "One."], seed=3)
    for row, single in zip(rows, (spoken, dia.say("One.", seed=3)), strict=True):
        assert len(row.audio) == len(single.audio) and np.abs(row.audio - single.audio).max() < 1e-5
    uncached = dia.say(TEXT, seed=3, cache=False)
    assert np.abs(uncached.audio - spoken.audio).max() < 1e-5


def test_guidance_and_temperature_change_what_is_drawn(dia, spoken):
    for options in ({"guidance": 1.0}, {"temperature": 1.0}, {"top_k": 5}, {"top_p": 0.3}):
        other = dia.say(TEXT, seed=3, **options).audio
        assert len(other) != len(spoken.audio) or not np.array_equal(other, spoken.audio), options


def test_a_voice_is_decoded_with_its_speech_and_cut_off(dia, recording, transcript):
    voice = dia.voice(recording, text=transcript)
    assert voice.tokens.codes.shape == (259, 9)
    pieces, keys, options = dia.prepare("Hi.", voice, 1, {})
    assert dia.engine.text_ids(pieces[0].text, pieces[0].said)[0] == 1  # the transcript speaks as [S1]
    codes = torch.cat(list(dia.engine.codes(pieces[0], keys[0], options)))
    speech = dia.say("Hi.", voice=voice, seed=1)
    before = voice.tokens.codes[-dia.window.context :]
    together = dia.engine.codec.decode(torch.cat([before, codes])).numpy()
    assert np.array_equal(speech.audio, together[512 * len(before) :])
    back = dia.decode(voice.tokens)
    assert len(back.audio) == voice.tokens.samples == 3 * 44100


def test_turns_of_a_text():
    assert read_turns("Hi.") == [Turn("S1", "Hi.")]
    turns = read_turns("[S1] One two. [s2]Three.\n[S1] Four.")
    assert write_turns(turns) == "[S1] One two. [S2] Three. [S1] Four."
    pieces = pack(read_turns("[S1] " + "Some words here. " * 6 + "[S2] Yes. [S1] No."), 60)
    assert all(piece.startswith("[S") and len(piece) <= 65 for piece in pieces) and len(pieces) >= 2
    assert pieces[-1].endswith("[S2] Yes. [S1] No.")
    with pytest.raises(InputError, match=r"turn of \[S3\]"):
        read_turns("[S3] Hi.")
    with pytest.raises(InputError, match="no letter or digit"):
        read_turns("[S1] ... [S2] Hi.")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 3}, "no option 'steps'"), ({"temperature": 0.5}, "1 to 5"), ({"guidance": 0.5}, "1 to 10")],
)
def test_options_that_cannot_be_used(dia, options, message):
    with pytest.raises(InputError, match=message):
        dia.say("Hello.", **options)


def test_texts_and_voices_without_room_are_refused(dia, recording, transcript):
    from dataclasses import replace

    voice = dia.voice(recording, text="word " * 60)
    with pytest.raises(InputError, match="bytes long"):
        dia.say("Hello.", voice=voice)
    voice = dia.voice(recording, text=transcript)
    tokens = replace(voice.tokens, codes=voice.tokens.codes.repeat(2, 1))
    with pytest.raises(InputError, match="leaves no room"):
        dia.say("Hello.", voice=replace(voice, tokens=tokens))


def test_missing_and_foreign_parts_are_named(dia_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder = tmp_path / "model"
    shutil.copytree(dia_folder, folder)
    shutil.rmtree(folder / "codec")
    with pytest.raises(CheckpointError, match=r"brings no codec.*descript/dac_44khz"):
        unisono.load(folder, device="cpu")
    with pytest.raises(InputError, match="tokenizer is 'x'"):
        unisono.load(dia_folder, device="cpu", tokenizer="x")
    with pytest.raises(InputError, match="not packed"):
        unisono.load(dia_folder, device="cpu", quantize="int8")
    with pytest.raises(InputError, match="have no assistant"):
        unisono.load(dia_folder, device="cpu", assistant="x")


def test_the_command_line_speaks_a_script(dia_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.txt").write_text("Anna: Hello there.\nBen: Hi.\n")
    assert main(["say", "--script", "d.txt", "--model", str(dia_folder)]) == 0
    assert "[S1] Hello there. [S2] Hi." in capsys.readouterr().out
    (tmp_path / "d.txt").write_text("Anna: One.\nBen: Two.\nCarl: Three.\n")
    assert main(["say", "--script", "d.txt", "--model", str(dia_folder), "-o", "b.wav"]) == 2
    assert "3 speakers (Anna, Ben, Carl)" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.txt", "out.wav"]


def test_published_configurations_are_recognised():
    from unisono.families import guess_family

    assert guess_family({"model_type": "dia"}) == "dia"
    assert guess_family({"model_type": "llama", "vocab_size": 193800}) == "llasa"
    assert guess_family({"model_type": "llama", "vocab_size": 128256}) is None
