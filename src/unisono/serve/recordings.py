"""The routes that take recordings: alignment, and voices with the consent of whom they belong to."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, Response

from unisono.align import formats
from unisono.errors import AudioError, InputError, VoiceWarning
from unisono.files.store import (
    check_new_voice,
    check_voice_name,
    ready_voices,
    remove_voice,
    store_voice,
    stored_voices,
)
from unisono.interface import Audio, Speech, SpeechModel, Voice
from unisono.serve.answers import result_of, unless_gone
from unisono.serve.engine import Call
from unisono.serve.names import unknown_voice
from unisono.serve.problems import ApiError
from unisono.serve.requests import WordsFormat
from unisono.serve.service import Service, service_of
from unisono.serve.uploads import TooLong, decode_upload

router = APIRouter(prefix="/v1/audio", tags=["recordings"])
LEAST_CONSENT = 10  # characters
WRITERS = {
    "json": (formats.to_json, "application/json"),
    "srt": (formats.to_srt, "application/x-subrip; charset=utf-8"),
    "vtt": (formats.to_vtt, "text/vtt; charset=utf-8"),
    "textgrid": (formats.to_textgrid, "text/plain; charset=utf-8"),
    "csv": (formats.to_csv, "text/csv; charset=utf-8"),
}


@router.post("/align", response_class=Response)
async def align(
    request: Request,
    file: Annotated[UploadFile, File()],
    text: Annotated[str, Form(min_length=1)],
    response_format: Annotated[WordsFormat, Form()] = "json",
) -> Response:
    """When each word of a recording is spoken."""
    service = service_of(request)
    service.names.check_length(text)
    service.names.check_word_times()
    speech: Speech = await work_on(file, request, lambda model, sound: model.align(sound, text=text))
    write, media = WRITERS[response_format]
    return Response(write(speech), 200, media_type=media)


@router.get("/voices")
async def list_voices(request: Request) -> JSONResponse:
    """The voices there are."""
    return JSONResponse(await asyncio.to_thread(service_of(request).names.listing))


@router.post("/voices")
async def add_voice(
    request: Request,
    name: Annotated[str, Form(min_length=1, max_length=200)],
    consent: Annotated[str, Form(min_length=LEAST_CONSENT, max_length=2000)],
    text: Annotated[str, Form(min_length=1)],
    sample: Annotated[UploadFile | None, File()] = None,
    audio_sample: Annotated[UploadFile | None, File()] = None,
) -> JSONResponse:
    """Add a voice from a recording; `consent` says who allowed that, and is kept in the voice's file."""
    service = service_of(request)
    names = service.names
    names.check_length(text)
    if not any(map(str.isalpha, consent)):
        raise ApiError(400, "consent: say who allowed the use of this voice", param="consent", code="invalid_value")
    if not names.model.can_clone:
        raise ApiError(400, "the model of this server cannot learn voices", code="unsupported")
    file = sample or audio_sample
    if file is None:
        raise ApiError(400, "sample: a recording is wanted", param="sample", code="missing_required_parameter")
    name = await asyncio.to_thread(_new_name, service, name)
    voice, remarks = await work_on(file, request, lambda model, sound: make_voice(model, sound, text, name, consent))
    async with service.storing:
        await asyncio.to_thread(_new_name, service, name)  # somebody may have taken it in the meantime
        await asyncio.to_thread(store_voice, voice)
    return JSONResponse({**names.describe(voice, name, "added"), "warnings": remarks})


@router.delete("/voices/{voice_id}")
async def delete_voice(voice_id: str, request: Request) -> JSONResponse:
    """Remove a voice that was added."""
    folder = service_of(request).names.folder
    if voice_id not in stored_voices():
        if voice_id in ready_voices(folder):
            raise ApiError(403, f"{voice_id} comes with the model and stays", param="voice_id", code="voice_of_model")
        raise unknown_voice(voice_id)
    await asyncio.to_thread(remove_voice, folder, voice_id)
    return JSONResponse({"id": voice_id, "object": "voice", "deleted": True})


async def work_on(file: UploadFile, request: Request, work: Callable[[SpeechModel, Audio], Any]) -> Any:
    """What the model makes of an upload, which is decoded once it has a place in the queue.

    Raises:
        Refused: the queue is full. Gone: the client went away. ApiError: as `read`. Whatever the work raises.
    """
    service = service_of(request)

    async def run() -> Any:
        async with service.recordings:
            sound = await read(file, service)
            return await result_of(place.fill(Call(lambda model: work(model, sound))))

    with service.reserve(request) as place:
        return await unless_gone(request.receive, run())


async def read(file: UploadFile, service: Service) -> Audio:
    """The sound of an upload. Raises ApiError 413 for one that is too large or long, AudioError for a useless one."""
    content = await file.read(service.settings.most_upload + 1)
    if len(content) > service.settings.most_upload:
        raise ApiError(413, f"the recording has more than {service.settings.most_upload} bytes", code="too_large")
    try:
        return await asyncio.to_thread(decode_upload, content, service.settings.most_seconds)
    except TooLong as problem:
        raise ApiError(413, str(problem), code="too_long") from None
    except AudioError as problem:
        raise ApiError(422, str(problem), code="unusable_audio") from None


def make_voice(model: SpeechModel, sound: Audio, text: str, name: str, consent: str) -> tuple[Voice, list[str]]:
    """A voice, and what makes it a poor one; in the inference thread."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VoiceWarning)
        voice = model.voice(sound, text=text)
    voice.name, voice.consent = name, f"{datetime.now(UTC).date().isoformat()} {consent}"
    return voice, [str(item.message) for item in caught if issubclass(item.category, VoiceWarning)]


def _new_name(service: Service, name: str) -> str:
    """A name that is free. Raises ApiError 400 for one that cannot be used, 409 for one that is taken."""
    try:
        name = check_voice_name(name)
    except InputError as problem:
        raise ApiError(400, str(problem), param="name", code="invalid_value") from None
    taken: dict[str, Any] = {**stored_voices(), **ready_voices(service.names.folder)}
    if name.casefold() in {other.casefold() for other in taken}:
        raise ApiError(409, f"there is a voice {name} already: choose another name", param="name", code="voice_exists")
    return check_new_voice(service.names.folder, name)
