"""Answers that are sent while the speech is made: plain sound or events; and answers that wait for all of it.

Every one of them listens for the client at the same time: when it goes away, its row is cancelled.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unisono.interface import Speech, Token, Word
from unisono.serve.encodings import FORMATS, Encoder, encode_whole, make_encoder
from unisono.serve.guard import note
from unisono.serve.problems import as_api_error
from unisono.serve.scheduler import Handle

DECIMALS = 6
EVENTS = "text/event-stream; charset=utf-8"


class Gone(Exception):
    """The client went away, or does not read."""


class Stream(Response):
    """Speech as it is made. The status is sent with the first piece, so that whatever is refused has its own.

    Args:
        handle: whose pieces are sent. name: of the format. rate: Hz. events: server-sent events, else plain sound.
        seed: for the last event. stall: seconds that the client may take for reading a piece.
    """

    def __init__(
        self, handle: Handle, name: str, rate: int, *, events: bool, seed: int, stall: int, headers: dict[str, str]
    ) -> None:
        kind = FORMATS[name]
        super().__init__(None, 200, headers, EVENTS if events else kind.media)
        del self.headers["content-length"]
        self.headers["x-sample-rate"] = str(rate)
        self.headers["cache-control"] = "no-store"
        self.headers["x-accel-buffering"] = "no"  # proxies shall pass on what is there
        self.handle, self.rate, self.stall, self.seed = handle, rate, stall, seed
        self.encoder = make_encoder(name, rate)
        self.write = self._events if events else self._sound
        self.started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it, or stop when the client goes."""

        async def put(data: bytes, last: bool = False) -> None:
            try:
                async with asyncio.timeout(self.stall):
                    if not self.started:
                        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                        self.started = True
                    await send({"type": "http.response.body", "body": data, "more_body": not last})
            except OSError:  # of the connection, or a TimeoutError, which is one
                raise Gone from None

        try:
            await unless_gone(receive, self.write(put))
            note(scope, audio_seconds=round(self.handle.seconds, 3), first_audio=first_audio(self.handle))
        except Gone:
            note(scope, gone=True)
        except Exception as problem:
            note(scope, failed=type(problem).__name__)
            if self.started:
                raise _Cut from None  # the connection is closed, and the client sees that the sound is not whole
            await as_api_error(problem, "input").response()(scope, receive, send)
        finally:
            self.handle.cancel()

    async def _sound(self, put: Callable[..., Awaitable[None]]) -> None:
        """The bytes of a file."""
        async for piece in self.handle:
            if data := await encode(self.encoder, piece.audio):
                await put(data)
        await put(await finish(self.encoder), last=True)

    async def _events(self, put: Callable[..., Awaitable[None]]) -> None:
        """Deltas, words, tokens, and the end or an error."""
        count = 0
        try:
            async for piece in self.handle:
                count += len(piece.tokens)
                if data := await encode(self.encoder, piece.audio):
                    await put(_event("speech.audio.delta", audio=_text(data)))
                lines = [_event("speech.audio.word", **word) for word in words_of(piece.words)]
                if piece.tokens:
                    lines.append(_event("speech.audio.tokens", tokens=tokens_of(piece.tokens)))
                if lines:
                    await put(b"".join(lines))
            if data := await finish(self.encoder):
                await put(_event("speech.audio.delta", audio=_text(data)))
        except Exception as problem:
            if not self.started or isinstance(problem, Gone):
                raise
            await put(_event("speech.audio.error", **as_api_error(problem, "input").body), last=True)
            return
        seconds = round(self.handle.seconds, DECIMALS)
        more = {"duration": seconds, "sample_rate": self.rate, "seed": self.seed}
        await put(_event("speech.audio.done", usage=usage(count), **more), last=True)


class _Cut(Exception):
    """An answer that cannot be finished; the app lets it through so that the connection is closed."""


async def unless_gone(receive: Receive, work: Awaitable[Any]) -> Any:
    """The result of some work, unless the client goes away before; then the work is cancelled.

    Raises:
        Gone: the client went away. Whatever the work raises.
    """
    task, listener = asyncio.ensure_future(work), asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({task, listener}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return await task
    finally:
        for other in (task, listener):
            other.cancel()
        await asyncio.gather(task, listener, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    """Wait for the client's end of the connection to close."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def result_of(handle: Handle) -> Any:
    """What a `Call` returned. Raises what it raised."""
    try:
        return await _first(handle)
    finally:
        handle.cancel()


async def _first(pieces: AsyncIterator[Any]) -> Any:
    result = None
    async for piece in pieces:
        result = piece
    return result


async def collect(handle: Handle, text: str) -> Speech:
    """All of a speech. Raises what ended it early."""
    pieces = [piece async for piece in handle]
    return Speech(
        np.concatenate([piece.audio for piece in pieces]),
        pieces[0].sample_rate,
        text,
        [word for piece in pieces for word in piece.words],
        [token for piece in pieces for token in piece.tokens],
    )


async def timestamps(handle: Handle, text: str, name: str, seed: int) -> dict[str, Any]:
    """The answer of `/v1/audio/speech/timestamps`. Raises what ended the speech early."""
    speech = await collect(handle, text)
    sound = await asyncio.to_thread(encode_whole, name, (speech.audio, speech.sample_rate))
    return {
        "object": "speech",
        "audio": _text(sound),
        "format": name,
        "sample_rate": speech.sample_rate,
        "duration": round(speech.duration, DECIMALS),
        "text": text,
        "words": words_of(speech.words),
        "tokens": tokens_of(speech.tokens),
        "seed": seed,
        "usage": usage(len(speech.tokens)),
    }


async def encode(encoder: Encoder, samples: np.ndarray) -> bytes:
    """Encode beside the event loop, which has others to serve."""
    return await asyncio.to_thread(encoder.encode, samples)


async def finish(encoder: Encoder) -> bytes:
    """The tail, likewise."""
    return await asyncio.to_thread(encoder.finish)


def words_of(words: list[Word]) -> list[dict[str, Any]]:
    """Words as JSON has them, seconds from the start of the whole."""
    return [{"text": w.text, "start": round(w.start, DECIMALS), "end": round(w.end, DECIMALS)} for w in words]


def tokens_of(tokens: list[Token]) -> list[dict[str, Any]]:
    """Tokens as JSON has them, frames of 1/50 s from the start of the whole."""
    return [token._asdict() for token in tokens]


def usage(count: int) -> dict[str, int]:
    """Every token of text is one piece of speech, so both numbers are the same."""
    return {"input_tokens": count, "output_tokens": count, "total_tokens": 2 * count}


def first_audio(handle: Handle) -> float | None:
    """Seconds from the request to its first sound."""
    return round(handle.first - handle.submitted, 3) if handle.first else None


def _event(kind: str, **fields: Any) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps({'type': kind, **fields}, ensure_ascii=False)}\n\n".encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
