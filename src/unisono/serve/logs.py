"""The log: one JSON object a line on stderr, never with the text that was spoken unless that was asked for."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import Any

LOGGER = "unisono.serve"


class JsonLines(logging.Formatter):
    """Time, level, event and the `fields` of a record."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; of an exception only its kind, for its message may hold what was to be spoken."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False, default=str)


class ToStderr(logging.Handler):
    """Writes to what stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        print(self.format(record), file=sys.stderr, flush=True)


def log_failure(problem: BaseException) -> None:
    """Write down what is our fault: kind and places, but not its message, which may hold what was to be spoken."""
    places, trace = [], problem.__traceback__
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
        trace = trace.tb_next
    fields = {"error": type(problem).__name__, "where": places[-8:]}
    logging.getLogger(LOGGER).error("failure", extra={"fields": fields})


def set_up(log_text: bool) -> None:
    """Send our log, uvicorn's and Python's warnings to stderr as JSON lines."""
    handler = ToStderr()
    handler.setFormatter(JsonLines())
    for name in (LOGGER, "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)

    def show(message: Warning | str, category: type[Warning], *place: Any, **rest: Any) -> None:
        fields = {"kind": category.__name__} | ({"message": str(message)} if log_text else {})
        logging.getLogger(LOGGER).warning("warning", extra={"fields": fields})

    warnings.showwarning = show
