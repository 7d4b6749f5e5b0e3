"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, and which status is whose."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from unisono.errors import AlignmentError, AudioError, CheckpointError, GenerationError, InputError
from unisono.serve.engine import Cancelled
from unisono.serve.scheduler import Refused

RETRY = {"Retry-After": "2"}  # seconds
GONE = 499  # a client that went away; for our own counts, nobody gets to see it


class ApiError(Exception):
    """An answer that is no success. `message` is one sentence; `param` the field that it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.headers = status, message, param, code, headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """What the client reads."""
        kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}.get(
            self.status, "server_error" if self.status >= 500 else "invalid_request_error"
        )
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.body, self.status, self.headers)


def as_api_error(problem: Exception, param: str | None = None) -> ApiError:
    """The answer to any exception; of one that is no error of a user nothing is shown."""
    if isinstance(problem, ApiError):
        return problem
    if isinstance(problem, Refused):
        return _refused(problem)
    if isinstance(problem, Cancelled):
        return ApiError(503, "the server stopped before the answer was complete", code="stopping", headers=RETRY)
    if isinstance(problem, InputError):
        return ApiError(400, str(problem), param=param, code="invalid_value")
    if isinstance(problem, AlignmentError | AudioError):
        return ApiError(422, str(problem), param=param, code="unusable_audio")
    if isinstance(problem, CheckpointError):  # a voice of another model; paths of ours stay with us
        return ApiError(422, "this voice cannot be used with this model: add it again", param="voice", code="bad_voice")
    if isinstance(problem, GenerationError):
        return ApiError(500, "the speech could not be generated: try another seed", code="generation_failed")
    return ApiError(500, "something went wrong in the server; its log has more under the request's id", code="internal")


def as_request_error(problem: RequestValidationError) -> ApiError:
    """The first thing that is wrong with a body, as a sentence."""
    first = problem.errors()[0]
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path")]
    param = ".".join(place) or None
    if first["type"] == "json_invalid":
        return ApiError(400, "the body is no valid JSON", code="invalid_json")
    if first["type"] == "extra_forbidden":
        return ApiError(
            400, f"there is no field {place[-1][:40]!r}: see /openapi.json", param=param, code="unknown_field"
        )
    code = {"string_too_long": "string_above_max_length", "missing": "missing_required_parameter"}.get(first["type"])
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    message = f"{param}: {reason}" if param else f"the body cannot be used: {reason}"
    return ApiError(400, message, param=param, code=code or "invalid_value")


def as_http_error(problem: HTTPException) -> ApiError:
    """What the framework refuses: unknown paths, wrong methods, bodies it cannot read."""
    sentences = {404: "there is nothing at this path", 405: "this path does not know that method"}
    message = sentences.get(problem.status_code, "the body cannot be read")
    code = {404: "not_found", 405: "method_not_allowed"}.get(problem.status_code, "invalid_body")
    return ApiError(problem.status_code, message, code=code, headers=dict(problem.headers or {}))


def _refused(problem: Refused) -> ApiError:
    """A queue that takes no more."""
    if problem.kind == "client":
        return ApiError(429, "too many of your requests are waiting: retry later", code="rate_limit", headers=RETRY)
    if problem.kind == "full":
        return ApiError(503, "the server is busy: retry later", code="queue_full", headers=RETRY)
    return ApiError(503, "the server is stopping: retry elsewhere", code="stopping", headers=RETRY)
