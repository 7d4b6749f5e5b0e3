"""TADA (Hume AI): the published names, imported when they are first used."""

from __future__ import annotations

from typing import Any

_PLACES = {
    "AcousticSpkrVerf": "speaker",
    "Aligner": "aligner",
    "Decoder": "decoder",
    "Encoder": "encoder",
    "EncoderOutput": "encoder",
    "InferenceOptions": "options",
    "TadaConfig": "config",
    "TadaForCausalLM": "model",
}

__all__ = [
    "AcousticSpkrVerf",
    "Aligner",
    "Decoder",
    "Encoder",
    "EncoderOutput",
    "InferenceOptions",
    "TadaConfig",
    "TadaForCausalLM",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
