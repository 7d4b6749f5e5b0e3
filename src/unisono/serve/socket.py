"""The WebSocket: pieces of text in, frames of sound and words out, with flush and cancel.

Two tasks share a session: one reads the client's messages, the other speaks sentence by sentence. A lock keeps what
they send apart, and a generation that every cancel raises keeps old sound from being sent after it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from itertools import pairwise
from typing import Any

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from unisono.errors import InputError
from unisono.interface import Speech
from unisono.serve.answers import DECIMALS, encode, finish, tokens_of, usage, words_of
from unisono.serve.encodings import Encoder, make_encoder
from unisono.serve.engine import Cancelled
from unisono.serve.guard import key_fits
from unisono.serve.problems import ApiError, as_api_error, as_request_error
from unisono.serve.requests import SocketStart
from unisono.serve.scheduler import Handle
from unisono.serve.service import Service, service_of
from unisono.text import read_script, split_sentences

router = APIRouter()
FRAMES_PER_SECOND = 50
MOST_WAITING = 4  # times the longest input: characters that may wait to be spoken
REFUSED, BUSY, STALLED = 1008, 1013, 1001


@router.websocket("/v1/audio/speech/stream")
async def stream(socket: WebSocket) -> None:
    """See docs/serving.md for the messages."""
    await socket.accept()
    service = service_of(socket)
    try:
        await Session(socket, service).run()
        await socket.close()
    except WebSocketDisconnect:
        return
    except Exception as problem:
        if isinstance(problem, RuntimeError) and socket.client_state.name == "DISCONNECTED":
            return
        error = as_api_error(problem, "text")
        try:
            async with asyncio.timeout(service.settings.stall):
                await socket.send_json({"type": "error", **error.body})
                await socket.close(BUSY if error.status == 503 else REFUSED, error.message[:100])
        except (RuntimeError, WebSocketDisconnect, TimeoutError):  # it went away first, or does not read
            return
        if error.status == 500:
            raise


class Session:
    """One connection."""

    def __init__(self, socket: WebSocket, service: Service) -> None:
        self.socket, self.service = socket, service
        self.start = SocketStart(type="start")
        self.held = ""  # text of which no sentence is complete yet
        self.waiting: deque[str | dict[str, Any]] = deque()  # sentences, and messages that follow them
        self.more = asyncio.Event()
        self.sending = asyncio.Lock()
        self.generation = 0
        self.handle: Handle | None = None
        self.samples = self.last = self.count = 0  # sent so far; mark of the last token; number of tokens
        self.encoder: Encoder | None = None

    async def run(self) -> None:
        """Until the end is spoken. Raises what went wrong, or WebSocketDisconnect."""
        first = await self._begin()
        reader = asyncio.create_task(self._read(first))
        speaker = asyncio.create_task(self._speak())
        try:
            await asyncio.wait({reader, speaker}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()  # what went wrong in it
            await speaker
        finally:
            for task in (reader, speaker):
                task.cancel()
            await asyncio.gather(reader, speaker, return_exceptions=True)
            if self.handle is not None:
                self.handle.cancel()

    async def _begin(self) -> dict[str, Any] | None:
        """Take the first message; it is handed back unless it is a start. Raises ApiError."""
        stall = self.service.settings.stall
        try:
            async with asyncio.timeout(stall):
                message: dict[str, Any] | None = await self._receive()
        except TimeoutError:
            raise ApiError(400, f"no message came in {stall} seconds: send start first", code="stalled") from None
        if message and message.get("type") == "start":
            try:
                self.start = SocketStart.model_validate(message)
            except ValidationError as problem:
                raise as_request_error(problem) from None  # type: ignore[arg-type]
            message = None
        authorized = self.socket.scope["state"]["authorized"]
        keys = self.service.settings.api_keys
        if not authorized and not (self.start.api_key and key_fits(self.start.api_key, keys)):
            raise ApiError(401, "an API key is needed: in the header, or as api_key of start", code="invalid_api_key")
        job = self.start.job(self.service.names, "")
        name, rate = self.start.response_format or "pcm", self.service.rate
        self.encoder = make_encoder(name, rate)
        voice = job.voice.name if job.voice else None
        await self._send({"type": "ready", "sample_rate": rate, "format": name, "voice": voice})
        return message

    async def _receive(self) -> dict[str, Any]:
        """The next message. Raises ApiError for what is no JSON object."""
        received = await self.socket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1000))
        try:
            message = json.loads(received.get("text") or "")
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise ApiError(400, "a message is a JSON object with a type", code="invalid_json")
        return message

    async def _read(self, message: dict[str, Any] | None) -> None:
        """Take messages until the end is announced."""
        while True:
            message = message or await self._receive()
            kind = message.get("type")
            if kind == "text" and set(message) == {"type", "text"} and isinstance(message["text"], str):
                self._take(message["text"])
            elif kind == "flush" and len(message) == 1:
                self._flush({"type": "flushed"})
            elif kind == "cancel" and len(message) == 1:
                await self._cancel()
            elif kind == "end" and len(message) == 1:
                self._flush({"type": "done"})
                return
            else:
                raise ApiError(400, "wanted is a message of type text, flush, cancel or end", code="invalid_value")
            message = None

    def _take(self, text: str) -> None:
        """Hold text, and let go of its sentences but the last, which may go on. Raises ApiError for too much."""
        self.held += text
        waiting = sum(len(item) for item in self.waiting if isinstance(item, str))
        if waiting + len(self.held) > MOST_WAITING * self.service.settings.most_text:
            raise ApiError(429, "too much text is waiting: send it as it is spoken", code="rate_limit")
        begin, parts = 0, []
        for span, following in pairwise(split_sentences(self.held)):
            if _is_closed(part := self.held[begin : span.end]):
                parts.append(part)
                begin = following.start
        self.held = self.held[begin:]
        self._put(*parts)

    def _flush(self, then: dict[str, Any]) -> None:
        """Let go of all text, and of a message behind it."""
        text, self.held = self.held, ""
        self._put(*([text] if any(map(str.isalnum, text)) else []), then)

    def _put(self, *items: str | dict[str, Any]) -> None:
        self.waiting.extend(items)
        self.more.set()

    async def _cancel(self) -> None:
        """Drop what is not spoken yet."""
        async with self.sending:
            self.generation += 1
            self.held = ""
            self.waiting.clear()
            if self.handle is not None:
                self.handle.cancel()
            await self._put_out({"type": "cancelled"})

    async def _speak(self) -> None:
        """Speak what is waiting, until `done` is sent."""
        assert self.encoder is not None
        while True:
            while not self.waiting:
                self.more.clear()
                await self.more.wait()
            item, generation = self.waiting.popleft(), self.generation
            if isinstance(item, str):
                await self._say(item, generation)
            elif item["type"] == "done":
                if data := await finish(self.encoder):
                    await self._put_out(data)
                seconds = round(self.samples / self.service.rate, DECIMALS)
                await self._send({**item, "duration": seconds, "usage": usage(self.count)})
                return
            else:
                await self._send(item)

    async def _say(self, text: str, generation: int) -> None:
        """Speak one sentence. Raises what it is refused for."""
        self.service.names.check_length(text)
        self.handle = self.service.submit(self.start.job(self.service.names, text), self.socket)
        samples, frames = self.samples, round(self.samples / self.service.rate * FRAMES_PER_SECOND)
        try:
            async for piece in self.handle:
                async with self.sending:
                    if generation != self.generation:
                        return
                    await self._send_piece(piece, samples / self.service.rate, frames)
        except Cancelled:
            if generation == self.generation:
                raise
        finally:
            self.handle.cancel()

    async def _send_piece(self, piece: Speech, seconds: float, frames: int) -> None:
        """A frame, and the words and tokens that begin in it, counted from the start of the connection's sound."""
        assert self.encoder is not None
        self.samples += len(piece.audio)
        self.count += len(piece.tokens)
        if data := await encode(self.encoder, piece.audio):
            await self._put_out(data)
        words = [word._replace(start=word.start + seconds, end=word.end + seconds) for word in piece.words]
        if words:
            await self._put_out({"type": "words", "words": words_of(words)})
        tokens = [token._replace(position=token.position + frames) for token in piece.tokens]
        for index, token in enumerate(tokens):
            tokens[index] = token._replace(gap=token.position - self.last)
            self.last = token.position
        if tokens:
            await self._put_out({"type": "tokens", "tokens": tokens_of(tokens)})

    async def _send(self, message: dict[str, Any]) -> None:
        async with self.sending:
            await self._put_out(message)

    async def _put_out(self, message: dict[str, Any] | bytes) -> None:
        """One message on its way. Raises WebSocketDisconnect when the client does not take it."""
        try:
            async with asyncio.timeout(self.service.settings.stall):
                if isinstance(message, bytes):
                    await self.socket.send_bytes(message)
                else:
                    await self.socket.send_text(json.dumps(message, ensure_ascii=False))
        except TimeoutError:
            raise WebSocketDisconnect(STALLED) from None


def _is_closed(text: str) -> bool:
    """Whether no tag of a text waits for its end, so that it can be spoken by itself."""
    try:
        read_script(text)
    except InputError:
        return False
    return True
