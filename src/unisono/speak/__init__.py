"""What people ask for: say, continue, align, encode, decode and voices, over any speech model."""

from unisono.files import read_voice, ready_voices
from unisono.speak.continuation import continue_
from unisono.speak.dialogue import Turn, read_dialogue, read_dialogue_file, say_dialogue, speakers
from unisono.speak.edit import Edits, edit, read_edits
from unisono.speak.fulfil import check_words, say_request
from unisono.speak.long import HandedOn, say_to
from unisono.speak.say import Spoken, align, decode, encode, say
from unisono.speak.search import Search, search
from unisono.speak.voices import find_text, find_voice, find_voices, unknown_voice

__all__ = [
    "Edits",
    "HandedOn",
    "Search",
    "Spoken",
    "Turn",
    "align",
    "check_words",
    "continue_",
    "decode",
    "edit",
    "encode",
    "find_text",
    "find_voice",
    "find_voices",
    "read_dialogue",
    "read_dialogue_file",
    "read_edits",
    "read_voice",
    "ready_voices",
    "say",
    "say_dialogue",
    "say_request",
    "say_to",
    "search",
    "speakers",
    "unknown_voice",
]
