"""A sound file written as the sound comes into being, so that its length does not cost memory.

Axes: N samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unisono.audio.files import BLOCK, FORMATS, RATES
from unisono.errors import AudioError
from unisono.interface import Audio

if TYPE_CHECKING:
    import soundfile
    import soxr

FALLBACK_RATE = 48000  # Hz, known to every encoding


class SoundWriter:
    """Writes mono pieces to a file; use it as a context, on a temporary name (`files.replacing`), and `close` it.

    Args:
        path: where to; its suffix picks the format.

    Raises:
        AudioError: NaN, pieces of different rates, or a system that refuses to write.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.rate = 0
        self._file: soundfile.SoundFile | None = None
        self._stream: soxr.ResampleStream | None = None

    def __enter__(self) -> SoundWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def close(self) -> None:
        """Write what is still on its way, and close the file."""
        if self._file is None:
            raise AudioError("there is no sound to write")
        if self._stream is not None:
            self._put(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        self._file.close()

    def write(self, audio: Audio) -> None:
        """Append a piece; values beyond [-1, 1] are clipped."""
        samples = np.asarray(audio.samples, dtype=np.float32)
        if not np.isfinite(samples).all():
            raise AudioError("the sound to write holds NaN or infinite samples")
        if self._file is None:
            self._open(audio.sample_rate)
        if audio.sample_rate != self.rate:
            raise AudioError(f"a piece of {audio.sample_rate} Hz cannot follow one of {self.rate} Hz")
        self._put(samples if self._stream is None else self._stream.resample_chunk(samples))

    def _open(self, rate: int) -> None:
        import soundfile

        container, encoding = FORMATS[self.path.suffix.lower()]
        known = RATES.get(encoding, (rate,))
        if rate not in known:
            import soxr

            self._stream = soxr.ResampleStream(rate, FALLBACK_RATE, 1, dtype="float32")
        self.rate = rate
        try:
            self._file = soundfile.SoundFile(
                str(self.path), "w", rate if rate in known else FALLBACK_RATE, 1, encoding, format=container
            )
        except soundfile.LibsndfileError as problem:
            raise AudioError(f"{self.path.name} cannot be written: {problem}") from problem

    def _put(self, samples: np.ndarray) -> None:
        import soundfile

        try:
            for start in range(0, len(samples), BLOCK):  # libsndfile's Vorbis encoder overflows its stack on minutes
                self._file.write(samples[start : start + BLOCK].clip(-1.0, 1.0))
        except soundfile.LibsndfileError as problem:
            raise AudioError(f"the sound file cannot be written: {problem}: is the disk full?") from problem
