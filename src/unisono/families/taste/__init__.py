"""TASTE (MediaTek Research): the published names, imported when they are first used."""

from __future__ import annotations

from typing import Any

_PLACES = {
    "TasteConfig": "config",
    "TasteForCausalLM": "model",
    "TasteProcessor": "processor",
}

__all__ = ["TasteConfig", "TasteForCausalLM", "TasteProcessor"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
