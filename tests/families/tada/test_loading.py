"""Where a published model's parts come from: hub cache, folders beside, options; never a network when forbidden."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from published_models import put_into_cache, write_tokenizer
from safetensors.torch import load_file, save_file

from unisono import hub
from unisono.cli import main
from unisono.errors import CheckpointError
from unisono.families.tada import loading

MAIN, OLD = "a" * 40, "b" * 40
TEXT = "Hello there, how are you?"


@pytest.fixture
def no_network(monkeypatch):
    """Every connection and every look-up of a name fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"network: {args[:3]}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty hub cache, offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "home"


@pytest.fixture
def filled(cache, published):
    """A cache with the language model (two revisions) and the codec; in the older one the tokenizer is missing."""
    put_into_cache(cache, "HumeAI/tada-1b", published, MAIN, "main", "v2")
    old = shutil.copytree(published, cache / "old")
    (old / "tokenizer.json").unlink()
    put_into_cache(cache, "HumeAI/tada-1b", old, OLD, "v1", "branch/old")
    shutil.rmtree(old)
    put_into_cache(cache, "HumeAI/tada-codec", published.parent / "tada-codec", MAIN, "main")
    return cache


def same(first, second):
    return np.array_equal(first.audio, second.audio) and first.words == second.words


def test_a_hub_name_loads_from_the_cache_without_a_network(filled, published, no_network):
    model = hub.load("HumeAI/tada-1b", device="cpu")
    assert (model.name, model.card.style) == ("HumeAI/tada-1b", "tada")
    speech = model.say(TEXT, seed=3)
    assert np.isfinite(speech.audio).all() and np.abs(speech.audio).max() > 0
    assert same(speech, hub.load(published, device="cpu").say(TEXT, seed=3))


