"""The two published ONNX networks: S3 units of a recording, and the CAM++ speaker vector (spec section 1.5).

They are loaded by path and run by onnxruntime, the optional extra `taste`; nothing is downloaded.

Axes: N samples at 16 kHz, S units (50 a second), E speaker width.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from unisono.errors import CheckpointError, InputError
from unisono.families.taste.features import N_FFT, RATE, log_mel, speaker_features

LONGEST = 30.0  # seconds that the S3 tokenizer takes


def open_network(path: str | Path, inputs: int) -> Any:
    """An onnxruntime session on the CPU.

    Args:
        path: of the .onnx file. inputs: how many the network has to have.

    Raises:
        CheckpointError: no file, onnxruntime is not installed, or no network of this kind.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; it comes with the published TASTE model (folder cosyvoice)")
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as problems
    except ImportError as error:
        raise CheckpointError(f'{path} needs onnxruntime: pip install "unisono[taste]"') from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    damaged = (
        problems.InvalidProtobuf,
        problems.InvalidGraph,
        problems.Fail,
        problems.NotImplemented,
        problems.NoModel,
    )
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except damaged as error:
        raise CheckpointError(f"{path} is no network that onnxruntime can run") from error
    if len(session.get_inputs()) != inputs:
        raise CheckpointError(f"{path} has {len(session.get_inputs())} inputs, the network wanted here has {inputs}")
    return session


class S3Tokenizer:
    """`speech_tokenizer_v1.onnx`: units at 50 Hz of a recording."""

    def __init__(self, path: str | Path) -> None:
        self.session = open_network(path, inputs=2)

    def units(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [N] -> units int64 [S].

        Raises:
            InputError: longer than 30 s (the published code silently gives no unit then), or shorter than a frame.
        """
        if len(wave) > LONGEST * RATE:
            seconds = len(wave) / RATE
            raise InputError(
                f"the recording has {seconds:.1f} s, S3 units are made of {LONGEST:.0f} s at most: cut it into pieces"
            )
        if len(wave) <= N_FFT // 2:
            raise InputError(f"the recording has {len(wave)} samples at 16 kHz, the S3 tokenizer needs more")
        mel = log_mel(wave).numpy()
        names = [entry.name for entry in self.session.get_inputs()]
        values = mel[None], np.array([mel.shape[1]], np.int32)
        found = self.session.run(None, dict(zip(names, values, strict=True)))[0]
        return torch.from_numpy(np.asarray(found).ravel().astype(np.int64))


class SpeakerNetwork:
    """`speaker_embed.onnx`, CAM++: the speaker vector of a recording (of several: `features.mean_speaker`)."""

    def __init__(self, path: str | Path) -> None:
        self.session = open_network(path, inputs=1)

    def vector(self, wave: torch.Tensor) -> torch.Tensor:
        """Wave [N] -> float32 [E], of any length. Raises InputError for less than 25 ms."""
        if len(wave) < N_FFT:
            raise InputError("a recording of less than 25 ms tells nothing about its speaker: use a longer one")
        name = self.session.get_inputs()[0].name
        found = self.session.run(None, {name: speaker_features(wave).numpy()[None]})[0]
        return torch.from_numpy(np.asarray(found, np.float32).ravel())
