"""How near few solver steps come to many: every solver and time grid at equal numbers of flow-head evaluations.

    python benchmarks/few_steps.py --model TEACHER --student FOLDER --write docs/performance.md

The model speaks some sentences with its own guidance and temperatures; at every token the flow is solved again, from
the same noise under the same conditions, by every recipe, and compared with 200 steps of Euler. `--student` adds the
head of another model with the same language model, which sees no negative condition: a distilled one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch

import unisono
from unisono.families.spelling import spell_sentences
from unisono.families.tada.card import make_options
from unisono.families.tada.published import run
from unisono.families.tada.speech import TadaSpeech
from unisono.families.tada.state import Stepped
from unisono.families.tada.voice_prompt import plan_sentence, voice_prompt
from unisono.files import replacing
from unisono.lm.draws import GeneratorDraws
from unisono.lm.flow import FlowRecipe, flow_table, solve_flow
from unisono.lm.gray import decode_gray

BEGIN, END = "<!-- few steps -->\n", "<!-- end of few steps -->"
TEXTS = (
    " The quick brown fox jumps over the lazy dog while nobody is looking.",
    " In the evening the wind rose, and the small boats hurried back to the harbour.",
    " Which of these letters did she really write, and which were written for her?",
)
EVALUATIONS = (1, 2, 4, 8, 10)
SOLVERS = {"euler": 1, "dpm": 1, "midpoint": 2, "heun": 2}  # evaluations a step
GRIDS = ("uniform", "cosine", "logsnr")
FINE = 200


class States(NamedTuple):
    """What the flow was solved from at M tokens: `condition` and `negative` [M, H], `noise` [M, X] (scaled)."""

    condition: torch.Tensor
    negative: torch.Tensor
    noise: torch.Tensor


def collect(tts: TadaSpeech) -> States:
    """Speak `TEXTS` and keep what every solve began from."""
    seen: list[Stepped] = []
    options = make_options(tts.card, {})
    prompt = voice_prompt(tts.model, tts.default_voice, tts.card.speaker_prompt)
    for seed, text in enumerate(TEXTS):
        ids = spell_sentences(
            text, tts.tokenizer, style=tts.card.style, language=tts.card.language, leading_space=True
        )[0].ids
        plan, _ = plan_sentence(
            tts.model, prompt, ids, options, transition_steps=0, show_prompt_text=tts.card.show_prompt_text
        )
        run(tts.model, plan, GeneratorDraws.seeded([seed]), lambda record: seen.append(record))
    steps = [record for record in seen if isinstance(record, Stepped) and record.solved is not None]
    return States(*(torch.cat([getattr(step, name) for step in steps]) for name in States._fields))


class Row(NamedTuple):
    """A recipe, what it asks of the head, and how far its ends are from the fine ones."""

    head: str
    solver: str
    grid: str
    evaluations: int
    error: float
    other_durations: float


@torch.inference_mode()
def compare(tts: TadaSpeech, student: TadaSpeech | None) -> Iterator[Row]:
    """A row for every recipe."""
    states, model, options = collect(tts), tts.model, make_options(tts.card, {})
    width, bits = model.config.acoustic_dim, model.config.duration_bits
    conditions = [model.condition(states.condition), model.condition(states.negative)]

    def frames(ends: torch.Tensor) -> torch.Tensor:
        return decode_gray(ends[:, width:].unflatten(-1, (2, bits)))

    def end(head: torch.nn.Module, recipe: FlowRecipe) -> torch.Tensor:
        return solve_flow(head, flow_table(head, recipe), states.noise, *conditions)

    def row(name: str, head: torch.nn.Module, recipe: FlowRecipe, evaluations: int) -> Row:
        made = end(head, recipe)
        error = (made - fine)[:, :width].square().mean().sqrt() / fine[:, :width].square().mean().sqrt()
        other = (frames(made) != frames(fine)).any(1).float().mean()
        return Row(name, recipe.solver, recipe.time_schedule, evaluations, float(error), float(other))

    guided = asdict(options.recipe(width))
    fine = end(model.prediction_head, FlowRecipe(**{**guided, "steps": FINE, "time_schedule": "uniform"}))
    for evaluations, (solver, each), grid in product(EVALUATIONS, SOLVERS.items(), GRIDS):
        if evaluations % each == 0:
            recipe = {**guided, "steps": evaluations // each, "solver": solver, "time_schedule": grid}
            yield row("as trained", model.prediction_head, FlowRecipe(**recipe), evaluations)
    for evaluations in EVALUATIONS if student is not None else ():
        recipe = FlowRecipe(width, evaluations, "uniform", acoustic_scale=1.0)
        yield row("distilled", student.model.prediction_head, recipe, evaluations)


def table(rows: list[Row]) -> Iterator[str]:
    """The best grid of every solver at each number of evaluations."""
    yield "| evaluations | head | solver | best grid | error of the vectors | other durations |"
    yield "|---|---|---|---|---|---|"
    groups: dict[tuple[int, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.evaluations, row.head, row.solver), []).append(row)
    for (evaluations, head, solver), group in sorted(groups.items()):
        best = min(group, key=lambda row: row.error)
        yield (f"| {evaluations} | {head} | {solver} | {best.grid} | {best.error:.1%} | {best.other_durations:.1%} |")


def main() -> None:
    """Parse, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the model whose walk is the measure")
    parser.add_argument("--student", help="folder of a model with a distilled head")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    given = parser.parse_args()
    student = unisono.load(given.student) if given.student else None
    lines = list(table(list(compare(unisono.load(given.model), student))))
    print("\n".join(lines))
    if given.write:
        head, rest = given.write.read_text(encoding="utf-8").split(BEGIN)
        with replacing(given.write) as partial:
            partial.write_text(head + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
