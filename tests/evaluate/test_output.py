"""The folder of a report: whole or absent, and never in place of something else."""

import json

import pytest

from unisono.errors import InputError
from unisono.evaluate.output import check_report_folder, report_folder


def fill(folder, n=1):
    (folder / "report.json").write_text(json.dumps({"n": n, "items": [], "failures": []}))
    (folder / "audio" / "x.wav").write_text("x")


def test_filled_under_another_name_then_put_in_place(tmp_path):
    with report_folder(tmp_path / "report") as folder:
        fill(folder)
        assert not (tmp_path / "report").exists()
    assert sorted(entry.name for entry in (tmp_path / "report").iterdir()) == ["audio", "pictures", "report.json"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_an_earlier_report_and_an_empty_folder_are_replaced(tmp_path):
    (tmp_path / "report").mkdir()
    for n in (1, 2):
        with report_folder(tmp_path / "report") as folder:
            fill(folder, n)
    assert json.loads((tmp_path / "report" / "report.json").read_text())["n"] == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, InputError, OSError(28, "No space left on device")])
def test_a_failure_leaves_the_earlier_report(tmp_path, problem):
    with report_folder(tmp_path / "report") as folder:
        fill(folder)
    with pytest.raises((KeyboardInterrupt, InputError)), report_folder(tmp_path / "report") as folder:
        fill(folder, 2)
        raise problem
    assert json.loads((tmp_path / "report" / "report.json").read_text())["n"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]


def test_folders_in_other_use_are_refused(tmp_path):
    used = tmp_path / "used"
    used.mkdir()
    (used / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not empty"):
        check_report_folder(used)
    (used / "report.json").write_text(json.dumps({"n": 1, "items": [], "failures": []}))
    with pytest.raises(InputError, match="not empty"):
        check_report_folder(used)  # a report, with somebody's letter beside it
    (used / "letter.txt").unlink()
    check_report_folder(used)
    (used / "report.json").write_text('{"name": "somebody else\'s"}')
    with pytest.raises(InputError, match="not empty"):
        check_report_folder(used)


def test_places_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "no" / "report"):
        with pytest.raises(InputError), report_folder(path):
            pytest.fail("must not be entered")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_place_taken_meanwhile_is_not_overwritten(tmp_path):
    with pytest.raises(InputError, match="not empty"), report_folder(tmp_path / "report") as folder:
        fill(folder)
        (tmp_path / "report").mkdir()
        (tmp_path / "report" / "letter.txt").write_text("dear")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report" / "letter.txt").exists()
