"""Text-aligned speech language models: every text token carries exactly one piece of speech.

`load()` gives a model that speaks; `Speech`, `Voice`, `Word`, `Audio` are what goes in and comes out. Names are
imported when they are first used, so that `import unisono` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unisono.hub import load
    from unisono.interface import AlignedTokens, Audio, Speech, Token, Voice, Word

_origins = {
    "load": "unisono.hub",
    **dict.fromkeys(("AlignedTokens", "Audio", "Speech", "Token", "Voice", "Word"), "unisono.interface"),
}
_submodules = (
    "align",
    "audio",
    "bench",
    "errors",
    "evaluate",
    "families",
    "files",
    "hub",
    "interface",
    "plot",
    "speak",
    "text",
    "train",
)

__all__ = ["AlignedTokens", "Audio", "Speech", "Token", "Voice", "Word", "load"]


def __getattr__(name: str) -> Any:
    """Import a name or submodule at its first use."""
    if name in _origins:
        return getattr(import_module(_origins[name]), name)
    if name in _submodules:
        return import_module(f"unisono.{name}")
    if name == "__version__":
        return import_module("importlib.metadata").version("unisono")
    raise AttributeError(f"module 'unisono' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What can be imported from here."""
    return sorted([*__all__, *_submodules, "__version__"])
