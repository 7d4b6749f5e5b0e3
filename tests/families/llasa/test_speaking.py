"""Llasa as a speech model: streams, batches, caches, voices, files and what it refuses."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import unisono
from unisono import speak
from unisono.cli import main
from unisono.errors import CheckpointError, GenerationError, GenerationWarning, InputError
from unisono.families.fixed_rate.pieces import Piece, fewest, in_the_voice_of
from unisono.families.fixed_rate.windows import Window, WindowDecoder, decode_whole
from unisono.files import load_tokens, save_tokens

pytestmark = pytest.mark.filterwarnings("ignore::unisono.errors.GenerationWarning")
TEXT = "Hello there, how are you today?"


def ids(speech):
    return [token.id for token in speech.tokens]


@pytest.fixture(scope="module")
def spoken(toy):
    """The speech that others are compared with."""
    return toy.say(TEXT, seed=3)


def test_same_seed_same_bytes(toy, spoken):
    assert np.array_equal(toy.say(TEXT, seed=3).audio, spoken.audio)
    assert ids(toy.say(TEXT, seed=4)) != ids(spoken)
    assert len(spoken.audio) == 320 * len(spoken.tokens) and spoken.sample_rate == 16000 and spoken.words == []
    assert [token.position for token in spoken.tokens] == list(range(1, len(spoken.tokens) + 1))


def test_a_stream_is_what_say_gives(toy, spoken):
    parts = list(toy.stream(TEXT, seed=3))
    assert len(parts) >= 2
    assert np.array_equal(np.concatenate([part.audio for part in parts]), spoken.audio)
    assert [token for part in parts for token in part.tokens] == spoken.tokens


def test_cached_equals_uncached(toy, spoken):
    assert ids(toy.say(TEXT, seed=3, cache=False)) == ids(spoken)


def test_batch_rows_equal_singles(toy, spoken):
    others = ["One.", "A text that is somewhat longer than the others are."]
    rows = toy.say([others[0], TEXT, others[1]], seed=3)
    assert [ids(row) for row in rows] == [ids(toy.say(text, seed=3)) for text in (others[0], TEXT, others[1])]
    assert np.abs(rows[1].audio - spoken.audio).max() < 1e-5


def test_only_speech_is_drawn_and_it_ends_at_its_mark(toy):
    pieces, keys, options = toy.prepare(TEXT, None, 3, {"temperature": 2.0, "top_k": 0})
    engine = toy.engine
    prompt = engine.prompt(pieces[0])
    made = engine.generate(torch.tensor([prompt]), keys, len(prompt), 40, options)[0, len(prompt) :].tolist()
    allowed = {*range(engine.vocabulary.first, engine.vocabulary.first + 64), engine.vocabulary.speech_end}
    assert set(made) <= allowed and len(set(made)) > 10


def test_codes_that_never_end_are_cut_with_a_warning(toy):
    with pytest.warns(GenerationWarning, match="did not end after"):
        speech = toy.say(TEXT, seed=3, temperature=0.0, token_seconds=0.02)
    assert len(speech.tokens) == int((len(TEXT) + 4) * 0.02 * 50)


def test_no_speech_ends_before_it_has_begun(toy, monkeypatch):
    """A model that would end at every other step takes 20 ms for each letter at least; drafted or not."""
    allowed = torch.zeros_like(toy.engine._allowed)
    allowed[[toy.engine.vocabulary.first + 7, toy.engine.vocabulary.speech_end]] = True
    monkeypatch.setattr(toy.engine, "_allowed", allowed)
    lengths = set()
    for seed in range(8):
        pieces, keys, options = toy.prepare(TEXT, None, seed, {"temperature": 2.0})
        codes = torch.cat(list(toy.engine.codes(pieces[0], keys[0], options)))
        lengths.add(len(codes))
        drafted = toy.prepare(TEXT, None, seed, {"temperature": 2.0, "accelerate": "assistant"})[2]
        assert seed or toy.engine.batch(pieces, keys, drafted)[0].equal(codes)
    assert min(lengths) == 24 == fewest(TEXT, 50) and len(lengths) > 1


def test_speech_without_a_code_is_an_error(toy, monkeypatch):
    monkeypatch.setattr(toy.engine, "codes", lambda *given: iter(()))
    with pytest.raises(GenerationError, match="ended before it said anything"):
        toy.say(TEXT)


def test_long_texts_are_spoken_in_pieces_that_join(toy):
    text = "This is one sentence of a text. " * 12
    pieces, _, _ = toy.prepare(text, None, 1, {})
    assert len(pieces) > 1 and all(len(piece.text) <= toy.card.chunk_characters for piece in pieces)
    speech = toy.say(text, seed=1, token_seconds=0.02)
    parts = list(toy.stream(text, seed=1, token_seconds=0.02))
    assert np.array_equal(np.concatenate([part.audio for part in parts]), speech.audio)
    assert [token.position for token in speech.tokens] == list(range(1, len(speech.tokens) + 1))


def test_later_pieces_are_spoken_in_the_voice_of_the_first(toy, voice, monkeypatch):
    text = "This is one sentence of a text. " * 8
    asked, codes = [], toy.engine.codes
    monkeypatch.setattr(toy.engine, "codes", lambda piece, *rest: asked.append(piece) or codes(piece, *rest))
    spoken = toy.say(text, seed=1, token_seconds=0.02)
    first, *later = asked
    begun = [token.id - toy.engine.vocabulary.first for token in spoken.tokens[: len(later[0].codes)]]
    assert first.codes is None and later and all(piece.said == first.text for piece in later)
    assert all(piece.codes[:, 0].tolist() == begun for piece in later)
    assert toy.engine.prompt(later[0]) == toy.engine.prompts.ids(later[0].text, first.text, begun)
    (row, _) = toy.say([text, "Hi."], seed=1, token_seconds=0.02)
    assert ids(row) == ids(spoken) and np.abs(row.audio - spoken.audio).max() < 1e-5

    asked.clear()
    toy.say(text, voice=voice, seed=1, token_seconds=0.02)
    assert all(piece.said == voice.tokens.text for piece in asked)


def test_a_first_piece_that_leaves_no_room_is_not_gone_on_from(toy):
    first, piece = Piece("some text"), Piece("and some more text")
    codes = torch.zeros(600, 1, dtype=torch.long)
    led = in_the_voice_of(first, codes[:300], piece, toy.engine)
    assert led.said == "some text" and len(led.codes) == 300
    with pytest.warns(GenerationWarning, match="'and some more text' may be spoken by another voice"):
        assert in_the_voice_of(first, codes, piece, toy.engine) is piece
    held = Piece("more", "a voice", codes[:5])
    assert in_the_voice_of(first, codes, held, toy.engine) is held


def test_a_voice_is_decoded_with_its_speech_and_cut_off_to_the_sample(toy, voice):
    pieces, keys, options = toy.prepare("Hi.", voice, 1, {})
    codes = torch.cat(list(toy.engine.codes(pieces[0], keys[0], options)))
    speech = toy.say("Hi.", voice=voice, seed=1)
    prompt = voice.tokens.codes[-toy.window.context :]  # as far back as a window looks
    together = toy.engine.codec.decode(torch.cat([prompt, codes])).numpy()
    assert len(speech.audio) == 320 * len(codes) and len(codes) <= toy.window.size + toy.window.ahead
    assert np.array_equal(speech.audio, together[320 * len(prompt) :])
    alone = toy.engine.codec.decode(codes).numpy()
    assert not np.allclose(speech.audio, alone, atol=1e-4), "the voice's codes play no part"


def test_windows_do_not_depend_on_how_codes_come():
    def decode(codes):
        return codes[:, 0].float().repeat_interleave(4) + codes.float().sum()  # every code changes every sample

    codes = torch.randint(0, 9, (57, 1), generator=torch.Generator().manual_seed(0))
    window = Window(10, 8, 3)
    whole = decode_whole(decode, 4, window, codes, codes[:5])
    assert len(whole) == 57 * 4
    decoder = WindowDecoder(decode, 4, window, codes[:5])
    parts = [wave for code in codes.split(1) for wave in decoder.push(code)]
    assert len(parts) > 4 and torch.equal(torch.cat([*parts, *decoder.finish()]), whole)


def test_encode_and_decode_keep_the_length(toy, recording, transcript, tmp_path):
    tokens = toy.encode(recording, text=transcript)
    assert tokens.codes.shape == (151, 1) and tokens.samples == 48000
    assert tokens.codes.unique().numel() > 3
    save_tokens(tmp_path / "t.safetensors", tokens)
    speech = toy.decode(load_tokens(tmp_path / "t.safetensors"))
    assert len(speech.audio) == 48000 and np.abs(speech.audio).max() > 0


def test_features_follow_the_wave(toy):
    codec = toy.engine.codec
    for samples in (319, 320, 1000, 16000):
        values, features = codec.inputs(torch.zeros(samples))
        assert values.shape[-1] == 320 * features.shape[1] == -(-(samples + 1) // 320) * 320


# What it refuses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 3}, "no option 'steps'"),
        ({"temperature": 9}, "0 to 2"),
        ({"accelerate": "magic"}, "wanted is one of"),
        ({"accelerate": "lookup", "cache": False}, "needs the cache"),
    ],
)
def test_options_that_cannot_be_used(toy, options, message):
    with pytest.raises(InputError, match=message):
        toy.say("Hello.", **options)


def test_what_the_family_cannot_do_is_said_in_a_sentence(toy, recording, transcript):
    with pytest.raises(InputError, match="no word times"):
        speak.align(toy, recording, transcript)
    with pytest.raises(InputError, match="cannot speak on"):
        speak.continue_(toy, recording, transcript)
    with pytest.raises(InputError, match="cannot edit"):
        speak.edit(toy, recording, transcript, speak.Edits([], [], []))
    with pytest.raises(InputError, match="control tags"):
        toy.say("Wait. [pause:1s] Now.")
    with pytest.raises(InputError, match="needs the words"):
        toy.voice(recording)


def test_a_voice_that_leaves_no_room_is_refused(toy, voice):
    from dataclasses import replace

    tokens = replace(voice.tokens, codes=voice.tokens.codes.repeat(13, 1))
    with pytest.raises(InputError, match="of the 2048 positions"):
        toy.say("Hello.", voice=replace(voice, tokens=tokens))


def test_a_voice_of_another_family_is_refused(toy, tiny_model, recording, transcript):
    with pytest.raises(CheckpointError, match=r"tada.*cannot be used"):
        toy.say("Hello.", voice=tiny_model.voice(recording, text=transcript))


def broken(toy_folder, tmp_path, *names):
    folder = tmp_path / "model"
    shutil.copytree(toy_folder, folder)
    for name in names:
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    return folder


def test_a_missing_codec_is_named(toy_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = broken(toy_folder, tmp_path, "codec")
    with pytest.raises(CheckpointError, match=r"brings no codec.*HKUSTAudio/xcodec2-hf"):
        unisono.load(folder, device="cpu")
    assert unisono.load(folder, device="cpu", codec=toy_folder / "codec").sample_rate == 16000


def test_a_missing_tokenizer_is_named(toy_folder, tmp_path):
    folder = broken(toy_folder, tmp_path, "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"brings no tokenizer.*tokenizer\.json"):
        unisono.load(folder, device="cpu")
    assert unisono.load(folder, device="cpu", tokenizer=toy_folder).family == "llasa"


def test_weights_that_are_missing_or_foreign_are_named(toy_folder, tmp_path):
    folder = broken(toy_folder, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["stray.weight"] = tensors.pop("model.norm.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing model\.norm\.weight; unknown stray\.weight"):
        unisono.load(folder, device="cpu")


def test_a_codec_of_another_model_is_refused(toy_folder, tmp_path):
    folder = broken(toy_folder, tmp_path)
    with pytest.raises(CheckpointError, match="model of type 'llama', wanted is 'xcodec2'"):
        unisono.load(folder, device="cpu", codec=toy_folder)
    card = json.loads((folder / "unisono.json").read_text())
    (folder / "unisono.json").write_text(json.dumps(card | {"options": {"steps": 3}}))
    with pytest.raises(CheckpointError, match="no option 'steps'"):
        unisono.load(folder, device="cpu")


def test_the_command_line_speaks_and_refuses(toy_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["say", "Hello there.", "--model", str(toy_folder), "--accelerate", "lookup"]) == 0
    assert "out.wav" in capsys.readouterr().out and (tmp_path / "out.wav").stat().st_size > 1000
    assert main(["say", "Hello.", "--model", str(toy_folder), "-o", "b.wav", "--words", "w.json"]) == 2
    assert "knows no word times for w.json" in capsys.readouterr().err
    assert main(["say", "Hello.", "--model", str(toy_folder), "-o", "b.wav", "--steps", "3"]) == 2
    assert "no option 'steps'" in capsys.readouterr().err
    assert main(["say", "Hello.", "--model", str(toy_folder), "-o", "b.wav", "--quantize", "int8"]) == 2
    assert "not packed" in capsys.readouterr().err and sorted(p.name for p in tmp_path.iterdir()) == ["out.wav"]
    assert unisono.load(toy_folder, device="cpu", language="de").language == "de"  # its card names no languages
    card = json.loads((toy_folder / "unisono.json").read_text())
    folder = shutil.copytree(toy_folder, tmp_path / "copy")
    (folder / "unisono.json").write_text(json.dumps(card | {"languages": ["en", "zh"]}))
    assert unisono.load(folder, device="cpu", language="zh-CN").language == "zh"
    assert main(["say", "Hello.", "--model", str(folder), "-o", "b.wav", "--language", "fr"]) == 2
    assert "speaks 'en' and 'zh' only" in capsys.readouterr().err


def test_texts_in_pieces_and_a_voice_for_each_text(toy, voice, spoken):
    assert ids(toy.say(iter(["Hello there, ", "how are ", "you today?"]), seed=3)) == ids(spoken)
    rows = toy.say(["Hi.", TEXT], voice=[voice, None], seed=3)
    assert ids(rows[1]) == ids(spoken) and ids(rows[0]) == ids(toy.say("Hi.", voice=voice, seed=3))
    with pytest.raises(InputError, match="2 texts and 1 voices"):
        toy.say(["Hi.", "You."], voice=[voice])
