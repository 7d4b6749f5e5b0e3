"""A recipe: one YAML that names the data, the tokenizer and the stages; unknown keys stop at the door."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from unisono.errors import TrainingError
from unisono.train.stages.base import STAGES, Stage, options_of


@dataclass
class Recipe:
    """What `unisono train` runs.

    Attributes:
        family: registry name. data: prepared folder, or `sources` to prepare first (folders with metadata.csv).
        output: folder of the run. tokenizer: folder of a tokenizer, or "builtin", or "characters".
        seed, device, threads, autocast: defaults of every stage. stages: in order.
    Relative paths are relative to the current folder.
    """

    data: str = ""
    sources: list[str] = field(default_factory=list)
    max_clips: int = 0
    holdout: float = 0.05
    output: str = "runs/unnamed"
    family: str = "tada"
    tokenizer: str = "builtin"
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    autocast: str = "none"
    stages: list[Stage] = field(default_factory=list)


def read_recipe(path: str | Path) -> Recipe:
    """Parse and check a recipe.

    Raises:
        TrainingError: missing or unreadable file, unknown keys or stages, neither data nor sources.
    """
    path = Path(path)
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"cannot read the recipe {path}: {reason}") from error
    if not isinstance(raw, dict) or not raw.get("stages"):
        raise TrainingError(f"{path} is no recipe: expected a mapping with at least `stages`")
    stages = raw.pop("stages")
    if not isinstance(stages, list) or not all(isinstance(stage, dict) and "stage" in stage for stage in stages):
        raise TrainingError(f"{path}: `stages` has to be a list of mappings with a key `stage`")
    recipe = options_of(Recipe, raw, str(path))
    recipe.stages = [options_of(Stage, stage, f"stage {stage['stage']} of {path}") for stage in stages]
    for stage in recipe.stages:
        if stage.stage not in STAGES:
            raise TrainingError(f"{path}: unknown stage {stage.stage!r}; known are {', '.join(STAGES)}")
    if not recipe.data and not recipe.sources:
        raise TrainingError(f"{path} names no data: give `data` (a prepared folder) or `sources`")
    return recipe
