"""Both layouts, both ways: the same sound, the published names, and identical bytes when converted back."""

import errno
import json
import shutil

import numpy as np
import pytest
import torch
from full_shape import manifest
from published_models import ATTENTION, FRAMES
from safetensors.torch import load_file, save_file

from unisono import hub
from unisono.cli import main
from unisono.errors import CheckpointError, InputError
from unisono.files import tensors

TEXT = "Hello there."


def contents(folder):
    """Names and bytes of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def say(folder):
    return hub.load(folder, device="cpu").say(TEXT, seed=5).audio


def same_tree(first, second):
    first, second = contents(first), contents(second)
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []


@pytest.fixture
def ours(tiny_folder, tmp_path):
    return shutil.copytree(tiny_folder, tmp_path / "ours")


@pytest.fixture
def theirs(published, tmp_path):
    """A published model with its codec in its folder."""
    folder = shutil.copytree(published, tmp_path / "theirs")
    shutil.copytree(published.parent / "tada-codec", folder / "tada-codec")
    return folder


def test_ours_to_published_and_back(ours, tmp_path):
    done = hub.convert(ours, tmp_path / "p")
    assert done.to == "published" and done.remarks == []
    assert sorted(done.files) == sorted(contents(tmp_path / "p"))
    top = {path.name for path in (tmp_path / "p").iterdir()}
    assert top == {"config.json", "model.safetensors", "tada-codec", "tokenizer", "unisono", "voices"}
    assert np.array_equal(say(ours), say(tmp_path / "p"))
    hub.convert(tmp_path / "p", tmp_path / "back")
    same_tree(ours, tmp_path / "back")


def test_published_to_ours_and_back(theirs, tmp_path):
    done = hub.convert(theirs, tmp_path / "o")
    assert done.to == "ours" and done.remarks == []
    assert (tmp_path / "o" / "unisono.json").exists() and (tmp_path / "o" / "spkr-verf" / "config.json").exists()
    assert np.array_equal(say(theirs), say(tmp_path / "o"))
    hub.convert(tmp_path / "o", tmp_path / "back")
    same_tree(theirs, tmp_path / "back")


def test_the_built_in_model_and_back(tmp_path):
    folder = hub.builtin_folder()
    hub.convert("builtin", tmp_path / "p")
    decoder = load_file(tmp_path / "p" / "tada-codec" / "decoder" / "model.safetensors")
    assert not any(value.dtype == torch.float16 for value in decoder.values())
    hub.convert(tmp_path / "p", tmp_path / "back")
    same_tree(folder, tmp_path / "back")


def test_published_files_hold_what_the_published_modules_hold(ours, tmp_path):
    """The names that differ from ours are exactly those of the manifest of published modules."""
    hub.convert(ours, tmp_path / "p")
    for part in ("encoder", "decoder"):
        held = load_file(tmp_path / "p" / "tada-codec" / part / "model.safetensors")
        buffers = {name.rpartition(".")[2] for name in manifest(part)} & {"rope_freqs", "_precomputed_mask"}
        assert {name.rpartition(".")[2] for name in held if "self_attn" in name} > buffers
        masks = [value for name, value in held.items() if name.endswith("_precomputed_mask")]
        assert masks and all(mask.all() and mask.dtype == torch.bool for mask in masks)
    config = json.loads((tmp_path / "p" / "config.json").read_text())
    assert config["architectures"] == ["TadaForCausalLM"]


def test_what_can_be_computed_is_left_out_of_ours(theirs, tmp_path):
    path = theirs / "tada-codec" / "encoder" / "model.safetensors"
    held = load_file(path)
    size = path.stat().st_size
    hub.convert(theirs, tmp_path / "o")
    kept = load_file(tmp_path / "o" / "encoder" / "model.safetensors")
    masks = {name for name in held if name.endswith("_precomputed_mask")}
    assert masks and set(kept) == set(held) - masks  # tables that went through bfloat16 cannot be computed
    assert (tmp_path / "o" / "encoder" / "model.safetensors").stat().st_size < size - FRAMES**2
    table = next(name for name in held if name.endswith("rope_freqs"))
    mask = table.replace("rope_freqs", "_precomputed_mask")
    held[mask] = held[mask].clone()
    held[mask][3, 4] = False
    save_file(held, path)
    hub.convert(theirs, tmp_path / "kept")
    assert mask in load_file(tmp_path / "kept" / "encoder" / "model.safetensors")


def test_a_second_copy_of_a_tied_head_is_left_out(theirs, tmp_path):
    shard = theirs / "model-00001-of-00003.safetensors"
    index = json.loads((theirs / "model.safetensors.index.json").read_text())
    home = theirs / index["weight_map"]["model.embed_tokens.weight"]
    save_file({**load_file(shard), "lm_head.weight": load_file(home)["model.embed_tokens.weight"].clone()}, shard)
    index["weight_map"]["lm_head.weight"] = shard.name
    (theirs / "model.safetensors.index.json").write_text(json.dumps(index))
    hub.convert(theirs, tmp_path / "o")
    assert "lm_head.weight" not in (tmp_path / "o" / "model.safetensors.index.json").read_text()
    assert "lm_head.weight" not in load_file(tmp_path / "o" / shard.name)
    hub.load(tmp_path / "o", device="cpu")
    hub.convert(tmp_path / "o", tmp_path / "back")
    same_tree(theirs, tmp_path / "back")


def test_what_was_changed_meanwhile_is_kept(ours, tmp_path):
    hub.convert(ours, tmp_path / "p")
    weights = tmp_path / "p" / "model.safetensors"
    trained = {name: value + 1e-7 for name, value in load_file(weights).items()}  # finer than half precision
    save_file(trained, weights, {"format": "pt"})
    config = json.loads((tmp_path / "p" / "config.json").read_text())
    (tmp_path / "p" / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 999}))
    hub.convert(tmp_path / "p", tmp_path / "back")
    back = load_file(tmp_path / "back" / "model.safetensors")
    assert all(torch.equal(value, trained[name]) for name, value in back.items())
    assert json.loads((tmp_path / "back" / "config.json").read_text())["max_position_embeddings"] == 999
    unchanged = "decoder/model.safetensors"
    assert (tmp_path / "back" / unchanged).read_bytes() == (ours / unchanged).read_bytes()


def test_codec_and_tokenizer_from_elsewhere(published, tmp_path):
    alone = shutil.copytree(published, tmp_path / "alone" / "m")
    (alone / "tokenizer.json").unlink()
    codec = published.parent / "tada-codec"
    hub.convert(alone, tmp_path / "o", codec=codec, tokenizer=published)
    assert np.array_equal(say(published), say(tmp_path / "o"))


def test_what_cannot_be_taken_along_is_said(theirs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "nothing"))
    shutil.rmtree(theirs / "tada-codec" / "aligner")
    (theirs / "tokenizer.json").unlink()
    assert main(["convert", str(theirs), "-o", str(tmp_path / "o")]) == 0
    out, err = capsys.readouterr()
    assert "aligner" in err and "tokenizer" in err and "files" in out


def refused(arguments, capsys, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    code = main([str(word) for word in arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and err.startswith("unisono: ") and err.count("\n") == 1, (code, out, err)
    assert sorted(tmp_path.rglob("*")) == before
    return err


@pytest.mark.parametrize("target", ["taken", "file", "no/where", "file/x", "x" * 300, ""])
def test_targets(ours, tmp_path, capsys, target):
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    refused(["convert", ours, "-o", tmp_path / target], capsys, tmp_path)


@pytest.mark.parametrize("damage", ["cut", "json", "shard", "pickle", "decoder"])
def test_damaged_sources_leave_nothing(theirs, tmp_path, capsys, damage):
    if damage == "cut":
        path = theirs / "model-00002-of-00003.safetensors"
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "json":
        (theirs / "tada-codec" / "encoder" / "config.json").write_text("{")
    elif damage == "shard":
        (theirs / "model-00002-of-00003.safetensors").unlink()
    elif damage == "pickle":
        weights = theirs / "tada-codec" / "decoder" / "model.safetensors"
        weights.rename(weights.with_name("pytorch_model.bin"))
    else:
        shutil.rmtree(theirs / "tada-codec" / "decoder")
    refused(["convert", theirs, "-o", tmp_path / "o"], capsys, tmp_path)


def test_a_full_disk_leaves_nothing(ours, tmp_path, capsys, monkeypatch):
    plain, written = tensors.write_tensors, []

    def full(path, *arguments):
        written.append(path)
        if len(written) == 3:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(path, *arguments)

    monkeypatch.setattr("unisono.families.tada.recast.write_tensors", full)
    assert "No space left" in refused(["convert", ours, "-o", tmp_path / "p"], capsys, tmp_path)
    assert len(written) == 3


def test_directions(ours, theirs, tmp_path, capsys):
    for folder, to in ((ours, "ours"), (theirs, "published"), (ours, "sideways")):
        with pytest.raises(InputError):
            hub.convert(folder, tmp_path / "x", to=to)
    refused(["convert", ours, "-o", tmp_path / "x", "--codec", theirs / "tada-codec"], capsys, tmp_path)
    refused(["convert", tmp_path / "nowhere", "-o", tmp_path / "x"], capsys, tmp_path)
    refused(["convert", ours], capsys, tmp_path)


@pytest.mark.parametrize("memo", ["{", "[]", '{"version": 1, "to": "published", "files": {"config.json": 5}}', "out"])
def test_a_foreign_memo_does_not_lead_out_of_the_folder(ours, tmp_path, memo):
    hub.convert(ours, tmp_path / "p")
    note = tmp_path / "p" / "unisono" / "conversion.json"
    if memo == "out":
        memo = note.read_text().replace('"from": "model.safetensors"', '"from": "../../stolen"')
        assert "stolen" in memo
    note.write_text(memo)
    try:
        hub.convert(tmp_path / "p", tmp_path / "back")
    except CheckpointError:
        assert not (tmp_path / "back").exists()
    else:
        assert np.array_equal(say(ours), say(tmp_path / "back"))
    assert not list(tmp_path.parent.glob("stolen*")) and not (tmp_path / "stolen").exists()


def test_sizes_of_the_test_model_are_not_the_defaults():
    assert ATTENTION["max_frames"] == FRAMES != 8192  # or masks would be 64 megabytes a layer
