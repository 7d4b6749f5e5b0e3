"""What clients may send as JSON. Unknown fields are refused; a field that is null counts as absent."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from unisono.serve.engine import Job
from unisono.serve.names import SLOWEST, Names

ResponseFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
WordsFormat = Literal["json", "srt", "vtt", "textgrid", "csv"]
MOST_STEPS = 100  # solver steps that a client may ask for; the library takes more
MOST_TEXT = 4096  # OpenAI's limit, and ours unless the server was told otherwise
CONTROLS = ("speed", "steps", "guidance", "temperature")  # fields that go to the model under the same name
MOST_ITEMS = 32


class Strict(BaseModel):
    """No unknown fields, no texts for numbers, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class VoiceId(Strict):
    """A voice as OpenAI writes custom ones."""

    id: str = Field(min_length=1, max_length=200)


class Spoken(Strict):
    """How to speak: all of a speech request but its text."""

    model: str | None = Field(None, max_length=300)
    voice: Annotated[str, Field(max_length=200)] | VoiceId | None = None
    response_format: ResponseFormat | None = None
    speed: float | None = Field(None, ge=SLOWEST, le=4)
    instructions: str | None = Field(None, max_length=4096)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    language: str | None = Field(None, max_length=35)
    steps: int | None = Field(None, ge=1, le=MOST_STEPS)
    guidance: float | None = Field(None, ge=0, le=10)
    temperature: float | None = Field(None, ge=0, le=2)

    def job(self, names: Names, text: str) -> Job:
        """What the queue takes.

        Raises:
            ApiError: no such model, voice or language, or a text that asks for too much.
        """
        names.check_model(self.model)
        names.check_language(self.language)
        names.check_length(text)
        names.check_duration(text, self.speed or 1.0)
        voice = names.voice(self.voice.id if isinstance(self.voice, VoiceId) else self.voice)
        given = {name: getattr(self, name) for name in CONTROLS}
        return Job(text, voice, self.seed or 0, {name: value for name, value in given.items() if value is not None})

    @property
    def ignored(self) -> dict[str, str]:
        """The header that names what was accepted and plays no part."""
        return {"x-unisono-ignored": "instructions"} if self.instructions else {}


class TimedRequest(Spoken):
    """Body of `/v1/audio/speech/timestamps`, and an item of a batch."""

    input: str = Field(min_length=1, max_length=1_000_000)


class SpeechRequest(TimedRequest):
    """Body of `/v1/audio/speech`."""

    stream_format: Literal["audio", "sse"] | None = None
    stream: bool | None = None


class BatchRequest(Strict):
    """Body of `/v1/audio/speech/batch`; each item is judged by itself."""

    items: list[Any] = Field(min_length=1, max_length=MOST_ITEMS)


class SocketStart(Spoken):
    """First message of a WebSocket."""

    type: Literal["start"]
    api_key: str | None = Field(None, max_length=500)
