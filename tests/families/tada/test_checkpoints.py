"""Random checkpoints with the published names: speak, save, reload, the same bytes; corrupted: one sentence."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from full_shape import build_full, manifest
from published_models import LANGUAGE_MODEL, build_published, write_shards
from safetensors.torch import load_file, save_file

from unisono import hub
from unisono.cli import main
from unisono.errors import CheckpointError

TEXT = "Hello there, how are you?"
SHARD = "model-00002-of-00003.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(published, tmp_path):
    """A copy of the language model, with the codec beside it."""
    shutil.copytree(published.parent, tmp_path / "p")
    return tmp_path / "p" / published.name


def stored_names(folder):
    return set(json.loads((folder / INDEX).read_text())["weight_map"])


def test_the_small_checkpoint_has_the_published_names(published):
    depths = {"num_hidden_layers": 2, "head_layers": 2}
    assert LANGUAGE_MODEL.items() >= depths.items()
    foreign = {name for name in stored_names(published) if name.startswith("_decoder.")}
    assert stored_names(published) - foreign == set(manifest("tada-1b", 2)) and foreign
    for part in ("encoder", "decoder", "spkr-verf"):
        held = load_file(published.parent / "tada-codec" / part / "model.safetensors")
        wanted = manifest(part, 2)
        assert set(held) == set(wanted)
        assert {name: str(value.dtype) for name, value in held.items()} == {
            name: f"torch.{dtype}" for name, (_, dtype) in wanted.items()
        }


@pytest.mark.parametrize("changes", [{}, {"bottleneck_dim": 24}, {"tie_word_embeddings": False}], ids=str)
def test_speak_save_reload_speak(tmp_path, changes):
    folder = build_published(tmp_path / "p", **changes)
    model = hub.load(folder, device="cpu")
    first = model.say(TEXT, seed=11)
    assert np.isfinite(first.audio).all() and len(first.tokens) > 5
    saved = tmp_path / "saved"
    model.model.save_pretrained(saved)
    model.model.decoder.save_pretrained(saved / "decoder")
    shutil.copy(folder / "tokenizer.json", saved)
    again = hub.load(saved, device="cpu")
    second = again.say(TEXT, seed=11)
    assert first.audio.tobytes() == second.audio.tobytes() and first.tokens == second.tokens
    before = {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    again.model.save_pretrained(saved)
    again.model.decoder.save_pretrained(saved / "decoder")
    assert before == {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    again.model.save_pretrained(tmp_path / "narrow", dtype=torch.bfloat16)  # nothing was lost by widening
    for name, value in load_file(tmp_path / "narrow" / "model.safetensors").items():
        assert torch.equal(value, stored(folder, name)), name


@pytest.mark.slow
def test_published_widths_speak_save_reload_speak(tmp_path):
    """One layer of each stack at the published widths, in bfloat16: a gigabyte, twice."""
    folder = build_full(tmp_path / "p", layers=1, shards=3)
    try:
        model = hub.load(folder, device="cpu", dtype="bfloat16")
        first = model.say("Hello there.", seed=11, steps=2)
        saved = tmp_path / "saved"
        model.model.save_pretrained(saved)
        for name in ("tokenizer.json", "unisono.json"):
            shutil.copy(folder / name, saved)
        for name, value in load_file(saved / "model.safetensors").items():
            assert torch.equal(value, stored(folder, name)), name
        again = hub.load(saved, device="cpu", dtype="bfloat16", codec=tmp_path / "p" / "tada-codec")
        assert again.say("Hello there.", seed=11, steps=2).audio.tobytes() == first.audio.tobytes()
    finally:
        shutil.rmtree(tmp_path)


def stored(folder, name):
    """A tensor of a folder in shards."""
    return load_file(folder / json.loads((folder / INDEX).read_text())["weight_map"][name])[name]


def rewrite(path, change):
    tensors = {name: value.clone() for name, value in load_file(path).items()}
    change(tensors)
    save_file(tensors, path)


def change_index(folder, change):
    content = json.loads((folder / INDEX).read_text())
    change(content["weight_map"])
    (folder / INDEX).write_text(json.dumps(content))


def change_config(folder, **values):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **values}))


def wrong(folder, name, value):
    """A shard in which one tensor is another one."""
    shard = folder / json.loads((folder / INDEX).read_text())["weight_map"][name]
    rewrite(shard, lambda tensors: tensors.update({name: value}))


def one_file(folder):
    """The same weights in one file, which is handed back."""
    tensors = {}
    for shard in sorted(folder.glob("model-*.safetensors")):
        tensors |= load_file(shard)
        shard.unlink()
    (folder / INDEX).unlink()
    save_file(tensors, folder / "model.safetensors")
    return folder / "model.safetensors"


def pickled(folder):
    torch.save(load_file(one_file(folder)), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def renamed_pickle(folder):
    torch.save({"a": torch.ones(2)}, one_file(folder))


def huge_header(folder):
    (folder / SHARD).write_bytes((2**62).to_bytes(8, "little") + (folder / SHARD).read_bytes()[8:])


def traversal(folder, name):
    change_index(folder, lambda table: table.update({key: name for key in table if key.endswith("norm.weight")}))


CONFIG = {
    "config missing": lambda f: (f / "config.json").unlink(),
    "config not json": lambda f: (f / "config.json").write_text('{"hidden_size": 64,'),
    "config a list": lambda f: (f / "config.json").write_text("[1, 2]"),
    "config binary": lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"),
    "config deep": lambda f: (f / "config.json").write_text("[" * 100000),
    "config unknown key": lambda f: change_config(f, colour="blue"),
    "config string for a size": lambda f: change_config(f, hidden_size="wide"),
    "config negative size": lambda f: change_config(f, hidden_size=-64),
    "config zero heads": lambda f: change_config(f, num_attention_heads=0, num_key_value_heads=0),
    "config other activation": lambda f: change_config(f, hidden_act="gelu"),
    "config other rope": lambda f: change_config(f, rope_scaling={"rope_type": "yarn"}),
    "config rope no mapping": lambda f: change_config(f, rope_scaling="llama3"),
    "config rope lacks a key": lambda f: change_config(f, rope_scaling={"rope_type": "llama3", "factor": 32.0}),
    "config other width": lambda f: change_config(f, hidden_size=128),
    "config more layers": lambda f: change_config(f, num_hidden_layers=3),
    "config absurd size": lambda f: change_config(f, hidden_size=2**40),
    "config no tada": lambda f: (f / "config.json").write_text('{"model_type": "bert"}'),
}
WEIGHTS = {
    "missing shard": lambda f: (f / SHARD).unlink(),
    "truncated shard": lambda f: (f / SHARD).write_bytes((f / SHARD).read_bytes()[:-100]),
    "truncated header": lambda f: (f / SHARD).write_bytes((f / SHARD).read_bytes()[:40]),
    "longer file": lambda f: (f / SHARD).write_bytes((f / SHARD).read_bytes() + b"more"),
    "empty shard": lambda f: (f / SHARD).write_bytes(b""),
    "huge header": huge_header,
    "text shard": lambda f: (f / SHARD).write_text("no tensors here"),
    "wrong shape": lambda f: wrong(f, "acoustic_proj.bias", torch.ones(3)),
    "transposed": lambda f: wrong(f, "acoustic_proj.weight", torch.ones(16, 64)),
    "integers": lambda f: wrong(f, "acoustic_proj.bias", torch.ones(64, dtype=torch.int64)),
    "truth values": lambda f: wrong(f, "acoustic_proj.bias", torch.ones(64, dtype=torch.bool)),
    "eight bits": lambda f: wrong(f, "acoustic_proj.bias", torch.ones(64).to(torch.float8_e4m3fn)),
    "extra key": lambda f: (
        rewrite(f / SHARD, lambda t: t.update({"stray.weight": torch.ones(2)})),
        change_index(f, lambda table: table.update({"stray.weight": SHARD})),
    ),
    "extra key not in the index": lambda f: rewrite(f / SHARD, lambda t: t.update({"stray.weight": torch.ones(2)})),
    "missing key": lambda f: (
        rewrite(f / SHARD, lambda t: t.pop(sorted(t)[0])),
        change_index(f, lambda table: table.pop(sorted(key for key in table if table[key] == SHARD)[0])),
    ),
    "shard lacks a promised key": lambda f: rewrite(f / SHARD, lambda t: t.pop(sorted(t)[0])),
    "other checkpoint": lambda f: write_shards(f, {f"layer.{i}.weight": torch.ones(2) for i in range(40)}),
    "pickle": pickled,
    "pickle named safetensors": renamed_pickle,
    "no weights": lambda f: [path.unlink() for path in f.glob("model*")],
    "index not json": lambda f: (f / INDEX).write_text("{"),
    "index without table": lambda f: (f / INDEX).write_text("{}"),
    "index table a list": lambda f: (f / INDEX).write_text('{"weight_map": ["a"]}'),
    "index names a missing file": lambda f: change_index(f, lambda t: t.update({"x": "model-9-of-9.safetensors"})),
    "index names a number": lambda f: change_index(f, lambda t: t.update({"x": 5})),
    "index leads out": lambda f: traversal(f, "../tada-codec/decoder/model.safetensors"),
    "index leads out on windows": lambda f: traversal(f, "..\\\\x.safetensors"),
    "index is absolute": lambda f: traversal(f, "/etc/passwd"),
    "index names a pickle": lambda f: traversal(f, "pytorch_model.bin"),
    "index names the folder": lambda f: traversal(f, ".."),
}
PARTS = {
    "tokenizer cut": lambda f: (f / "tokenizer.json").write_text('{"version": "1.0", "model": {'),
    "tokenizer of another kind": lambda f: (f / "tokenizer.json").write_text("{}"),
    "decoder missing": lambda f: shutil.rmtree(codec(f) / "decoder"),
    "decoder cut": lambda f: cut(codec(f) / "decoder" / "model.safetensors"),
    "decoder config": lambda f: (codec(f) / "decoder" / "config.json").write_text("{"),
    "decoder of another width": lambda f: change_config(codec(f) / "decoder", embed_dim=8),
    "decoder with an extra key": lambda f: rewrite(
        codec(f) / "decoder" / "model.safetensors", lambda t: t.update({"stray": torch.ones(1)})
    ),
    "encoder for a decoder": lambda f: shutil.copy(
        codec(f) / "encoder" / "model.safetensors", codec(f) / "decoder" / "model.safetensors"
    ),
    "tables of another length": lambda f: rewrite(
        codec(f) / "decoder" / "model.safetensors",
        lambda t: t.update({name: value[:9].clone() for name, value in t.items() if name.endswith("rope_freqs")}),
    ),
    "card": lambda f: (f / "unisono.json").write_text('{"family": "tada", "style": 5}'),
}
DAMAGES = {**CONFIG, **WEIGHTS, **PARTS}


def codec(folder):
    return folder.parent / "tada-codec"


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize("damage", DAMAGES)
def test_corruptions_end_in_one_sentence(folder, damage, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    DAMAGES[damage](folder)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError) as caught:
        hub.load(folder, device="cpu")
    sentence = str(caught.value)
    assert "\n" not in sentence and 20 < len(sentence) < 600, sentence
    assert main(["say", "Hello.", "-m", str(folder), "-o", "out.wav"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == f"unisono: {' '.join(sentence.split())}\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_the_older_spelling_of_rotary_positions(folder):
    first = hub.load(folder, device="cpu").say(TEXT).audio
    rope = dict(LANGUAGE_MODEL["rope_scaling"])
    change_config(folder, rope_scaling={"type": rope.pop("rope_type"), **rope})
    assert np.array_equal(first, hub.load(folder, device="cpu").say(TEXT).audio)
    change_config(folder, rope_scaling=None)
    assert not np.array_equal(first, hub.load(folder, device="cpu").say(TEXT).audio)


def test_lists_are_cut_and_counted(folder):
    write_shards(folder, {f"layer.{i}.weight": torch.ones(2) for i in range(40)})
    with pytest.raises(CheckpointError, match=r"missing .* \(\+\d+ more\); unknown .* \(\+36 more\)"):
        hub.load(folder, device="cpu")


def test_a_pickle_is_never_opened(folder):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was opened",))

    one_file(folder).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(CheckpointError, match="pickle"):
        hub.load(folder, device="cpu")
