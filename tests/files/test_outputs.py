"""Outputs are whole or absent."""

import os

import pytest

from unisono.errors import AudioError, InputError
from unisono.files import all_or_none, check_folder, check_output, replacing


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path):
    with replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("new")
        assert "a.json" not in names(tmp_path) and temporary.suffix == ".json"
    assert names(tmp_path) == ["a.json"] and (tmp_path / "a.json").read_text() == "new"


def test_a_failure_keeps_the_old_file(tmp_path):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert names(tmp_path) == ["a.json"] and (tmp_path / "a.json").read_text() == "old"


def test_several_files_come_together_or_not_at_all(tmp_path):
    targets = [tmp_path / name for name in ("a.wav", "b.json", "c.png")]
    with pytest.raises(InputError, match=r"a\.wav"), all_or_none(targets) as temporary:
        temporary[0].write_text("a")
        temporary[1].write_text("b")
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []
    with all_or_none(targets) as temporary:
        for name in temporary[:2]:
            name.write_text("x")
    assert names(tmp_path) == ["a.wav", "b.json"]


def test_new_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a.json") as temporary:
            temporary.write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["a.txt", "a", "no/a.json", ".", "file/a.json", "a\0.json", "x" * 5000 + ".json"])
def test_unusable_names_are_refused_before_any_work(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(AudioError) as caught:
        check_output(f"{tmp_path}/{name}", (".json",), AudioError)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["a.json", "a.JSON", "b.Json"])
def test_usable_names(tmp_path, name):
    (tmp_path / "a.json").touch()
    check_output(tmp_path / name, (".json",))
    check_output("-", (".json",))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="read-only"):
        check_output(tmp_path / "a.json")
    with pytest.raises(InputError, match="may not be written"):
        check_folder(tmp_path)


def test_folders(tmp_path):
    check_folder(tmp_path)
    check_folder(tmp_path / "new")
    (tmp_path / "file").touch()
    for name in ("file", "no/new"):
        with pytest.raises(InputError):
            check_folder(tmp_path / name)
