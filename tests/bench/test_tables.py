"""The script that fills docs/performance.md with what was measured."""

import importlib.util
from pathlib import Path

import pytest

from unisono.bench import Settings, measure

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("benchmarks_run", ROOT / "benchmarks" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_s_tables_are_made_anew_and_the_rest_is_kept(script, tiny_folder, monkeypatch):
    monkeypatch.setattr("unisono.bench.benchmark.read_bandwidth", lambda device: [1e10])
    settings = Settings(model=str(tiny_folder), device="cpu", text="hello", runs=1, against="reference")
    report = measure(settings)
    report["details"]["load_before"] = 9.0
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    filled = script.filled(page, {"builtin": report})
    assert "| `builtin` |" in filled and "under other load (9.0)" in filled and "10.0 GB/s" in filled
    assert script.filled(filled, {"builtin": report}) == filled
    assert script.filled(filled, {}) == script.filled(page, {}) and filled.split("<!--")[0] == page.split("<!--")[0]


def test_every_benchmark_is_one_the_command_takes(script):
    from typer.main import get_command

    from unisono.cli import app

    bench = get_command(app).commands["bench"]
    for arguments in script.BENCHMARKS.values():
        values = bench.make_context("bench", arguments.split()).params
        Settings(**{name: value for name, value in values.items() if name != "json"}).check()


def test_an_unknown_benchmark_is_refused(script, capsys):
    assert script.main(["no-such-thing"]) == 2 and "no-such-thing" in capsys.readouterr().err
