"""The routes that operators and clients look around with: health, metrics, models, the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from unisono.serve.metrics import CONTENT_TYPE
from unisono.serve.problems import ApiError
from unisono.serve.service import service_of

router = APIRouter()
PAGE = Path(__file__).parent / "page"


@router.get("/healthz", tags=["operations"])
async def health() -> JSONResponse:
    """Whether the process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", tags=["operations"])
async def readiness(request: Request) -> JSONResponse:
    """Whether speech can be asked for."""
    ready = service_of(request).ready
    return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)


@router.get("/metrics", tags=["operations"])
async def metrics(request: Request) -> Response:
    """Counts and times in Prometheus' format."""
    return Response(service_of(request).metrics.page(), 200, {"content-type": CONTENT_TYPE})


@router.get("/v1/models", tags=["models"])
async def list_models(request: Request) -> JSONResponse:
    """The served model under each of its names."""
    names = service_of(request).names
    return JSONResponse({"object": "list", "data": [_model(name, names.id) for name in names.models]})


@router.get("/v1/models/{model_id:path}", tags=["models"])
async def show_model(model_id: str, request: Request) -> JSONResponse:
    """One of them."""
    names = service_of(request).names
    names.check_model(model_id)
    return JSONResponse(_model(model_id, names.id))


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    if not (PAGE / "index.html").exists():
        raise ApiError(404, "this copy of unisono comes without its page; the API is at /v1", code="not_found")
    return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})


def _model(name: str, served: str) -> dict[str, Any]:
    """A model as OpenAI's clients expect it; `root` says which one stands behind the name."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "unisono", "root": served}
