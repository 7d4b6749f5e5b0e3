"""Sound files in and out: any rate and channel count in, mono float32 in memory, one format a suffix out.

Axes: N samples, C channels.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from unisono.errors import AudioError
from unisono.files import STANDARD, check_output, is_unicode, replacing
from unisono.interface import Audio

if TYPE_CHECKING:
    import soundfile

# suffix -> (libsndfile container, encoding)
FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
RATES = {
    "OPUS": (8000, 12000, 16000, 24000, 48000),
    "MPEG_LAYER_III": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
}
LOWEST_RATE = 4000  # Hz; under it speech cannot be understood and most often the header is damaged
SHORTEST = 0.05  # seconds; every aligner and codec needs two or three frames of 20 ms
SILENCE = 1e-4  # peak of what counts as silence, -80 dB: three steps of a 16-bit file
QUIET_HEADS = (b"RIFF", b"fLaC", b"OggS")  # formats whose decoders write nothing on the process's stderr
_MUTING = threading.Lock()
BLOCK = 65536  # samples read at once; a damaged header must not decide how much memory is asked for


def suffixes() -> tuple[str, ...]:
    """Suffixes that can be written with the libsndfile at hand."""
    import soundfile

    return tuple(suffix for suffix, kind in FORMATS.items() if soundfile.check_format(*kind))


def read_audio(source: str | Path, *, require_sound: bool = False) -> Audio:
    """Read a sound file of any rate and channel count; "-" reads one from standard input.

    Args:
        source: file name or "-".
        require_sound: refuse a recording that is silent throughout.

    Returns:
        mono float32 [N] at the file's own rate, nominally in [-1, 1] (float files and lossy ones may go beyond).

    Raises:
        AudioError: missing, folder, empty, no sound file, shorter than `SHORTEST`, not finite, or silent where asked.
    """
    name = "standard input" if str(source) == STANDARD else str(source)
    if str(source) == STANDARD:
        handle, head = _standard()
    else:
        handle, head = _existing(Path(source), name)
    with _muted(head not in QUIET_HEADS), _open(handle, name) as file:
        samples, rate = _decode(file, name)
    return check_audio(Audio(samples, rate), name, require_sound=require_sound)


def check_audio(audio: Audio, name: str = "the audio", *, require_sound: bool = False) -> Audio:
    """Hand back `audio` as contiguous float32 [N], or say why it cannot be used.

    Raises:
        AudioError: wrong shape or rate, too short, not finite, or silent where sound is required.
    """
    samples = np.ascontiguousarray(audio.samples, dtype=np.float32)
    if samples.ndim != 1:
        raise AudioError(f"{name} has shape {list(samples.shape)}, wanted are mono samples [N]")
    if audio.sample_rate < LOWEST_RATE:
        raise AudioError(f"{name} has {audio.sample_rate} samples a second, wanted are at least {LOWEST_RATE}")
    if len(samples) < SHORTEST * audio.sample_rate:
        count = "1 sample" if len(samples) == 1 else f"{len(samples)} samples"
        raise AudioError(f"{name} holds {count}, wanted are at least {SHORTEST} seconds of sound")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds NaN or infinite samples: export it again")
    if require_sound and np.abs(samples - samples.mean()).max() < SILENCE:
        raise AudioError(f"{name} is silent throughout: a recording of speech is wanted")
    return Audio(samples, int(audio.sample_rate))


def write_audio(target: str | Path | BinaryIO, audio: Audio, suffix: str = "") -> None:
    """Write mono sound; the suffix picks the format, "-" is a 16-bit WAV on standard output.

    Values beyond [-1, 1] are clipped. Rates that Opus or MP3 do not know are resampled to 48 kHz.

    Args:
        target: file name, "-", or an open binary file.
        audio: float [N] at a rate in Hz.
        suffix: format for an open file, ".wav" when empty; for a name it is the name's own.

    Raises:
        AudioError: unknown suffix, folder missing or not writable, no samples, NaN.
    """
    if not isinstance(target, str | Path):
        target.write(encode(audio, suffix or ".wav"))
        return
    if str(target) == STANDARD:
        sys.stdout.buffer.write(encode(audio, ".wav"))
        sys.stdout.buffer.flush()
        return
    check_output(target, suffixes(), AudioError)
    content = encode(audio, Path(target).suffix.lower())
    with replacing(target, AudioError) as temporary:
        temporary.write_bytes(content)


def encode(audio: Audio, suffix: str) -> bytes:
    """The bytes of a sound file.

    Raises:
        AudioError: unknown suffix, no samples, NaN.
    """
    import soundfile

    from unisono.audio.resample import resample

    if suffix not in suffixes():
        raise AudioError(f"the sound format {suffix!r} is unknown, known are {' '.join(suffixes())}")
    samples = np.asarray(audio.samples, dtype=np.float32)
    if samples.ndim != 1 or not len(samples):
        raise AudioError(f"there is no mono sound to write: got samples of shape {list(samples.shape)}")
    if not np.isfinite(samples).all():
        raise AudioError("the sound to write holds NaN or infinite samples")
    container, encoding = FORMATS[suffix]
    if audio.sample_rate not in RATES.get(encoding, (audio.sample_rate,)):
        samples, rate = resample(Audio(samples, audio.sample_rate), 48000)
        audio = Audio(samples, rate)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", audio.sample_rate, 1, encoding, format=container) as file:
        # In blocks, because libsndfile's Vorbis encoder overflows its stack when given minutes at once.
        for start in range(0, len(samples), BLOCK):
            file.write(samples[start : start + BLOCK].clip(-1.0, 1.0))
    return buffer.getvalue()


@contextmanager
def _muted(wanted: bool) -> Iterator[None]:
    """Without what libsndfile's MP3 decoder writes on the process's stderr about damaged files: we say it ourselves."""
    if not wanted:
        yield
        return
    with _MUTING:
        try:
            kept = os.dup(2)
        except OSError:  # stderr is closed, and nothing can be written on it
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            sys.stderr.flush()
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(sink)


def _open(handle: io.BytesIO | bytes | str, name: str) -> soundfile.SoundFile:
    """An open sound file, or one sentence about what is there instead."""
    import soundfile

    try:
        return soundfile.SoundFile(handle)
    except (soundfile.LibsndfileError, TypeError) as problem:  # TypeError: soundfile takes .raw for headerless
        known = " ".join(suffixes())
        raise AudioError(f"{name} is no sound file that can be read, wanted is one of {known} or similar") from problem


def _standard() -> tuple[io.BytesIO, bytes]:
    """Standard input, and its first bytes."""
    content = sys.stdin.buffer.read()
    if not content:
        raise AudioError("standard input is empty, a sound file is wanted")
    return io.BytesIO(content), content[:4]


def _existing(path: Path, name: str) -> tuple[str | bytes, bytes]:
    """The name of a file that can be opened and is not empty, as soundfile takes it, and its first bytes."""
    if not name.strip():
        raise AudioError("the name of the sound file is empty: give one")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except FileNotFoundError:
        raise AudioError(f"{name} does not exist, a sound file is wanted: check the name") from None
    except IsADirectoryError:
        raise AudioError(f"{name} is a folder, a sound file is wanted") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise AudioError(f"{name:.200} cannot be opened ({reason}), a sound file is wanted") from None
    if not head:
        raise AudioError(f"{name} is empty, a sound file is wanted")
    return (str(path) if is_unicode(str(path)) else os.fsencode(path)), head


def _decode(file: soundfile.SoundFile, name: str) -> tuple[np.ndarray, int]:
    """All samples mixed down to mono float32 [N], and the rate."""
    import soundfile

    blocks = []
    try:
        while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):  # [n, C]
            blocks.append(block.mean(1))
    except soundfile.LibsndfileError as problem:
        raise AudioError(f"{name} is damaged or cut short and cannot be decoded: export it again") from problem
    return (np.concatenate(blocks) if blocks else np.zeros(0, np.float32)), file.samplerate