def test_the_command_line_takes_hub_names(filled, no_network, tmp_path, capsys):
    assert main(["say", TEXT, "-m", "HumeAI/tada-1b@v2", "-o", str(tmp_path / "a.wav")]) == 0
    assert (tmp_path / "a.wav").stat().st_size > 1000
    assert main(["models"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert " cached" in rows["HumeAI/tada-1b"] and " cached" in rows["HumeAI/tada-codec"]
    assert "on the hub" in rows["HumeAI/tada-3b-ml"]


def test_a_process_of_its_own_reads_the_environment(filled, tmp_path):
    code = (
        "import socket\n"
        "def refuse(*args): raise SystemExit(f'network: {args}')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import unisono\n"
        "print(len(unisono.load('HumeAI/tada-1b', device='cpu').say('Hello.').audio))\n"
        "try: unisono.load('HumeAI/tada-3b-ml')\n"
        "except unisono.errors.CheckpointError as problem: print(problem)\n"
    )
    environment = {"HF_HOME": str(filled), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    environment["PYTHONPATH"] = str(Path(hub.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    samples, sentence = done.stdout.splitlines()
    assert int(samples) > 0
    assert "HF_HUB_OFFLINE" in sentence and "hf download HumeAI/tada-3b-ml" in sentence


@pytest.mark.parametrize("revision", ["main", "v1", "v2", "branch/old", MAIN, OLD])
def test_revisions(filled, no_network, revision):
    folder = hub.model_folder("HumeAI/tada-1b", revision)
    assert folder.name == (OLD if revision in ("v1", "branch/old", OLD) else MAIN)
    assert hub.model_folder(f"HumeAI/tada-1b@{revision}") == folder


@pytest.mark.parametrize("revision", ["v3", "c" * 40, "../../../x", "", "a b", "/v1"])
def test_revisions_that_are_not_there(filled, no_network, revision):
    with pytest.raises(CheckpointError) as caught:
        hub.load("HumeAI/tada-1b", revision=revision)
    assert "\n" not in str(caught.value)


def test_revisions_where_there_are_none(filled, published):
    for name in (None, published, "HumeAI/tada-1b@v2"):
        with pytest.raises(CheckpointError, match="'v1'"):
            hub.load(name, revision="v1")


def test_what_is_not_cached_is_named_with_the_command_that_fetches_it(cache, published, no_network):
    with pytest.raises(CheckpointError, match=r"hf download HumeAI/tada-1b --revision v1`") as caught:
        hub.load("HumeAI/tada-1b", revision="v1")
    assert "HF_HUB_OFFLINE" in str(caught.value) and "\n" not in str(caught.value)
    alone = shutil.copytree(published, cache.parent / "alone" / "m")
    with pytest.raises(CheckpointError, match=r"hf download HumeAI/tada-codec --include 'decoder/\*'"):
        hub.load(alone)


def test_without_a_network_the_sentence_says_so(cache, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    with pytest.raises(CheckpointError, match="could not be fetched") as caught:
        hub.load("HumeAI/tada-1b")
    assert "hf download HumeAI/tada-1b" in str(caught.value) and "\n" not in str(caught.value)


def test_a_cache_that_lacks_a_shard_is_not_taken_for_the_model(filled, no_network):
    folder = hub.model_folder("HumeAI/tada-1b")
    (folder / "model-00002-of-00003.safetensors").unlink()
    assert {row.name: row.state for row in hub.list_models()}["HumeAI/tada-1b"] == "partly cached"
    with pytest.raises(CheckpointError, match="hf download HumeAI/tada-1b"):
        hub.load("HumeAI/tada-1b")


def test_parts_of_the_codec_are_loaded_when_they_are_needed(filled, no_network, recording, transcript):
    codec = filled / "hub" / "models--HumeAI--tada-codec" / "snapshots" / MAIN
    for part in ("encoder", "aligner", "spkr-verf"):
        shutil.rmtree(codec / part)
    model = hub.load("HumeAI/tada-1b", device="cpu")
    model.say("Hello.")
    with pytest.raises(CheckpointError, match=r"hf download HumeAI/tada-codec --include '(encoder|aligner)/\*'"):
        model.voice(recording, text=transcript)
    with pytest.raises(CheckpointError, match=r"--include 'spkr-verf/\*'"):
        _ = model.model.speaker_scorer


def test_the_speaker_scorer_is_loaded_once_and_only_when_asked_for(published, monkeypatch):
    made = []
    plain = loading.AcousticSpkrVerf.from_pretrained

    def counting(*args, **kwargs):
        made.append(args)
        return plain(*args, **kwargs)

    monkeypatch.setattr(loading.AcousticSpkrVerf, "from_pretrained", counting)
    model = hub.load(published, device="cpu")
    model.say("Hello.")
    assert made == []
    assert model.model.speaker_scorer is model.model.speaker_scorer and len(made) == 1


def test_a_codec_in_the_folder_beside_it_or_given(published, tmp_path, cache):
    whole = hub.load(published, device="cpu").say(TEXT)
    codec = published.parent / "tada-codec"
    inside = shutil.copytree(published, tmp_path / "inside" / "m")
    assert same(whole, hub.load(inside, codec=codec, device="cpu").say(TEXT))
    shutil.copytree(codec, inside / "tada-codec")
    assert same(whole, hub.load(inside, device="cpu").say(TEXT))
    flat = shutil.copytree(published, tmp_path / "flat" / "m")
    for part in codec.iterdir():
        shutil.copytree(part, flat / part.name)
    assert same(whole, hub.load(flat, device="cpu").say(TEXT))
    put_into_cache(cache, "someone/codec", codec, MAIN, "v9")
    shutil.rmtree(inside / "tada-codec")
    assert same(whole, hub.load(inside, codec="someone/codec@v9", device="cpu").say(TEXT))


@pytest.mark.parametrize("codec", ["", "nowhere", "nobody/codec", "{folder}", "{folder}/config.json"])
def test_codecs_that_are_none(published, cache, codec, capsys, tmp_path, monkeypatch):
    name = codec.format(folder=published)
    with pytest.raises(CheckpointError) as caught:
        hub.load(published, codec=name)
    assert "\n" not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    assert main(["say", "Hello.", "-m", str(published), "--codec", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out.wav").exists()


def test_tokenizers_from_mirrors_options_and_folders(filled, published, tmp_path, no_network):
    whole = hub.load(published, device="cpu").say(TEXT)
    with pytest.raises(CheckpointError) as caught:
        hub.load("HumeAI/tada-1b", revision="v1", device="cpu")
    sentence = str(caught.value)
    assert "gated" in sentence and "--tokenizer" in sentence and "\n" not in sentence
    assert all(name in sentence for name in (*loading.TOKENIZER_MIRRORS, "hf download", "meta-llama/Llama-3.2-1B"))
    elsewhere = write_tokenizer(tmp_path / "elsewhere")
    mirror = loading.TOKENIZER_MIRRORS[0]
    for tokenizer in (elsewhere, elsewhere / "tokenizer.json", published):
        given = hub.load("HumeAI/tada-1b", revision="v1", device="cpu", tokenizer=tokenizer)
        assert same(whole, given.say(TEXT))
    put_into_cache(filled, mirror, elsewhere, OLD, "main")
    assert same(whole, hub.load("HumeAI/tada-1b", revision="v1", device="cpu").say(TEXT))
    assert same(whole, hub.load(published, tokenizer=mirror, device="cpu").say(TEXT))


@pytest.mark.parametrize("tokenizer", ["nowhere", "nobody/tokenizer", "{folder}/config.json", "{codec}", ""])
def test_tokenizers_that_are_none(published, cache, tokenizer):
    name = tokenizer.format(folder=published, codec=published.parent / "tada-codec")
    with pytest.raises(CheckpointError) as caught:
        hub.load(published, tokenizer=name)
    assert "\n" not in str(caught.value) and "tokenizer" in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_number_formats_speak(published, dtype):
    model = hub.load(published, device="cpu", dtype=dtype)
    kinds = {str(value.dtype) for value in model.model.state_dict().values()}
    assert kinds == {f"torch.{dtype}"} and model.model.device.type == "cpu"
    audio = model.say(TEXT).audio
    assert np.isfinite(audio).all() and np.abs(audio).max() > 0


def test_stored_rotary_tables_are_used(published, tmp_path):
    codec = shutil.copytree(published.parent / "tada-codec", tmp_path / "tada-codec")
    folder = shutil.copytree(published, tmp_path / "m")
    model = hub.load(folder, device="cpu")
    table = model.model.decoder.local_attention_decoder.layers[0].self_attn.rope_freqs
    assert torch.equal(table, table.bfloat16().float())
    rounded = model.say(TEXT)
    path = codec / "decoder" / "model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if "rope_freqs" not in name}, path)
    assert not same(rounded, hub.load(folder, device="cpu").say(TEXT))


def test_heads_tied_or_not(published, tmp_path):
    tied = hub.load(published, device="cpu").model
    assert not hasattr(tied, "lm_head")
    hidden = torch.randn(2, 64)
    torch.testing.assert_close(tied.logits(hidden), hidden @ tied.model.embed_tokens.weight.T)
    shutil.copytree(published.parent, tmp_path / "p")
    folder = tmp_path / "p" / "tada-1b"
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "tie_word_embeddings": False}))
    with pytest.raises(CheckpointError, match=r"missing lm_head\.weight"):
        hub.load(folder, device="cpu")


def test_what_save_pretrained_wrote_loads(published, tmp_path):
    model = hub.load(published, device="cpu")
    folder = tmp_path / "saved"
    model.model.save_pretrained(folder)
    codec = published.parent / "tada-codec"
    again = hub.load(folder, device="cpu", codec=codec, tokenizer=published)
    assert same(model.say(TEXT), again.say(TEXT))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again.model.save_pretrained(folder)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
