"""Recordings from clients: decoded within bounds of bytes, seconds, channels and time, by decoders chosen here.

Formats are told by their first bytes and handed to one decoder each. Formats that can name other files or addresses
(playlists and such) are not among them, so that nothing is ever fetched.

Axes: N samples, C channels.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import numpy as np

from unisono.audio import check_audio
from unisono.errors import AudioError
from unisono.interface import Audio

MOST_CHANNELS = 8
RATES = (4_000, 192_000)  # Hz
DECODING_SECONDS = 20.0  # of our time
BLOCK = 65_536  # samples
# First bytes -> PyAV's name; what is not here goes to libsndfile, which knows no format that refers to others.
_SIGNATURES = ((0, b"\x1aE\xdf\xa3", "matroska"), (4, b"ftyp", "mp4"))


def decode_upload(content: bytes, most_seconds: float) -> Audio:
    """Mono float32 [N] at the recording's own rate.

    Raises:
        AudioError: no sound file, too long, too many channels, too slow to decode, silent, or not finite.
    """
    if not content:
        raise AudioError("the recording is empty, a sound file is wanted")
    deadline = time.monotonic() + DECODING_SECONDS
    name = next((name for at, mark, name in _SIGNATURES if content[at : at + len(mark)] == mark), None)
    blocks, rate, count = [], 0, 0
    for block, rate in _with_av(content, name) if name else _with_soundfile(content):
        count += len(block)
        if count > most_seconds * rate:
            raise TooLong(f"the recording is longer than {most_seconds:g} seconds: send a part of it")
        if time.monotonic() > deadline:
            raise AudioError(f"the recording takes longer than {DECODING_SECONDS:g} seconds to decode: send it as WAV")
        blocks.append(block)
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return check_audio(Audio(samples, rate or RATES[0]), "the recording", require_sound=True)


class TooLong(AudioError):
    """A recording of more seconds than are taken."""


def _check(channels: int, rate: int) -> None:
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioError(f"the recording has {channels} channels, wanted are 1 to {MOST_CHANNELS}")
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(f"the recording has {rate} samples a second, wanted are {RATES[0]} to {RATES[1]}")


def _with_soundfile(content: bytes) -> Iterator[tuple[np.ndarray, int]]:
    """Blocks of mono samples and their rate: WAV, FLAC, Ogg, Opus, MP3, AIFF."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check(file.channels, file.samplerate)
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):  # [n, C]
                yield block.mean(1), file.samplerate
    except (soundfile.LibsndfileError, TypeError):
        raise AudioError("the recording is no sound file that can be read: send wav, flac, ogg, mp3 or webm") from None


def _with_av(content: bytes, name: str) -> Iterator[tuple[np.ndarray, int]]:
    """The same for what browsers and phones record: WebM and MP4."""
    import av

    try:
        with av.open(io.BytesIO(content), format=name, options={"protocol_whitelist": "pipe"}) as container:
            if not container.streams.audio:
                raise AudioError("the recording holds no sound")
            stream = container.streams.audio[0]
            _check(stream.codec_context.channels, stream.codec_context.sample_rate)
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=stream.codec_context.sample_rate)
            for frame in container.decode(stream):
                for mono in resampler.resample(frame):
                    yield mono.to_ndarray()[0].astype(np.float32), mono.sample_rate
    except (av.FFmpegError, ValueError):
        raise AudioError("the recording is damaged or of a kind that cannot be read: send it as WAV") from None
