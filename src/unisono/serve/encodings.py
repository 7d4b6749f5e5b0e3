"""Sound as bytes, piece by piece or whole: WAV and PCM by hand; MP3, Opus, AAC and FLAC with PyAV.

Axes: N samples. What decoders get back: FLAC, WAV, PCM and Opus (its pre-skip and last granule position) exactly the N
samples; MP3 too when it is made whole, and when it is streamed up to one frame of silence more (`serve.mp3`); AAC in
ADTS has no place to say where sound begins and ends, so that 1024 samples of its encoder's start and up to 1023 of
silence at its end stay.
"""

from __future__ import annotations

import io
import struct
from typing import Any, NamedTuple, Protocol

import numpy as np

from unisono.errors import AudioError, InputError
from unisono.interface import Audio
from unisono.serve.mp3 import streamed_head

# Sizes in the header of a WAV whose length is not known yet: the most that readers take for a signed number. 0xFFFFFFFF
# is refused by some, 0 means "empty" to others.
ENDLESS = 0x7FFFFFFF - 1
WAV_HEAD = 44  # bytes
BITRATE = {"mp3": 64_000, "opus": 32_000, "aac": 64_000}
FALLBACK_RATE = 48_000  # Hz, known to every encoder


class Format(NamedTuple):
    """One `response_format`.

    Attributes:
        media: of the answer's content type. suffix: for file names.
        container, codec: PyAV's names; "" = by hand.
        options: of PyAV's container.
    """

    media: str
    suffix: str
    container: str = ""
    codec: str = ""
    options: tuple[tuple[str, str], ...] = ()


FORMATS = {
    "mp3": Format("audio/mpeg", ".mp3", "mp3", "libmp3lame", (("id3v2_version", "0"), ("write_xing", "0"))),
    # Pages of a fifth of a second, for else a listener waits for a whole one.
    "opus": Format("audio/ogg", ".opus", "ogg", "libopus", (("page_duration", "200000"),)),
    "aac": Format("audio/aac", ".aac", "adts", "aac"),
    "flac": Format("audio/flac", ".flac", "flac", "flac"),
    "wav": Format("audio/wav", ".wav"),
    "pcm": Format("audio/pcm", ".pcm"),
}


class Encoder(Protocol):
    """Turns pieces of sound into bytes; all bytes together are one file."""

    def encode(self, samples: np.ndarray) -> bytes:
        """The bytes that follow from float samples [N]; may be empty while the encoder waits for more."""

    def finish(self) -> bytes:
        """The rest: tail and padding."""


def make_encoder(name: str, rate: int) -> Encoder:
    """An encoder that streams. Raises InputError for an unknown format."""
    kind = _format(name)
    if kind.codec:
        return _Av(name, kind, rate, io.BytesIO())
    return _Raw(wav_head(rate, ENDLESS - WAV_HEAD + 8) if name == "wav" else b"")


def encode_whole(name: str, audio: Audio) -> bytes:
    """A complete file, with exact sizes where the format has a place for them.

    Raises:
        InputError: unknown format. AudioError: samples that are not finite.
    """
    kind, (samples, rate) = _format(name), audio
    if name == "wav":
        data = to_pcm(samples)
        return wav_head(rate, len(data)) + data
    if name == "mp3":  # the muxer goes back and fills the head in
        kind = kind._replace(options=(("id3v2_version", "0"),))
        sink = io.BytesIO()
        encoder: Encoder = _Av(name, kind, rate, sink, seekable=True)
        encoder.encode(samples)
        encoder.finish()
        return sink.getvalue()
    encoder = make_encoder(name, rate)
    return encoder.encode(samples) + encoder.finish()


def to_pcm(samples: np.ndarray) -> bytes:
    """16-bit little-endian bytes of float samples [N]; values beyond [-1, 1] are clipped.

    Raises:
        AudioError: a value that is not finite.
    """
    if not np.isfinite(samples).all():
        raise AudioError("the sound holds NaN or infinite samples")
    return np.round(samples.clip(-1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def wav_head(rate: int, size: int) -> bytes:
    """The 44 bytes before `size` bytes of 16-bit mono samples."""
    kind = struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)  # 16 bytes, PCM, one channel, ...
    return b"RIFF" + struct.pack("<I", size + WAV_HEAD - 8) + b"WAVEfmt " + kind + b"data" + struct.pack("<I", size)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise InputError(f"response_format is {name[:20]!r}, wanted is one of {', '.join(FORMATS)}")
    return FORMATS[name]


class _Raw:
    """Samples behind a head, if there is one."""

    def __init__(self, head: bytes) -> None:
        self.head = head

    def encode(self, samples: np.ndarray) -> bytes:
        head, self.head = self.head, b""
        return head + to_pcm(samples)

    def finish(self) -> bytes:
        head, self.head = self.head, b""
        return head


class _Sink:
    """A file that PyAV can write to but not go back in; what was written is taken away."""

    def __init__(self, buffer: io.BytesIO) -> None:
        self.buffer = buffer

    def write(self, data: bytes) -> int:
        return self.buffer.write(data)

    def take(self) -> bytes:
        data = self.buffer.getvalue()
        self.buffer.seek(0)
        self.buffer.truncate()
        return data


class _Av:
    """One of PyAV's encoders. Rates that it does not know are resampled to 48 kHz.

    Args:
        buffer: where the bytes go to. seekable: the muxer may go back in it; then nothing is handed out in pieces.
    """

    def __init__(self, name: str, kind: Format, rate: int, buffer: io.BytesIO, seekable: bool = False) -> None:
        import av

        self._resampler = None
        known = av.codec.Codec(kind.codec, "w").audio_rates
        if known and rate not in known:
            import soxr

            self._resampler = soxr.ResampleStream(rate, FALLBACK_RATE, 1, dtype="float32")
            rate = FALLBACK_RATE
        self._rate, self._position = rate, 0
        self._sink = None if seekable else _Sink(buffer)
        self._container = av.open(self._sink or buffer, "w", format=kind.container, options=dict(kind.options))
        self._stream: Any = self._container.add_stream(kind.codec, rate=rate, layout="mono")
        self._stream.codec_context.format = "fltp" if kind.codec in ("aac", "libmp3lame") else "s16"
        if name in BITRATE:
            self._stream.bit_rate = BITRATE[name]
        if name == "mp3" and self._sink is not None:
            self._sink.write(streamed_head(rate, BITRATE[name]))

    def encode(self, samples: np.ndarray) -> bytes:
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(np.asarray(samples, np.float32))
        self._put(samples)
        return b"" if self._sink is None else self._sink.take()

    def finish(self) -> bytes:
        if self._resampler is not None:
            self._put(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return b"" if self._sink is None else self._sink.take()

    def _put(self, samples: np.ndarray) -> None:
        import av

        if not len(samples):
            return
        whole = np.frombuffer(to_pcm(samples), "<i2")
        if self._stream.codec_context.format.name == "fltp":
            frame = av.AudioFrame.from_ndarray(np.float32(whole[None] / 32767.0), format="fltp", layout="mono")
        else:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(whole[None]), format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self._position
        self._position += len(samples)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
