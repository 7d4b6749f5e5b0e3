"""A user's own voices: names that lead nowhere else, files that are whole or absent."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
import torch

from unisono.errors import InputError
from unisono.files import (
    check_new_voice,
    check_voice_name,
    named_voices,
    read_voice,
    remove_voice,
    save_voice,
    store_folder,
    store_voice,
    stored_voices,
)
from unisono.interface import AlignedTokens, Voice

NAMES = ["anna", "Anna-2", "a", "7", "j.r.r", "_".join("ab"), "Jürgen", "花子", "x" * 64, "console", "com10"]
BAD_NAMES = [
    "",
    " ",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "C:x",
    "a b",
    "-x",
    ".x",
    "x.",
    "a\0b",
    "a\nb",
    "x" * 65,
    "x" * 300,
    "🙂",
    "con",
    "CON",
    "con.x",
    "nul",
    "Lpt1",
    "com¹",
    "x.wav",
    "x.safetensors",
    "*",
    "%2e%2e",
    "~",
    "$HOME",
]


def make_voice(name: str = "anna", **changes) -> Voice:
    tokens = AlignedTokens(
        text_ids=torch.tensor([1, 2]),
        positions=torch.tensor([1, 3]),
        frames=4,
        samples=1920,
        sample_rate=24000,
        text="hi there",
        family="tada",
        model="m",
        vectors=torch.ones(2, 4),
    )
    return Voice(name, tokens, **changes)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user without voices, which does not exist yet."""
    monkeypatch.setenv("UNISONO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with the ready voice "ready"."""
    (tmp_path / "model" / "voices").mkdir(parents=True)
    save_voice(tmp_path / "model" / "voices" / "ready.safetensors", make_voice("ready"))
    return tmp_path / "model"


@pytest.mark.parametrize("name", NAMES)
def test_a_voice_is_kept_found_and_removed(home: Path, model: Path, name: str) -> None:
    assert check_new_voice(model, name) == name
    assert not home.exists()
    path = store_voice(make_voice(name, consent="mine", language="de", created="2026-11-20"))
    assert path.parent == home / "voices" and [item.name for item in path.parent.iterdir()] == [path.name]
    assert list(stored_voices()) == [name] and set(named_voices(model)) == {name, "ready"}
    back = read_voice(model, name)
    assert (back.name, back.consent, back.language, back.created) == (name, "mine", "de", "2026-11-20")
    with pytest.raises(InputError, match="already"):
        check_new_voice(model, name)
    assert check_new_voice(model, name, force=True) == name
    remove_voice(model, name)
    assert not list((home / "voices").iterdir()) and read_voice(model, name) is None


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:20])
def test_names_lead_nowhere_else(home: Path, model: Path, name: str) -> None:
    for call in (
        check_voice_name,
        lambda name: check_new_voice(model, name),
        lambda name: store_voice(make_voice(name)),
    ):
        with pytest.raises(InputError) as caught:
            call(name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    with pytest.raises(InputError, match="no voice"):
        remove_voice(model, name)
    assert not home.exists()


def test_names_that_differ_in_case_or_accents_only(home: Path, model: Path) -> None:
    store_voice(make_voice("Anna"))
    for force in (False, True):
        with pytest.raises(InputError, match="case"):
            check_new_voice(model, "anna", force)
        with pytest.raises(InputError, match="comes with the model"):
            check_new_voice(model, "Ready", force)
    decomposed = unicodedata.normalize("NFD", "Jürgen")
    assert check_voice_name(decomposed) == "Jürgen"
    store_voice(make_voice(decomposed))
    with pytest.raises(InputError, match="already"):
        check_new_voice(model, "Jürgen")
    with pytest.raises(InputError, match="comes with the model"):
        remove_voice(model, "ready")
    assert (model / "voices" / "ready.safetensors").exists()


def test_a_model_s_own_voice_comes_first(home: Path, model: Path) -> None:
    store_voice(make_voice("ready", consent="the user's"))  # kept before the model had one of that name
    assert read_voice(model, "ready").consent == ""


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300, "shut/home"])
def test_a_home_that_cannot_be_used(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "shut").mkdir(mode=0o500)
    if place == "shut/home" and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = tmp_path / place
    monkeypatch.setattr("unisono.files.store.store_folder", lambda: folder / "voices")
    before = sorted(tmp_path.rglob("*"))
    assert set(named_voices(model)) == {"ready"}
    for call in (lambda: check_new_voice(model, "anna"), lambda: store_voice(make_voice())):
        if place == "x" * 300:
            continue  # looks like one that can be made, until it is
        with pytest.raises(InputError, match="UNISONO_HOME"):
            call()
    with pytest.raises(InputError):
        store_voice(make_voice())
    assert sorted(tmp_path.rglob("*")) == before


def test_where_voices_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNISONO_HOME", "~/somewhere")
    assert store_folder() == Path.home() / "somewhere" / "voices"
    monkeypatch.delenv("UNISONO_HOME")
    assert "unisono" in str(store_folder()) and store_folder().name == "voices" and store_folder().is_absolute()


def test_folders_and_foreign_files_are_no_voices(home: Path, model: Path) -> None:
    store_voice(make_voice())
    (home / "voices" / "folder.safetensors").mkdir()
    (home / "voices" / "notes.txt").write_text("")
    (home / "voices" / ".hidden.safetensors").write_text("")
    assert list(stored_voices()) == ["anna"]
    with pytest.raises(InputError, match="no voice 'folder'"):
        remove_voice(model, "folder")


def test_a_failed_write_keeps_the_old_voice(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store_voice(make_voice())
    kept = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(Exception, match="No space left"):
        store_voice(make_voice(consent="other"))
    assert path.read_bytes() == kept and [item.name for item in path.parent.iterdir()] == [path.name]
