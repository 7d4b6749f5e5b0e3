"""The examples of README.md and docs/serving.md are run against a server."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from serving import PATIENCE

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"


def blocks(language):
    """Code blocks of the pages that speak of the server."""
    for page in ("README.md", "docs/serving.md"):
        for block in re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
            if ADDRESS in block:
                yield page, block


CURLS = [
    (page, command)
    for page, block in blocks("bash")
    for command in re.split(r"\n(?=curl )", block)
    if command.startswith("curl ")
]


def test_there_are_examples():
    assert len(CURLS) >= 7
    assert {page for page, _ in CURLS} == {"README.md", "docs/serving.md"}
    assert list(blocks("python"))


@pytest.mark.parametrize(("page", "command"), CURLS, ids=lambda value: value.split("\n")[0][:60])
def test_curl(server, page, command, tmp_path, recording):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shutil.copy(recording, tmp_path / "ref.wav")
    command = re.sub(r"^curl ", "curl -sS --fail-with-body ", command).replace(ADDRESS, server.url)
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, (done.stdout[-500:], done.stderr)
    made = re.findall(r"-o (\S+)", command)
    assert all((tmp_path / name).stat().st_size > 100 for name in made)
    assert made or done.stdout


def test_python(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for page, block in blocks("python"):
        exec(compile(block.replace(ADDRESS, server.url), page, "exec"), {})
    assert list(tmp_path.iterdir())
