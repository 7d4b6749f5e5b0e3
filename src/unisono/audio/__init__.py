"""Audio in: read, write, resample, log-mel."""

from unisono.audio.files import check_audio, encode, read_audio, suffixes, write_audio
from unisono.audio.resample import resample, resample_sinc
from unisono.audio.writer import SoundWriter

__all__ = ["SoundWriter", "check_audio", "encode", "read_audio", "resample", "resample_sinc", "suffixes", "write_audio"]
