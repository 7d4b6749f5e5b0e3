"""The training loop: kill -9 and resume give the same curve; NaN stops; the smoke recipe trains every stage."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from unisono.errors import TrainingError
from unisono.train import run
from unisono.train.loop import Settings, rate_at, run_stage

ROOT = Path(__file__).parents[2]


def losses(log: Path) -> dict[int, float]:
    """Training loss by step."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return {row["step"]: row["loss"] for row in rows if row["kind"] == "train"}


def vocoder_recipe(folder: Path, steps: int) -> Path:
    """A recipe of one small vocoder stage that logs and saves after every step."""
    optimizer = {"steps": steps, "warmup": 3, "log_every": 1, "validate_every": 10_000, "sample_every": 10_000}
    stage = {
        "stage": "vocoder",
        "model": {"bands": 100, "channels": 16, "blocks": 1, "inner": 16},
        "options": {"segment_frames": 40, "batch_clips": 2},
        "optimizer": optimizer | {"checkpoint_minutes": 0.0},
    }
    recipe = {"data": str(folder / "data"), "output": str(folder / "run"), "threads": 1, "seed": 3, "stages": [stage]}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed smoke clips, prepared."""
    from unisono.train import prepare

    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(str(ROOT / "recipes" / "smoke"), str(folder), holdout=0.15, workers=1, limit=8)
    return folder


@pytest.mark.slow
def test_killed_run_resumes_on_the_same_curve(tmp_path: Path, data: Path) -> None:
    (tmp_path / "data").symlink_to(data)
    recipe, steps = vocoder_recipe(tmp_path, 16), 16
    run(str(recipe), output=str(tmp_path / "whole"))
    wanted = losses(tmp_path / "whole" / "vocoder" / "log.jsonl")

    command = [sys.executable, "-m", "unisono", "train", str(recipe), "--output", str(tmp_path / "killed")]
    log = tmp_path / "killed" / "vocoder" / "log.jsonl"
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (log.exists() and len(losses(log)) >= 5):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 5 <= len(losses(log)) < steps, "the run was to be killed in the middle"
    subprocess.run([*command, "--resume"], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    got = losses(log)
    assert list(got) == list(range(1, steps + 1))
    assert got == wanted


class Toy:
    """A task whose loss turns to NaN at a given step."""

    def __init__(self, bad_step: int) -> None:
        self.module, self.critic, self.bad_step = nn.Linear(2, 1), None, bad_step

    def batch(self, step: int) -> int:
        return step

    def loss(self, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        value = self.module(torch.ones(1, 2)).square().sum()
        return value * (math.nan if batch == self.bad_step else 1.0), {}

    def validate(self) -> dict[str, float]:
        return {"weight": float(self.module.weight.sum())}

    def samples(self, folder: Path, step: int) -> None:
        (folder / f"{step}.txt").write_text("sample")

    def save(self, folder: Path) -> None:
        folder.mkdir()


def test_nan_stops_loudly(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="step 3"):
        run_stage(Toy(3), Settings(steps=5, log_every=1), tmp_path, False, "toy")
    assert len(losses(tmp_path / "log.jsonl")) == 3


def test_samples_validation_and_average_are_written(tmp_path: Path) -> None:
    settings = Settings(steps=4, log_every=2, validate_every=2, sample_every=2, warmup=1)
    numbers = run_stage(Toy(-1), settings, tmp_path, False, "toy")
    assert "weight" in numbers
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["2.txt", "4.txt"]
    assert any((tmp_path / "tensorboard").iterdir())


def test_rate_warms_up_and_falls() -> None:
    settings = Settings(steps=100, warmup=10, learning_rate=1.0, minimum_rate=0.1)
    rates = np.array([rate_at(step, settings) for step in range(101)])
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1.0)
    assert (np.diff(rates[10:]) <= 0).all() and rates[100] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages: []", "no recipe"),
        ("data: x\nstages: [{stage: nothing}]", "unknown stage"),
        ("data: x\ncolour: red\nstages: [{stage: codec}]", "unknown key 'colour'"),
        ("stages: [{stage: codec}]", "names no data"),
        ("data: x\nstages: [{stage: codec, sizes: 3}]", "unknown key 'sizes'"),
        ("{", "cannot read"),
    ],
)
def test_recipe_errors_are_sentences(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(TrainingError, match=message):
        run(str(tmp_path / "r.yaml"))


@pytest.mark.slow
def test_smoke_recipe_trains_every_stage_and_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import unisono

    monkeypatch.chdir(ROOT)
    folder = run("recipes/tiny-smoke.yaml", output=str(tmp_path / "run"))
    for stage in ("aligner", "vocoder", "codec", "language_model", "distill"):
        curve = losses(folder / stage / "log.jsonl")
        assert list(curve.values())[-1] < 0.95 * next(iter(curve.values())), stage
    speech = unisono.load(str(folder / "package")).say("Holly trees bear berries.", seed=1)
    assert np.isfinite(speech.audio).all() and len(speech.words) == 4
