"""The two published ONNX networks: S3 units of a recording, and the CAM++ speaker vector (spec section 1.5).

They are loaded by path and run by onnxruntime, the optional extra `taste`; nothing is downloaded.

Axes: N samples at 16 kHz, M frames (100 a second), F bands, S units (50 a second), W speaker width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unisono.audio.kaldi import filter_bank
from unisono.audio.resample import resample
from unisono.errors import CheckpointError, InputError
from unisono.interface import Audio

RATE = 16000
LONGEST = 30.0  # seconds that the S3 tokenizer takes
WHISPER_FFT, WHISPER_HOP, WHISPER_BANDS = 400, 160, 128


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
    except ImportError as error:
        raise CheckpointError(f'{path} needs onnxruntime: pip install "unisono[taste]"') from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class but this
        raise CheckpointError(f"{path} is no network that onnxruntime can run") from error
    if len(session.get_inputs()) != inputs:
        raise CheckpointError(f"{path} has {len(session.get_inputs())} inputs, the network wanted here has {inputs}")
    return session


def whisper_log_mel(wave: np.ndarray, bands: int = WHISPER_BANDS) -> np.ndarray:
    """Whisper's log-mel float32 [F, M] of a wave [N] at 16 kHz, without padding; M = N // 160."""
    from transformers.audio_utils import mel_filter_bank

    window = np.hanning(WHISPER_FFT + 1)[:-1]
    padded = np.pad(wave.astype(np.float64), WHISPER_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WHISPER_FFT)[::WHISPER_HOP][: len(wave) // WHISPER_HOP]
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    filters = mel_filter_bank(WHISPER_FFT // 2 + 1, bands, 0.0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")
    log = np.log10(np.maximum(power @ filters, 1e-10)).T
    return ((np.maximum(log, log.max() - 8.0) + 4.0) / 4.0).astype(np.float32)


class S3Tokenizer:
    """`speech_tokenizer_v1.onnx`: units at 50 Hz of a recording."""

    def __init__(self, path: str | Path) -> None:
        self.session = open_network(path, inputs=2)

    def units(self, audio: Audio) -> np.ndarray:
        """Units int64 [S].

        Raises:
            InputError: longer than 30 s (the published code silently gives no unit then), or shorter than a frame.
        """
        wave = resample(audio, RATE).samples
        if len(wave) > LONGEST * RATE:
            raise InputError(
                f"the recording has {len(wave) / RATE:.1f} s, the S3 tokenizer takes {LONGEST:.0f} s: cut it into pieces"
            )
        if len(wave) <= WHISPER_FFT // 2:
            raise InputError(f"the recording has {len(wave)} samples at 16 kHz, the S3 tokenizer needs more")
        mel = whisper_log_mel(wave)
        names = [entry.name for entry in self.session.get_inputs()]
        values = mel[None], np.array([mel.shape[1]], np.int32)
        return np.asarray(self.session.run(None, dict(zip(names, values, strict=True)))[0]).ravel().astype(np.int64)


class SpeakerNetwork:
    """`speaker_embed.onnx`, CAM++: the speaker vector of one or several recordings."""

    def __init__(self, path: str | Path) -> None:
        self.session = open_network(path, inputs=1)

    def vector(self, references: Sequence[Audio]) -> np.ndarray:
        """Mean over recordings, of length 1: float32 [W]. Raises InputError for none, or for one under 25 ms."""
        if not references:
            raise InputError("a speaker vector needs at least one recording")
        return mean_speaker(np.stack([self._one(audio) for audio in references]))

    def _one(self, audio: Audio) -> np.ndarray:
        features = filter_bank(resample(audio, RATE).samples)
        if not len(features):
            raise InputError("a recording of less than 25 ms tells nothing about its speaker: use a longer one")
        features = features - features.mean(0)
        name = self.session.get_inputs()[0].name
        return np.asarray(self.session.run(None, {name: features[None]})[0]).ravel()


def mean_speaker(vectors: np.ndarray) -> np.ndarray:
    """Speaker vectors [R, W] of recordings -> their mean, of length 1, float32 [W]."""
    mean = vectors.mean(0)
    return (mean / np.linalg.norm(mean).clip(1e-12)).astype(np.float32)
