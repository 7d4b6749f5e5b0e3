"""Sound files: what comes in comes out, and whatever cannot be used gets one sentence."""

import io
import os
import sys

import numpy as np
import pytest
import soundfile

from unisono.audio import encode, read_audio, suffixes, write_audio
from unisono.audio.files import SILENCE
from unisono.errors import AudioError
from unisono.interface import Audio


def tone(seconds=0.5, rate=24000, level=0.3):
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def assert_sentence(text):
    assert text and "\n" not in text and "Traceback" not in text and len(text) < 400


@pytest.mark.parametrize("suffix", suffixes())
@pytest.mark.parametrize("rate", [16000, 22050, 24000])
def test_written_and_read_back(tmp_path, suffix, rate):
    path = tmp_path / f"tone{suffix}"
    write_audio(path, Audio(tone(rate=rate), rate))
    samples, back = read_audio(path, require_sound=True)
    assert back == (48000 if suffix == ".opus" and rate == 22050 else rate)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) / back == pytest.approx(0.5, abs=0.1)
    middle = samples[len(samples) // 4 : len(samples) // 2]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.3 / np.sqrt(2), abs=0.01)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_wav_is_exact_to_a_sixteen_bit_step(tmp_path):
    write_audio(tmp_path / "a.wav", Audio(tone(), 24000))
    assert np.abs(read_audio(tmp_path / "a.wav").samples - tone()).max() < 1 / 32767


def test_wav_header_tells_the_true_length(tmp_path):
    import wave

    write_audio(tmp_path / "a.wav", Audio(tone(), 24000))
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnframes(), file.getsampwidth(), file.getnchannels()) == (12000, 2, 1)


def test_beyond_full_scale_is_clipped_not_wrapped(tmp_path):
    write_audio(tmp_path / "a.wav", Audio(4 * tone(level=1.0), 24000))
    samples = read_audio(tmp_path / "a.wav").samples
    assert samples.max() > 0.99 and np.abs(np.diff(samples)).max() < 0.6


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44100, 2), (192000, 8)])
def test_any_rate_and_channel_count_is_mixed_down(tmp_path, rate, channels):
    wave = tone(rate=rate)
    scale = np.linspace(0.5, 1.5, channels) if channels > 1 else np.ones(1)  # mean 1
    soundfile.write(tmp_path / "a.wav", wave[:, None] * scale, rate, subtype="FLOAT")
    samples, back = read_audio(tmp_path / "a.wav")
    assert back == rate
    assert np.abs(samples - wave).max() < 1e-6


def test_minutes_of_vorbis_do_not_overflow_the_encoder():
    assert len(encode(Audio(tone(120.0), 24000), ".ogg")) > 10000


def test_standard_streams(monkeypatch, tmp_path):
    class Stream:
        def __init__(self, content=b""):
            self.buffer = io.BytesIO(content)

    out = Stream()
    monkeypatch.setattr("sys.stdout", out)
    write_audio("-", Audio(tone(), 24000))
    monkeypatch.undo()
    content = out.buffer.getvalue()
    assert content[:4] == b"RIFF"
    monkeypatch.setattr("sys.stdin", Stream(content))
    assert len(read_audio("-").samples) == 12000
    monkeypatch.setattr("sys.stdin", Stream())
    with pytest.raises(AudioError, match="standard input is empty"):
        read_audio("-")


