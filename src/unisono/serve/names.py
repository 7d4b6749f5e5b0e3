"""Which model and voice a client means: our names, and OpenAI's for those who keep their clients as they are.

A voice is looked up among the names of the voices there are, and never opened as a file: no name leads anywhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError, InputError
from unisono.files import load_voice, named_voices, ready_voices
from unisono.hub import BUILTIN
from unisono.interface import SpeechModel, Voice
from unisono.serve.problems import ApiError, as_api_error
from unisono.text import read_script

MODEL_ALIASES = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-03-20", "gpt-4o-mini-tts-2025-12-15")
VOICE_ALIASES = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "fable",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
SLOWEST = 0.25  # the lowest speed; with rates a text may be slower, but all of it no longer than a full one so slow
MOST_KEPT = 64  # voices held in memory


class Names:
    """The names that one server knows.

    Args:
        model: who speaks. folder: where it was loaded from. served: how it was asked for, None = built in.
        most_text: characters of an input. most_pause: seconds of all its pauses.
    """

    def __init__(self, model: SpeechModel, folder: Path, served: str | None, most_text: int, most_pause: float) -> None:
        self.model, self.folder, self.most_text, self.most_pause = model, folder, most_text, most_pause
        self.id = served or BUILTIN
        self._kept: dict[Path, tuple[int, Voice]] = {}
        self._lock = threading.Lock()

    @property
    def models(self) -> tuple[str, ...]:
        """All names of the served model, its own first."""
        return tuple(dict.fromkeys((self.id, self.model.name, *MODEL_ALIASES)))

    def check_model(self, name: str | None) -> None:
        """Raises ApiError 404 for a model that is not served here."""
        if name is not None and name not in self.models:
            raise ApiError(
                404,
                f"there is no model {name[:60]!r} here: use {self.id!r}, or see /v1/models",
                param="model",
                code="model_not_found",
            )

    def check_language(self, language: str | None) -> None:
        """Raises ApiError 400 for a language that the model does not speak."""
        if language is not None and language.lower().replace("_", "-").split("-")[0] != self.model.language:
            raise ApiError(
                400,
                f"this server speaks {self.model.language!r}, not {language[:20]!r}",
                param="language",
                code="invalid_value",
            )

    def check_word_times(self) -> None:
        """Raises ApiError 400 where the model knows no word times."""
        if not self.model.word_times:
            raise ApiError(400, "the model of this server knows no word times", code="unsupported")

    def check_length(self, text: str) -> None:
        """Raises ApiError 400 for a text that is too long."""
        if len(text) > self.most_text:
            raise ApiError(
                400,
                f"the input has {len(text)} characters, at most {self.most_text} are spoken at once",
                param="input",
                code="string_above_max_length",
            )

    def check_duration(self, text: str, speed: float) -> None:
        """Refuse a small text that asks for hours of sound: by its pauses, or by rates on top of a low speed.

        Raises:
            ApiError: 400, it asks for too much, or a tag cannot be read.
        """
        try:
            script = read_script(text)
        except InputError as problem:
            raise as_api_error(problem, "input") from None
        pauses = sum(pause.seconds for pause in script.pauses)
        if pauses > self.most_pause:
            raise ApiError(
                400,
                f"the pauses of the input make {pauses:g} seconds, at most {self.most_pause:g} are spoken at once",
                param="input",
                code="pauses_above_max_length",
            )
        slowed = sum((rate.end - rate.start) * (1 / rate.factor - 1) for rate in script.rates)
        if len(text) + slowed > self.most_text / SLOWEST * speed:
            raise ApiError(
                400,
                f"the input is too long for its speed and rates: at most {self.most_text} characters, "
                f"and {1 / SLOWEST:g} times as much sound, are spoken at once",
                param="input",
                code="string_above_max_length",
            )

    def aliases(self) -> Mapping[str, str]:
        """OpenAI's voices and the model's own that stand in for them, in turn; names that exist need no stand-in."""
        ready, known = self._ready(), named_voices(self.folder)
        if not ready:
            return {}
        free = [alias for alias in VOICE_ALIASES if alias not in known]
        return {alias: ready[index % len(ready)] for index, alias in enumerate(free)}

    def voice(self, name: str | None) -> Voice | None:
        """The voice of a name; None for the model's own.

        Raises:
            ApiError: 404 for an unknown name, 422 for a file that is damaged.
        """
        if name is None or name in ("", "default"):
            return None
        known = named_voices(self.folder)
        if name not in known:
            aliases = self.aliases()
            if name in VOICE_ALIASES and not aliases:  # a model without ready voices has one of its own, or none
                return None
            if name not in aliases:
                raise unknown_voice(name)
            name = aliases[name]
        return self._load(known[name])

    def listing(self) -> dict[str, Any]:
        """The answer of `GET /v1/audio/voices`."""
        own = set(ready_voices(self.folder))
        voices = []
        for name, path in named_voices(self.folder).items():
            try:
                voices.append(self.describe(self._load(path), name, "model" if name in own else "added"))
            except ApiError:  # a damaged file is no voice
                continue
        return {"object": "list", "data": voices, "voices": voices, "aliases": self.aliases()}

    def describe(self, voice: Voice, name: str, origin: str) -> dict[str, Any]:
        """What clients are told of a voice."""
        tokens = voice.tokens
        return {
            "id": name,
            "name": name,
            "object": "voice",
            "origin": origin,
            "language": voice.language,
            "seconds": round(tokens.samples / tokens.sample_rate, 2),
            "created": voice.created,
            "default": name == (self._ready() or [None])[0],
        }

    def _ready(self) -> list[str]:
        """The model's own voices, its default first."""
        names = list(ready_voices(self.folder))
        default = getattr(getattr(self.model, "card", None), "voice", "")
        return sorted(names, key=lambda name: (name != default, name))

    def _load(self, path: Path) -> Voice:
        """A voice, from memory unless its file has changed."""
        try:
            changed = path.stat().st_mtime_ns
            with self._lock:
                if path in self._kept and self._kept[path][0] == changed:
                    return self._kept[path][1]
            voice = load_voice(path)
        except (CheckpointError, OSError):
            message = f"the voice {path.stem} is damaged: add it again"
            raise ApiError(422, message, param="voice", code="bad_voice") from None
        with self._lock:
            self._kept.pop(path, None)
            self._kept[path] = changed, voice
            while len(self._kept) > MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
        return voice


def unknown_voice(name: str) -> ApiError:
    """The answer to a name that no voice has."""
    return ApiError(
        404, f"there is no voice {name[:60]!r}: see /v1/audio/voices", param="voice", code="voice_not_found"
    )
