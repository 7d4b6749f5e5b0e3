"""Measuring: what listeners understand, distances to recordings, speed, failures; `evaluate` writes a report."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unisono.audio.speaker import similarity, voice_print
    from unisono.evaluate.evaluation import evaluate
    from unisono.evaluate.hearing import Ear, clean
    from unisono.evaluate.sound import compare, profile

_origins = {
    "evaluate": "unisono.evaluate.evaluation",
    "Ear": "unisono.evaluate.hearing",
    "clean": "unisono.evaluate.hearing",
    "compare": "unisono.evaluate.sound",
    "profile": "unisono.evaluate.sound",
    "similarity": "unisono.audio.speaker",
    "voice_print": "unisono.audio.speaker",
}

__all__ = ["Ear", "clean", "compare", "evaluate", "profile", "similarity", "voice_print"]


def __getattr__(name: str) -> Any:
    """Import a name at its first use: measuring needs packages that speaking does not."""
    if name in _origins:
        return getattr(import_module(_origins[name]), name)
    raise AttributeError(f"module 'unisono.evaluate' has no attribute {name!r}")
