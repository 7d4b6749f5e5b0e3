"""On disk: outputs that are whole or absent, strict tensor files, checkpoints, voices and token files."""

from unisono.files.checkpoint import Checkpoint, load_module
from unisono.files.locate import find_folder, read_json
from unisono.files.outputs import STANDARD, all_or_none, check_folder, check_output, is_unicode, replacing
from unisono.files.store import (
    check_new_voice,
    check_voice_name,
    named_voices,
    read_voice,
    ready_voices,
    remove_voice,
    store_folder,
    store_voice,
    stored_voices,
)
from unisono.files.tensors import load_tensors, read_header, save_tensors
from unisono.files.voices import default_voice, load_tokens, load_voice, save_tokens, save_voice

__all__ = [
    "STANDARD",
    "Checkpoint",
    "all_or_none",
    "check_folder",
    "check_new_voice",
    "check_output",
    "check_voice_name",
    "default_voice",
    "find_folder",
    "is_unicode",
    "load_module",
    "load_tensors",
    "load_tokens",
    "load_voice",
    "named_voices",
    "read_header",
    "read_json",
    "read_voice",
    "ready_voices",
    "remove_voice",
    "replacing",
    "save_tensors",
    "save_tokens",
    "save_voice",
    "store_folder",
    "store_voice",
    "stored_voices",
]
