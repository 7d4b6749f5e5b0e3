"""`unisono train`: the stages of a recipe, one after another, each resumable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from unisono.errors import TrainingError
from unisono.families import get_family
from unisono.train.corpus import Corpus
from unisono.train.loop import Settings, run_stage
from unisono.train.prepare import prepare
from unisono.train.recipe import Recipe, read_recipe
from unisono.train.stages.base import Context, Stage, options_of, stage_builder


def run(recipe: str, resume: bool = False, max_steps: int | None = None, output: str | None = None) -> Path:
    """Run a recipe.

    Args:
        recipe: path of the YAML. resume: go on where a killed run stopped; finished stages are skipped.
        max_steps: at most this many steps in every training stage. output: instead of the recipe's folder.

    Returns:
        the folder of the run.

    Raises:
        TrainingError: a recipe that cannot be run, a run folder in use, or non-finite numbers.
        DataError: data that cannot be used.
    """
    if max_steps is not None and max_steps < 1:
        raise TrainingError(f"the most steps of a stage are {max_steps}, wanted is a whole number from 1")
    plan = read_recipe(recipe)
    folder = Path(output or plan.output)
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise TrainingError(f"{folder} holds a run already; add --resume to go on with it, or choose another --output")
    with _nothing_left(folder):
        corpus = Corpus.open(_data(plan, folder))
    folder.mkdir(parents=True, exist_ok=True)
    context = _context(plan, corpus, folder)
    for stage in plan.stages:
        finished = folder / f".{stage.folder_name}.finished"
        if not finished.exists():
            run_one(context, plan, stage, resume, max_steps)
            finished.touch()
    return folder


def run_one(context: Context, plan: Recipe, stage: Stage, resume: bool, max_steps: int | None) -> None:
    """Build one stage and run it."""
    defaults = {"seed": plan.seed, "device": plan.device, "threads": plan.threads, "autocast": plan.autocast}
    torch.manual_seed(plan.seed)
    task = stage_builder(stage.stage)(context, stage)
    if task is None:
        return
    settings = options_of(Settings, defaults | {"steps": 1000} | stage.optimizer, f"optimizer of {stage.folder_name}")
    if max_steps is not None:
        settings.steps = min(settings.steps, max_steps)
    run_stage(task, settings, context.folder / stage.folder_name, resume, stage.folder_name)


@contextmanager
def _nothing_left(folder: Path) -> Iterator[None]:
    """Folders that come into being for `folder` are gone again when something fails while they are empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in new:
            with suppress(OSError):  # never made, or no longer empty
                path.rmdir()
        raise


def _data(plan: Recipe, folder: Path) -> Path:
    """The prepared folder, prepared now when the recipe gives sources."""
    if plan.data:
        return Path(plan.data)
    target = folder / "data"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        prepare(plan.sources, str(target), holdout=plan.holdout, workers=1, limit=plan.max_clips)
    return target


def _context(plan: Recipe, corpus: Corpus, folder: Path) -> Context:
    from unisono.text import load_tokenizer

    if plan.threads:
        torch.set_num_threads(plan.threads)
    name = plan.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    # Found by path, not through `builtin_folder`: the tokenizer is there before there is a model.
    tokenizer_folder = (
        Path(__file__).parents[1] / "builtin" / "tokenizer" if plan.tokenizer == "builtin" else Path(plan.tokenizer)
    )
    tokenizer = load_tokenizer(tokenizer_folder)
    return Context(corpus, tokenizer, tokenizer_folder, folder, torch.device(name), plan.seed, get_family(plan.family))
