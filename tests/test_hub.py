"""Names become models: built-in, folder or hub id; the family comes from the card or the configuration."""

import json
import shutil

import pytest

from unisono import hub
from unisono.errors import CheckpointError, InputError


def test_a_folder_loads_and_says_what_it_is(tiny_folder):
    model = hub.load(tiny_folder, device="cpu")
    assert (model.name, model.family, model.sample_rate) == ("tiny", "tada", 24000)
    assert model.can_clone and model.can_stream and model.word_times
    assert hub.model_folder(tiny_folder) == tiny_folder


def test_encoder_and_aligner_are_loaded_when_they_are_needed(tiny_folder, tmp_path, recording, transcript):
    folder = shutil.copytree(tiny_folder, tmp_path / "m")
    shutil.rmtree(folder / "encoder")
    shutil.rmtree(folder / "aligner")
    model = hub.load(folder, device="cpu")
    model.say("Hello.")
    with pytest.raises(CheckpointError, match=r"(aligner|encoder)/\*"):
        model.voice(recording, text=transcript)


def test_no_name_is_the_built_in_model(tiny_folder, monkeypatch):
    monkeypatch.setattr(hub, "builtin_folder", lambda: tiny_folder)
    assert hub.load(device="cpu").name == hub.load("builtin", device="cpu").name == "tiny"
    assert hub.list_models()[0].state == "built in"


def test_a_copy_without_built_in_model_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "__file__", str(tmp_path / "hub.py"))
    with pytest.raises(CheckpointError, match="without its built-in model"):
        hub.load()
    assert hub.list_models()[0].state == "absent"


def test_the_family_comes_from_the_card_or_from_published_keys(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "m")
    (folder / "unisono.json").unlink()
    assert hub.family_of(folder) == "tada"
    config = json.loads((folder / "config.json").read_text())
    foreign = {
        key: value for key, value in config.items() if key not in ("acoustic_dim", "num_time_classes", "shift_acoustic")
    }
    (folder / "config.json").write_text(json.dumps(foreign))
    with pytest.raises(CheckpointError, match="no family"):
        hub.load(folder)


def test_a_published_folder_reads_text_as_published(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "published")
    (folder / "unisono.json").unlink()
    model = hub.load(folder, device="cpu")
    assert model.name == "published" and model.card.style == "tada" and not model.card.leading_space
    shutil.rmtree(folder / "voices")
    speech = hub.load(folder, device="cpu").say("Hello there.")
    assert "".join(token.text for token in speech.tokens) == "Hello there."


def test_cached_models_are_listed_without_a_network(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--HumeAI--tada-1b" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    def states():
        return {row.name: row.state for row in hub.list_models()}

    assert states()["HumeAI/tada-1b"] == "partly cached" and states()["HumeAI/tada-3b-ml"] == "on the hub"
    (snapshot / "config.json").write_text('{"acoustic_dim": 512}')
    (snapshot / "model.safetensors").touch()
    assert states()["HumeAI/tada-1b"] == "cached" and states()["HumeAI/tada-codec"] == "on the hub"
    for name in ("models--someone--fine-tuned", "models--someone--foreign"):
        shutil.copytree(snapshot, tmp_path / name / "snapshots" / "def")
    (tmp_path / "models--someone--foreign" / "snapshots" / "def" / "config.json").write_text("{}")
    assert states()["someone/fine-tuned"] == "cached" and "someone/foreign" not in states()


def test_devices():
    assert hub.check_device("cpu") == "cpu"
    for wrong in ("toaster", "cuda:x", "cpu:1", "", "cuda:99"):
        with pytest.raises(InputError):
            hub.check_device(wrong)


def test_small_models_run_on_one_thread(tiny_folder, monkeypatch):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        hub.limit_threads(tiny_folder)
        assert torch.get_num_threads() == 2  # the tests set OMP_NUM_THREADS
        monkeypatch.delenv("OMP_NUM_THREADS")
        hub.limit_threads(tiny_folder)
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
        monkeypatch.setattr(hub, "SMALL_MODEL_BYTES", 10)
        hub.limit_threads(tiny_folder)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_names_of_files_are_handed_on():
    assert all(hasattr(hub, name) for name in hub.__all__)
