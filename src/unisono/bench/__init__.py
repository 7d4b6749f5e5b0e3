"""How fast, and against what: one command measures speed, latency and memory, and what bounds them."""

from unisono.bench.benchmark import measure
from unisono.bench.result import table
from unisono.bench.settings import AGAINST, Settings

__all__ = ["AGAINST", "Settings", "measure", "table"]
