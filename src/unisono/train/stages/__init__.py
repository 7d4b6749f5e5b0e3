"""The stages of training, by the name a recipe uses."""

from unisono.train.stages.base import STAGES, Context, Stage

__all__ = ["STAGES", "Context", "Stage"]
