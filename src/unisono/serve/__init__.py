"""The server: an OpenAI-compatible speech API over one speech model, a queue, and a page. Names are loaded lazily."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unisono.serve.app import create_app
    from unisono.serve.run import serve
    from unisono.serve.settings import Settings

_PLACES = {
    "Settings": "unisono.serve.settings",
    "create_app": "unisono.serve.app",
    "serve": "unisono.serve.run",
}
__all__ = ["Settings", "create_app", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
