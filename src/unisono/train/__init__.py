"""Training: raw data to shards, recipes to models."""

from unisono.train.prepare import prepare
from unisono.train.run import run

__all__ = ["prepare", "run"]
