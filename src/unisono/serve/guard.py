"""What every request passes before the app sees it: host, origin, key and size; and its line in the log."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unisono.serve.bodies import Body, too_large
from unisono.serve.engine import Cancelled
from unisono.serve.hosts import host_fits
from unisono.serve.logs import log_failure
from unisono.serve.metrics import Metrics
from unisono.serve.problems import GONE, ApiError, as_api_error
from unisono.serve.settings import Settings

log = logging.getLogger("unisono.serve")

OPEN_PATHS = ("/", "/healthz", "/readyz", "/favicon.ico")
UPLOAD_PATHS = ("/v1/audio/voices", "/v1/audio/align")
FORM_BYTES = 65_536  # of a form beside its recording
KNOWN_PATHS = (
    *OPEN_PATHS,
    "/metrics",
    "/openapi.json",
    "/v1/models",
    "/v1/audio/voices",
    "/v1/audio/align",
    "/v1/audio/speech",
    "/v1/audio/speech/timestamps",
    "/v1/audio/speech/batch",
    "/v1/audio/speech/stream",
)
PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'"
)
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", PAGE_POLICY.encode()),
]


class Guard:
    """ASGI middleware. Of WebSockets host and origin are checked here, the key by `socket`: it may be in a message."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, count."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)
        scope["state"]["fields"] = {}
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        scope["state"]["authorized"] = has_key(headers, self.settings.api_keys)
        if scope["type"] == "websocket":
            if (refusal := self._foreign(headers)) is not None:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
                return
            await self.app(scope, receive, send)
            return
        await self._http(scope, receive, _Answer(scope, send), headers)

    async def _http(self, scope: Scope, receive: Receive, answer: _Answer, headers: dict[bytes, str]) -> None:
        """One request with its answer."""
        start = time.monotonic()
        kind = headers.get(b"content-type", "")
        body = Body(receive, self._limit(scope["path"]), self.settings.stall, kind)
        try:
            if (refusal := self._refusal(scope, headers, body.limit)) is not None:
                if refusal.status == 413:
                    await body.drain()
                await answer.refuse(refusal, receive)
            else:
                answer.body = body
                await self.app(scope, body, answer)
        except asyncio.CancelledError:  # the time of grace is over
            if not answer.started:
                await answer.refuse(as_api_error(Cancelled()), receive)
            raise
        except Exception as problem:
            log_failure(problem)
            if answer.started:
                raise
            await answer.refuse(as_api_error(problem), receive)
        finally:
            self._note(scope, answer, time.monotonic() - start)

    def _refusal(self, scope: Scope, headers: dict[bytes, str], limit: int) -> ApiError | None:
        """Why a request goes no further, or None."""
        if (foreign := self._foreign(headers)) is not None:
            return foreign
        path = scope["path"]
        open_to_all = path in OPEN_PATHS or path.startswith("/static/") or scope["method"] == "OPTIONS"
        if not open_to_all and not scope["state"]["authorized"]:
            return ApiError(
                401,
                "an API key is needed: Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > limit:
            return too_large(limit)
        return None

    def _foreign(self, headers: dict[bytes, str]) -> ApiError | None:
        """Why a request belongs to somebody else's page or server, or None."""
        host = headers.get(b"host")
        if not host_fits(host, self.settings.host, self.settings.hosts):
            return ApiError(421, f"this server is not {host[:60]!r} (--allow-host)", code="foreign_host")
        if not same_origin(headers, self.settings.cors):
            return ApiError(403, "requests from pages of other origins are not taken (--cors)", code="foreign_origin")
        return None

    def _limit(self, path: str) -> int:
        """Bytes that a body may have."""
        return self.settings.most_upload + FORM_BYTES if path in UPLOAD_PATHS else self.settings.most_body

    def _note(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        """Count, and write a line."""
        path = known_path(scope["path"])
        self.metrics.requests.labels(path, str(answer.status)).inc()
        if path in ("/healthz", "/readyz", "/metrics"):
            return
        client = scope.get("client") or ("", 0)
        fields = {
            "id": scope["state"]["request_id"],
            "method": scope["method"],
            "path": path,
            "status": answer.status,
            "complete": answer.complete,
            "seconds": round(seconds, 3),
            "client": client[0],
            **scope["state"]["fields"],
        }
        log.info("request", extra={"fields": fields})


class _Answer:
    """A `send` that adds our headers, remembers the status, and says what was wrong with a body in the app's place."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self.send = scope, send
        self.body: Body | None = None
        self.status, self.started, self.complete, self._replaced = GONE, False, False, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self.body is not None and self.body.problem is not None:
                self._replaced = True
                await self.refuse(self.body.problem, self.body)
                return
            self.status, self.started = message["status"], True
            more = [(b"x-request-id", self.scope["state"]["request_id"].encode()), *HEADERS]
            if self.scope["path"].startswith("/static/"):
                more.append((b"cache-control", b"no-cache"))  # by their ETag browsers ask whether a file is still so
            message = {**message, "headers": [*message.get("headers", []), *more]}
        elif self._replaced:
            return
        await self.send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.complete = True

    async def refuse(self, problem: ApiError, receive: Receive) -> None:
        """Send an error as the whole answer."""
        self.body = None
        replaced, self._replaced = self._replaced, False
        await problem.response()(self.scope, receive, self)
        self._replaced = replaced


def has_key(headers: dict[bytes, str], keys: Sequence[str]) -> bool:
    """Whether a request may pass: no key is asked for, or it brings one. All keys are compared, in constant time."""
    given = headers.get(b"authorization", "")
    given = given[7:].strip() if given[:7].lower() == "bearer " else ""
    return key_fits(given, keys)


def key_fits(given: str, keys: Sequence[str]) -> bool:
    """Whether a key is one of `keys`, or there are none; the time it takes tells nothing about them."""
    found = [hmac.compare_digest(given.encode("utf-8", "replace"), key.encode()) for key in keys]
    return any(found) or not keys


def same_origin(headers: dict[bytes, str], allowed: Sequence[str]) -> bool:
    """Whether a request does not come from a page of another origin than ours or those allowed."""
    origin = headers.get(b"origin")
    if origin is None or "*" in allowed or origin in allowed:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get(b"host", "").lower()
    except ValueError:
        return False


def known_path(path: str) -> str:
    """A path with names taken out, so that neither log nor metrics grow with what clients make up."""
    if path in KNOWN_PATHS:
        return path
    for prefix in ("/v1/audio/voices/", "/v1/models/", "/static/"):
        if path.startswith(prefix):
            return prefix + "{id}"
    return "other"


def note(scope: dict[str, Any], **fields: Any) -> None:
    """Add to the line that a request gets in the log."""
    scope["state"]["fields"].update(fields)
