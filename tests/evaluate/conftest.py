"""Small data folders, and a model that repeats recordings instead of speaking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from unisono.audio import read_audio, resample
from unisono.errors import GenerationError
from unisono.interface import AlignedTokens, Audio, Speech

RATE = 16000
SHARED = Path(__file__).parents[3] / "shared"
ROWS = (
    ("a.wav", "Hello there, this is a test.", "buzz", 120),
    ("b.wav", "The quick brown fox jumps.", "buzz", 124),
    ("c.wav", "Over the lazy dog.", "hum", 210),
)


def buzz(seconds: float, hertz: float) -> np.ndarray:
    """Something with the rhythm of speech, float32 [N] at `RATE`."""
    at = np.arange(int(seconds * RATE)) / RATE
    sound = sum(np.sin(2 * np.pi * hertz * k * at) / k for k in range(1, 20))
    return (0.2 * sound * np.clip(np.sin(2 * np.pi * 4 * at), 0.01, 1)).astype(np.float32)


def write_folder(folder: Path, rows: Any = ROWS) -> Path:
    """A folder with metadata.csv and short buzzing recordings."""
    folder.mkdir()
    lines = ["file|text|speaker|language|seconds"]
    for name, text, speaker, hertz in rows:
        soundfile.write(folder / name, buzz(0.8, hertz), RATE)
        lines.append(f"{name}|{text}|{speaker}|en|0.80")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


class Parrot:
    """A model that answers every text with the recording of it, changed by `change` (samples [N] -> samples)."""

    family, name, sample_rate = "parrot", "polly", RATE
    can_clone = can_stream = can_continue = word_times = False

    def __init__(
        self, folder: Path, texts: dict[str, str], change: Callable[[str, np.ndarray], np.ndarray] | None = None
    ) -> None:
        self.folder, self.texts = folder, texts
        self.change = change or (lambda _, samples: samples)
        self.asked: list[tuple[str, int, dict[str, Any]]] = []

    def say(self, text: str, *, voice: Any = None, seed: int = 0, **options: Any) -> Speech:
        self.asked.append((text, seed, options))
        sound = resample(read_audio(self.folder / self.texts[text]), RATE)
        return Speech(self.change(text, sound.samples), RATE, text, [], [])

    def encode(self, audio: Audio, *, text: str) -> AlignedTokens:
        samples = torch.from_numpy(np.array(resample(audio, RATE).samples))
        ids = torch.zeros(1, dtype=torch.int64)
        return AlignedTokens(ids, ids + 1, 1, len(samples), RATE, text, self.family, self.name, samples[None])

    def decode(self, tokens: AlignedTokens) -> Speech:
        return Speech(tokens.vectors[0].numpy(), RATE, tokens.text, [], [])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three clips by two speakers, in a folder without neighbours."""
    (tmp_path / "sources").mkdir()
    return write_folder(tmp_path / "sources" / "clips")


@pytest.fixture
def parrot(data: Path) -> Parrot:
    """Repeats the recordings of `data`."""
    return Parrot(data, {text: name for name, text, *_ in ROWS})


class QuickEar:
    """Understands the same words of every sound, at once."""

    def __init__(self, domain: Any = None) -> None:
        pass

    def hear(self, audio: Audio) -> str:
        return "hello there this is a test"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that takes no time, where what is heard is of no account."""
    _make_quick(monkeypatch)


def _make_quick(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("unisono.evaluate.measure.Ear", QuickEar)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, Parrot]:
    """A report on the parrot by the quick listener, the folder it lies in, and the parrot."""
    from unisono.evaluate import evaluate

    place = tmp_path_factory.mktemp("evaluated")
    (place / "sources").mkdir()
    clips = write_folder(place / "sources" / "clips")
    parrot = Parrot(clips, {text: name for name, text, *_ in ROWS})
    with pytest.MonkeyPatch.context() as patch:
        _make_quick(patch)
        report = evaluate(parrot, str(clips), str(place / "report"), seed=3, steps=4)
    return report, place / "report", parrot


def fail_on(word: str) -> Callable[[str, np.ndarray], np.ndarray]:
    """A change that fails on texts with a word."""

    def change(text: str, samples: np.ndarray) -> np.ndarray:
        if word in text:
            raise GenerationError("step 3 gave NaN: lower the guidance")
        return samples

    return change


@pytest.fixture
def failing() -> Callable[[str], Callable[[str, np.ndarray], np.ndarray]]:
    """`fail_on`."""
    return fail_on


@pytest.fixture
def shared() -> Path:
    """The folder with the judge and real recordings, beside the checkout."""
    if not (SHARED / "judge.py").is_file() or not (SHARED / "speech").is_dir():
        pytest.skip(f"{SHARED} with judge.py and speech/ is not there")
    return SHARED
