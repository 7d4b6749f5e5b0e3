"""What people ask for: say, continue, align, encode, decode and voices, over any speech model."""

from unisono.speak.continuation import continue_
from unisono.speak.edit import Edits, edit, read_edits
from unisono.speak.long import HandedOn, say_to
from unisono.speak.say import Spoken, align, decode, encode, say
from unisono.speak.voices import find_voice, read_voice, ready_voices, unknown_voice

__all__ = [
    "Edits",
    "HandedOn",
    "Spoken",
    "align",
    "continue_",
    "decode",
    "edit",
    "encode",
    "find_voice",
    "read_edits",
    "read_voice",
    "ready_voices",
    "say",
    "say_to",
    "unknown_voice",
]
