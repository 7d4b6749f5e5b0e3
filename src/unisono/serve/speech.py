"""The routes that speak."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from unisono.errors import UnisonoError
from unisono.serve.answers import Stream, collect, first_audio, timestamps, unless_gone
from unisono.serve.encodings import FORMATS, encode_whole
from unisono.serve.engine import Cancelled
from unisono.serve.guard import note
from unisono.serve.logs import log_failure
from unisono.serve.problems import RETRY, ApiError, as_api_error, as_request_error
from unisono.serve.requests import BatchRequest, SpeechRequest, TimedRequest
from unisono.serve.scheduler import Refused
from unisono.serve.service import Service, service_of

router = APIRouter(prefix="/v1/audio/speech", tags=["speech"])
DEFAULT_FORMAT = "mp3"
BATCH_ROWS = 4  # items of one batch that are in the queue at a time, so that others get their turn
SOUND: dict[int | str, Any] = {
    200: {
        "description": "The sound, or events.",
        "content": {**{kind.media: {} for kind in FORMATS.values()}, "text/event-stream": {}},
    }
}


@router.post("", responses=SOUND, response_class=Response)
async def speak(body: SpeechRequest, request: Request) -> Response:
    """Speak a text (OpenAI's contract)."""
    service = service_of(request)
    name, seed = body.response_format or DEFAULT_FORMAT, body.seed or 0
    if body.stream is False and body.stream_format == "sse":
        raise ApiError(400, "events are a stream: leave stream away", param="stream", code="invalid_value")
    handle = service.submit(body.job(service.names, body.input), request)
    remember(request, service, body)
    if body.stream is not False:
        events = body.stream_format == "sse"
        return Stream(
            handle,
            name,
            service.rate,
            events=events,
            seed=seed,
            stall=service.settings.stall,
            headers=body.ignored,
        )
    try:
        speech = await unless_gone(request.receive, collect(handle, body.input))
        sound = await asyncio.to_thread(encode_whole, name, (speech.audio, speech.sample_rate))
    finally:
        handle.cancel()
    note(request.scope, audio_seconds=round(handle.seconds, 3), first_audio=first_audio(handle))
    return Response(sound, 200, {"x-sample-rate": str(service.rate), **body.ignored}, FORMATS[name].media)


@router.post("/timestamps")
async def speak_with_times(body: TimedRequest, request: Request) -> Response:
    """Speak a text; the answer is the sound with its words and tokens."""
    service = service_of(request)
    service.names.check_word_times()
    handle = service.submit(body.job(service.names, body.input), request)
    remember(request, service, body)
    try:
        name = body.response_format or DEFAULT_FORMAT
        content = await unless_gone(request.receive, timestamps(handle, body.input, name, body.seed or 0))
    finally:
        handle.cancel()
    note(request.scope, audio_seconds=content["duration"], first_audio=first_audio(handle))
    return JSONResponse(content, headers=body.ignored)


@router.post("/batch")
async def speak_batch(body: BatchRequest, request: Request) -> Response:
    """Speak several texts; each is judged by itself, and an error of one is no matter to the others."""
    service = service_of(request)
    service.names  # noqa: B018  (refuses while nothing is loaded)
    places = asyncio.Semaphore(BATCH_ROWS)
    work = asyncio.gather(*(_item(index, item, service, request, places) for index, item in enumerate(body.items)))
    data = await unless_gone(request.receive, work)
    codes = {item["error"]["code"] for item in data if "error" in item}
    if all("error" in item for item in data) and codes <= {"queue_full", "stopping"}:
        raise ApiError(503, "the server is busy: retry later", code="queue_full", headers=RETRY)
    return JSONResponse({"object": "list", "data": data})


async def _item(index: int, item: Any, service: Service, request: Request, places: asyncio.Semaphore) -> dict[str, Any]:
    """One item of a batch."""
    async with places:
        handle = None
        try:
            body = TimedRequest.model_validate(item)
            handle = service.submit(body.job(service.names, body.input), request)
            name = body.response_format or DEFAULT_FORMAT
            return {"index": index, **await timestamps(handle, body.input, name, body.seed or 0)}
        except ValidationError as problem:
            return {"index": index, **as_request_error(problem).body}
        except (ApiError, UnisonoError, Refused, Cancelled) as problem:
            return {"index": index, **as_api_error(problem, "input").body}
        except Exception as problem:  # of this item alone: the others go on
            log_failure(problem)
            return {"index": index, **as_api_error(problem, "input").body}
        finally:
            if handle is not None:
                handle.cancel()


def remember(request: Request, service: Service, body: TimedRequest) -> None:
    """What the log says of a request: how long its text is, and the text only where that was asked for."""
    note(request.scope, characters=len(body.input), **({"text": body.input} if service.settings.log_text else {}))
