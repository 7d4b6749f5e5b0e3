"""Strict checkpoints: what was saved comes back bit for bit, and whatever does not fit is named."""

import json
import pickle
from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from unisono.errors import CheckpointError
from unisono.files import Checkpoint
from unisono.files.checkpoint import as_dtype, matches, without_init, without_weights


@dataclass
class TinyConfig:
    width: int = 4
    layers: int = 1


class Tiny(Checkpoint, nn.Module):
    config_class = TinyConfig
    ignored_keys = ("_useless", "_other.*")
    optional_keys = ("table", "head.weight")

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(6, config.width)
        self.layers = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.layers))
        self.head = nn.Linear(config.width, 6, bias=False)
        self.register_buffer("table", torch.arange(3.0))
        self.register_buffer("counts", torch.arange(3))
        self.register_buffer("window", torch.hann_window(8), persistent=False)
        self.tie_weights()

    def tie_weights(self):
        self.head.weight = self.embed.weight


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    Tiny(TinyConfig(layers=2)).save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def rewrite(folder, change):
    """Apply `change` to the stored tensors."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def refused(folder, says, **options):
    with pytest.raises(CheckpointError, match=says) as caught:
        Tiny.from_pretrained(folder, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_round_trip_is_exact_and_tied_weights_stay_tied(folder):
    loaded = Tiny.from_pretrained(folder)
    assert loaded.config == TinyConfig(layers=2) and not loaded.training
    assert "head.weight" not in load_file(folder / "model.safetensors")
    assert loaded.head.weight is loaded.embed.weight
    torch.manual_seed(0)
    for name, value in Tiny(TinyConfig(layers=2)).state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    before = (folder / "model.safetensors").read_bytes()
    loaded.save_pretrained(folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert sorted(entry.name for entry in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_half_precision_is_widened_unless_asked_otherwise(folder):
    Tiny.from_pretrained(folder).save_pretrained(folder, dtype=torch.float16)
    assert load_file(folder / "model.safetensors")["embed.weight"].dtype == torch.float16
    assert Tiny.from_pretrained(folder).embed.weight.dtype == torch.float32
    narrow = Tiny.from_pretrained(folder, dtype="bfloat16")
    assert narrow.embed.weight.dtype == torch.bfloat16 and narrow.counts.dtype == torch.int64
    assert narrow.window.dtype == torch.float32  # no file holds it


def test_ignored_and_optional_names(folder):
    def change(tensors):
        del tensors["table"]
        tensors["_other.anything.weight"] = torch.ones(1)
        tensors["layers.0._useless"] = torch.ones(1)

    rewrite(folder, change)
    assert torch.equal(Tiny.from_pretrained(folder).table, torch.arange(3.0))


def test_every_misfit_is_named(folder):
    def change(tensors):
        del tensors["layers.1.bias"]
        tensors["stray.weight"] = torch.ones(1)
        tensors["layers.0.weight"] = torch.ones(5, 4)

    rewrite(folder, change)
    refused(
        folder, r"missing layers\.1\.bias; unknown stray\.weight; misfit layers\.0\.weight \[5, 4\] instead of \[4, 4\]"
    )


def test_a_wrong_number_format_is_named(folder):
    rewrite(folder, lambda tensors: tensors.update({"layers.0.weight": torch.ones(4, 4, dtype=torch.int64)}))
    refused(folder, "int64 instead of torch.float32")


def test_a_long_list_is_cut(folder):
    rewrite(folder, lambda tensors: tensors.update({f"stray{i}": torch.ones(1) for i in range(50)}))
    refused(folder, r"\(\+46 more\)")


def test_what_may_be_missing_because_it_is_tied_must_be_tied(folder, monkeypatch):
    monkeypatch.setattr(Tiny, "tie_weights", lambda self: None)
    refused(folder, r"missing head\.weight")


def shards(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    table = {name: f"model-{1 + index % 2:05d}-of-00002.safetensors" for index, name in enumerate(names)}
    for shard in set(table.values()):
        save_file({name: tensors[name] for name in names if table[name] == shard}, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))
    return table


def test_shards(folder):
    whole = Tiny.from_pretrained(folder).state_dict()
    shards(folder)
    for name, value in Tiny.from_pretrained(folder).state_dict().items():
        assert torch.equal(value, whole[name])


def test_broken_shards(folder):
    table = shards(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {**table, "more": "model-00001-of-00002.safetensors"}}))
    refused(folder, "lacks more")
    index.write_text(json.dumps({"weight_map": {"embed.weight": "../model.safetensors"}}))
    refused(folder, r"no \.safetensors file beside it")
    index.write_text(json.dumps({"weight_map": table}))
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(folder, "does not exist")
    index.write_text("{}")
    refused(folder, "no weight_map")


def break_weights(folder, kind):
    path = folder / "model.safetensors"
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    elif kind == "header":
        path.write_bytes(path.read_bytes()[:50])
    elif kind == "text":
        path.write_text("no tensors here, only words")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif kind == "zip":
        torch.save({"a": torch.ones(1)}, path)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "absent":
        path.unlink()
    elif kind == "bin":
        path.rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("truncated", "cut short"),
        ("header", "cut short"),
        ("text", "no safetensors"),
        ("empty", "is empty"),
        ("pickle", "pickle"),
        ("zip", "pickle"),
        ("folder", "is a folder"),
        ("absent", r"has no model\.safetensors"),
        ("bin", r"pytorch_model\.bin.*can run code"),
    ],
)
def test_damaged_weights(folder, kind, says):
    break_weights(folder, kind)
    refused(folder, says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "it is no model folder"),
        ("{", "cannot be read as JSON"),
        ("[]", "holds a list"),
        ('{"widht": 3}', "does not know: widht"),
        ('{"width": "four"}', "can be built"),
        ('{"width": -1}', "can be built"),
    ],
)
def test_damaged_configuration(folder, content, says):
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_text(content)
    refused(folder, says)


def test_bookkeeping_keys_of_published_files_are_passed_over(folder):
    values = {"width": 4, "layers": 2, "architectures": ["X"], "torch_dtype": "bfloat16", "transformers_version": "4"}
    (folder / "config.json").write_text(json.dumps(values))
    assert Tiny.from_pretrained(folder).config.layers == 2


def test_overrides_replace_configuration(folder):
    refused(folder, r"unknown layers\.1", layers=1)


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "../x/y", "https://example.org/a", "", "a\0b", "x" * 9000])
def test_names_that_are_neither_folder_nor_hub_name(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        Tiny.from_pretrained(name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_file_is_no_model(folder):
    refused(folder / "config.json", "is a file")
    refused(folder, "has no folder 'encoder'", subfolder="encoder")


def test_offline_hub_names_fail_without_a_network_call(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused("nobody-here/no-such-model", "neither a folder nor whole in the hub's cache")


def test_cached_hub_models_load_offline(folder, tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    snapshot = cache / "models--nobody--tiny" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    (cache / "models--nobody--tiny" / "refs").mkdir()
    (cache / "models--nobody--tiny" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert Tiny.from_pretrained("nobody/tiny").config.layers == 2
    assert Tiny.from_pretrained("nobody/tiny", revision="a" * 40).config.layers == 2
    refused("nobody/tiny", "at b", revision="b" * 40)


def test_number_formats():
    assert as_dtype("bf16") is torch.bfloat16 and as_dtype(None) is None and as_dtype(torch.float16) is torch.float16
    for wrong in ("int8", "float7", "nn", ""):
        with pytest.raises(CheckpointError, match="unknown"):
            as_dtype(wrong)


def test_patterns():
    assert matches("a.b._useless", ("_useless",)) and matches("_decoder.x.y", ("_decoder.*",))
    assert not matches("a._useless.b", ("_useless",)) and not matches("x_decoder.y", ("_decoder.*",))


def test_building_without_drawing_weights_is_undone():
    before = nn.init.normal_
    with without_init():
        nn.Linear(4, 4)
    assert nn.init.normal_ is before
    assert nn.Linear(4, 4).weight.abs().sum() > 0


def test_modules_built_without_weights_take_no_memory_and_others_do():
    from threading import Thread

    from torch.nn.utils.parametrizations import weight_norm

    elsewhere = []
    with without_weights():
        module = nn.Sequential(nn.Linear(4, 4), weight_norm(nn.Conv1d(4, 6, 3)), Tiny(TinyConfig()))
        thread = Thread(target=lambda: elsewhere.append(nn.Linear(4, 4)))
        thread.start()
        thread.join()
    assert all(parameter.is_meta for parameter in module.parameters())
    assert torch.equal(module[2].table, torch.arange(3.0)) and module[2].head.weight is module[2].embed.weight
    assert module[1].parametrizations.weight.original0.shape == (6, 1, 1)
    assert not any(parameter.is_meta for parameter in (*elsewhere[0].parameters(), *nn.Linear(4, 4).parameters()))
    assert weight_norm(nn.Conv1d(4, 6, 3)).parametrizations.weight.original0.shape == (6, 1, 1)
