"""The app: its routes, what turns errors into answers, and what happens when it starts and stops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

import unisono
from unisono.errors import UnisonoError
from unisono.interface import SpeechModel
from unisono.serve import operations, recordings, socket, speech
from unisono.serve.answers import Gone
from unisono.serve.engine import Cancelled, Engine, make_engine
from unisono.serve.guard import Guard
from unisono.serve.logs import set_up
from unisono.serve.problems import GONE, ApiError, as_api_error, as_http_error, as_request_error
from unisono.serve.scheduler import Refused
from unisono.serve.service import Service
from unisono.serve.settings import Settings


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    """Every answer that is no success."""

    error: ErrorDetail


STATUSES = (400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 429, 500, 503)
ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in STATUSES}


def create_app(
    settings: Settings,
    model: tuple[SpeechModel, Path] | None = None,
    engine: Callable[[SpeechModel], Engine] = make_engine,
) -> FastAPI:
    """The app of one server process.

    Args:
        model: who speaks, and the folder it was loaded from; None = loaded when the app starts.
        engine: makes what speaks behind the queue.
    """
    service = Service(settings, model, engine)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="Unisono",
        version=unisono.__version__,
        description="Text-aligned speech over HTTP; OpenAI's /v1/audio/speech and what only aligned models give.",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        responses=ERRORS,
    )
    app.state.service = service
    for part in (speech, recordings, operations, socket):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=operations.PAGE, check_dir=False))
    _handle_errors(app)
    app.add_middleware(Guard, settings=settings, metrics=service.metrics)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["x-request-id", "x-sample-rate", "x-unisono-ignored"],
        )
    return app


def from_environment() -> FastAPI:
    """The app of a worker process, whose settings its parent left in the environment."""
    settings = Settings.from_environment()
    set_up(settings.log_text)
    return create_app(settings)


def _handle_errors(app: FastAPI) -> None:
    """Every error becomes an answer in OpenAI's shape."""

    async def api(request: Request, problem: Exception) -> Response:
        return as_api_error(problem).response()

    async def body(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, RequestValidationError)
        return as_request_error(problem).response()

    async def http(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)
        return as_http_error(problem).response()

    async def gone(request: Request, problem: Exception) -> Response:
        return Response(status_code=GONE)  # nobody is there to read it

    for kind in (ApiError, UnisonoError, Refused, Cancelled):
        app.add_exception_handler(kind, api)
    app.add_exception_handler(RequestValidationError, body)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Gone, gone)
