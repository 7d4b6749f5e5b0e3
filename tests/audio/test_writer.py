"""Sound files that grow piece by piece."""

import numpy as np
import pytest
import soundfile

from unisono.audio import SoundWriter, suffixes, write_audio
from unisono.errors import AudioError
from unisono.interface import Audio


def some_sound(samples: int = 24000) -> np.ndarray:
    return (0.5 * np.sin(np.arange(samples) / 20)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_pieces_make_the_file_that_the_whole_makes(tmp_path, suffix):
    sound = some_sound()
    write_audio(tmp_path / f"a{suffix}", Audio(sound, 24000))
    with SoundWriter(tmp_path / f"b{suffix}") as writer:
        for start in range(0, len(sound), 7001):
            writer.write(Audio(sound[start : start + 7001], 24000))
        writer.close()
    first, second = (soundfile.read(tmp_path / f"{name}{suffix}") for name in "ab")
    assert first[1] == second[1] == 24000 and np.array_equal(first[0], second[0])


@pytest.mark.parametrize("suffix", [".ogg", ".opus", ".mp3"])
@pytest.mark.parametrize("rate", [24000, 22050, 96000])
def test_other_formats_and_rates(tmp_path, suffix, rate):
    if suffix not in suffixes():
        pytest.skip(f"this libsndfile cannot write {suffix}")
    with SoundWriter(tmp_path / f"a{suffix}") as writer:
        for _ in range(3):
            writer.write(Audio(some_sound(rate), rate))
        writer.close()
    samples, found = soundfile.read(tmp_path / f"a{suffix}")
    assert abs(len(samples) / found - 3) < 0.15


def test_what_cannot_be_written(tmp_path):
    with SoundWriter(tmp_path / "a.wav") as writer, pytest.raises(AudioError, match="NaN"):
        writer.write(Audio(np.full(10, np.nan, np.float32), 24000))
    with SoundWriter(tmp_path / "a.wav") as writer:
        writer.write(Audio(some_sound(), 24000))
        with pytest.raises(AudioError, match="cannot follow"):
            writer.write(Audio(some_sound(), 22050))
    with SoundWriter(tmp_path / "b.wav") as writer, pytest.raises(AudioError, match="no sound"):
        writer.close()
    with SoundWriter(tmp_path / "no" / "a.wav") as writer, pytest.raises(AudioError, match="cannot be written"):
        writer.write(Audio(some_sound(), 24000))
