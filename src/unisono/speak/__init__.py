"""What people ask for: say, continue, align, encode, decode and voices, over any speech model."""

from unisono.speak.continuation import continue_
from unisono.speak.say import Spoken, align, decode, encode, say
from unisono.speak.voices import find_voice, read_voice, ready_voices, unknown_voice

__all__ = [
    "Spoken",
    "align",
    "continue_",
    "decode",
    "encode",
    "find_voice",
    "read_voice",
    "ready_voices",
    "say",
    "unknown_voice",
]
