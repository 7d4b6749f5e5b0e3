"""The body of a request on its way in: counted, timed, and broken off where it is wrong."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from python_multipart.multipart import parse_options_header
from starlette.types import Message, Receive

from unisono.serve.problems import ApiError

DRAINED = 4  # times the limit that is read and thrown away, so that the refusal is heard


class Body:
    """A `receive` that counts the bytes of the body, breaks off at its limit, and waits only so long for its parts.

    Where something is wrong it raises, so that who reads a form lets go of the files it has begun. The app makes an
    answer of its own of that; `problem` is what the client shall read in its place.

    Args:
        limit: bytes. stall: seconds. kind: the content type; a form must have its end.
    """

    def __init__(self, receive: Receive, limit: int, stall: int, kind: str = "") -> None:
        self.receive, self.limit, self.stall = receive, limit, stall
        self.seen, self.whole = 0, False
        self.problem: ApiError | None = None
        self._end, self._tail = _end_of_form(kind), b"\r\n"

    async def __call__(self) -> Message:
        """The next message. Raises ApiError over the limit, when nothing comes, and at the end of half a form."""
        if self.whole:
            return await self.receive()
        try:
            async with asyncio.timeout(self.stall):
                message = await self.receive()
        except TimeoutError:
            raise self._broken(
                ApiError(400, f"the body did not go on for {self.stall} seconds", code="stalled")
            ) from None
        self.whole = not message.get("more_body")
        if message["type"] != "http.request":
            return message
        content = message.get("body", b"")
        self.seen += len(content)
        if self.seen > self.limit:
            if not self.whole:
                await self.drain()
            raise self._broken(too_large(self.limit))
        self._look_for_end(content)
        if self.whole and self._end:
            raise self._broken(ApiError(400, "the form is cut off: its last boundary is missing", code="invalid_form"))
        return message

    async def drain(self) -> None:
        """Read on for a while and throw it away: a client that is still sending does not hear an answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.stall):
                while self.seen < DRAINED * self.limit:
                    message = await self.receive()
                    self.seen += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return

    def _look_for_end(self, content: bytes) -> None:
        """Note whether the form has ended."""
        if self._end:
            seen = self._tail + content
            self._tail = seen[-len(self._end) :]
            if self._end in seen:
                self._end = b""

    def _broken(self, problem: ApiError) -> ApiError:
        self.problem = problem
        return problem


def too_large(limit: int) -> ApiError:
    """The answer to a body over its limit."""
    return ApiError(413, f"the body has more than {limit} bytes: send less at once", code="too_large")


def _end_of_form(kind: str) -> bytes:
    """What stands at the end of a form of that content type; nothing where it is none."""
    media, options = parse_options_header(kind)
    boundary = options.get(b"boundary", b"")
    return b"\r\n--" + boundary + b"--" if media == b"multipart/form-data" and boundary else b""
