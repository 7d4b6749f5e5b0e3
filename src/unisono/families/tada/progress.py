"""How far speaking is: an observer of the sampling loop that counts its single steps."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from unisono.families.tada.state import Stepped

Progress = Callable[[int, int], None]


class Counter:
    """Calls `progress`, if there is one, with (steps done, steps in all); `total` may grow.

    Threads call it one after the other.
    """

    def __init__(self, progress: Progress | None, total: int = 0) -> None:
        self.progress, self.done, self.total, self.lock = progress, 0, total, Lock()

    def __call__(self, record: Any) -> None:
        if self.progress is not None and isinstance(record, Stepped):
            with self.lock:
                self.done = min(self.done + 1, self.total)
                self.progress(self.done, self.total)

    def finish(self) -> None:
        """All is done, however many steps the prefill saved."""
        if self.progress is not None:
            self.progress(self.total, self.total)
