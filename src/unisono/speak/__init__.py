"""What people ask for: say, align, encode, decode and voices, over any speech model."""

from unisono.files import read_voice, ready_voices
from unisono.speak.say import Spoken, align, decode, encode, say
from unisono.speak.voices import find_text, find_voice, unknown_voice

__all__ = [
    "Spoken",
    "align",
    "decode",
    "encode",
    "find_text",
    "find_voice",
    "read_voice",
    "ready_voices",
    "say",
    "unknown_voice",
]
