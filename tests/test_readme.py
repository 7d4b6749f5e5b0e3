"""The README's map names every file."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "unisono"
FILES = sorted(
    path.relative_to(SOURCE).as_posix()
    for path in SOURCE.rglob("*")
    if path.suffix in (".py", ".js", ".css", ".html") and path.name != "__init__.py"
)


@pytest.fixture(scope="module")
def rows():
    """Folder of the map -> the names in its row."""
    found = {}
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            where, what = line.split("|")[1:3]
            for folder in re.findall(r"`([^`]+)`", where):
                found[folder] = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`]+)`", what))))
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_file_stands_in_the_map(rows, name):
    folder, _, file = name.rpartition("/")
    if not folder:
        assert name in rows, f"{name} has no row"
        return
    row = next(row for row in (f"{folder}/", f"{folder.rpartition('/')[0]}/") if row in rows)
    assert file.rsplit(".", 1)[0] in rows[row], f"{name} is not named in the row of {row}"