def bad_inputs(folder):
    """name -> a file that cannot be used."""
    files = {
        name: folder / f"{name}.wav" for name in ("missing", "folder", "text", "empty", "one", "nan", "inf", "silent")
    }
    files["folder"].mkdir()
    files["text"].write_text("this is no sound\n" * 40)
    files["empty"].touch()
    soundfile.write(files["one"], tone()[100:101], 24000)
    soundfile.write(files["nan"], np.where(np.arange(12000) == 77, np.nan, tone()), 24000, subtype="FLOAT")
    soundfile.write(files["inf"], np.where(np.arange(12000) == 77, np.inf, tone()), 24000, subtype="FLOAT")
    soundfile.write(files["silent"], np.full(12000, SILENCE / 2) + 0.1, 24000, subtype="FLOAT")
    soundfile.write(folder / "ok.wav", tone(), 24000)
    files["header"] = folder / "header.wav"
    files["header"].write_bytes((folder / "ok.wav").read_bytes()[:30])
    soundfile.write(folder / "ok.flac", tone(), 24000)
    files["flac"] = folder / "cut.flac"
    files["flac"].write_bytes((folder / "ok.flac").read_bytes()[:50])
    files["slow"] = folder / "slow.wav"
    soundfile.write(files["slow"], tone(), 100)
    files["nul"] = folder / "a\0b.wav"
    files["long"] = folder / ("x" * 5000 + ".wav")
    files["raw"] = folder / "a.raw"
    files["raw"].write_bytes(os.urandom(1000))
    return files


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "does not exist"),
        ("folder", "is a folder"),
        ("text", "is no sound file"),
        ("empty", "is empty"),
        ("one", "holds 1 sample, wanted"),
        ("nan", "NaN"),
        ("inf", "infinite"),
        ("silent", "silent"),
        ("header", "header.wav"),
        ("flac", "cut.flac"),
        ("slow", "samples a second"),
        ("nul", "cannot be opened"),
        ("long", "cannot be opened"),
        ("raw", "is no sound file"),
    ],
)
def test_unusable_input_gets_a_sentence(tmp_path, name, says):
    with pytest.raises(AudioError, match=says) as caught:
        read_audio(bad_inputs(tmp_path)[name], require_sound=True)
    assert_sentence(str(caught.value))


def test_silence_is_only_refused_where_sound_is_wanted(tmp_path):
    assert len(read_audio(bad_inputs(tmp_path)["silent"]).samples) == 12000


@pytest.mark.parametrize("target", ["a.xyz", "a", "nowhere/a.wav", ".", "a.wav/b.wav"])
def test_unusable_output_is_refused_and_nothing_left(tmp_path, target):
    (tmp_path / "a.wav").write_bytes(b"kept")
    with pytest.raises(AudioError) as caught:
        write_audio(tmp_path / target, Audio(tone(), 24000))
    assert_sentence(str(caught.value))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"] and (tmp_path / "a.wav").read_bytes() == b"kept"


@pytest.mark.parametrize("samples", [np.zeros(0), np.full(100, np.nan), np.zeros((2, 100))])
def test_unusable_sound_is_not_written(tmp_path, samples):
    with pytest.raises(AudioError) as caught:
        write_audio(tmp_path / "a.wav", Audio(samples.astype(np.float32), 24000))
    assert_sentence(str(caught.value))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    import errno
    from pathlib import Path

    def full(self, content):
        with open(self, "wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AudioError, match="No space left"):
        write_audio(tmp_path / "a.wav", Audio(tone(), 24000))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"\xff\xfb\x90\x00" * 500, b"ID3" + bytes(range(256)) * 40])
def test_decoders_write_nothing_between_our_sentences(tmp_path, capfd, content):
    """libsndfile's MP3 decoder writes about damaged files on the process's stderr, past Python."""
    (tmp_path / "a.mp3").write_bytes(content)
    with pytest.raises(AudioError) as caught:
        read_audio(tmp_path / "a.mp3")
    assert_sentence(str(caught.value))
    os.write(2, b"ours")
    assert capfd.readouterr() == ("", "ours")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes on Linux only")
def test_names_that_are_not_unicode(tmp_path):
    write_audio(tmp_path / "a.wav", Audio(tone(), 24000))
    odd = tmp_path / "caf\udce9.wav"  # as Python has a name with the byte E9
    (tmp_path / "a.wav").rename(odd)
    assert len(read_audio(odd).samples) == 12000
    with pytest.raises(AudioError, match="file name") as caught:
        write_audio(odd, Audio(tone(), 24000))
    assert str(caught.value).isprintable()


def test_an_empty_name():
    with pytest.raises(AudioError, match="name of the sound file is empty"):
        read_audio("")
