"""Every control of generation: its name, default, range and meaning. The one place that says so.

The command line's flags, the keywords of `say` and `continue_`, the keys of a model card's `options`, their checks and
the table of docs/generation.md are all made from `CONTROLS`. `python -m unisono.families.controls` prints the page.
Defaults are the published ones; a model's card may set its own (`unisono.json`, "options").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from unisono.errors import InputError
from unisono.files.outputs import is_unicode

Value = int | float | str | bool
KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
MOST_PROMPT = 2000  # characters of a system or user prompt


class Control(NamedTuple):
    """One thing that can be asked of a generation.

    Attributes:
        name: ours, the same as flag, keyword and card key ("top_k" is the flag --top-k).
        published: upstream's name, accepted as well; "" = there is none.
        kind: of a value. default: None = decided elsewhere, `unset` says where.
        low, high: range, ends included; of a text its length. choices: all values, for a word.
        about: one phrase. unset: what holds when nothing is given.
    """

    name: str
    published: str
    kind: type
    default: Value | None
    about: str
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    unset: str = ""

    @property
    def range(self) -> str:
        """The values that can be used, in words."""
        if self.choices:
            return " or ".join([", ".join(self.choices[:-1]), self.choices[-1]])
        if self.kind is bool:
            return "yes or no"
        if self.kind is str:
            return f"up to {self.high:g} characters"
        return f"{self.low:g} to {self.high:g}"

    @property
    def usual(self) -> str:
        """The default in words."""
        if self.default is None:
            return self.unset
        return {True: "yes", False: "no"}[self.default] if self.kind is bool else f"{self.default}"

    def is_kind(self, value: Any) -> bool:
        """Whether a value is of this control's kind, in range or not."""
        if self.kind in (bool, str):
            return isinstance(value, self.kind)
        return isinstance(value, int if self.kind is int else (int, float)) and not isinstance(value, bool)

    def check(self, value: Any) -> Value:
        """Hand back a value that can be used. Raises InputError with the range for any other."""
        fits = self.is_kind(value)
        if self.choices:
            fits = fits and value in self.choices
        elif fits and self.kind is not bool:
            fits = self.low <= (len(value) if self.kind is str else value) <= self.high  # false for NaN too
        if fits and self.kind is str and not is_unicode(value):
            raise InputError(f"{self.name} is not valid UTF-8: save or type it as UTF-8")
        if not fits:
            wanted = f"one of {', '.join(self.choices)}" if self.choices else f"{KINDS[self.kind]}, {self.range}"
            shown = f"{value[:40]!r}" if isinstance(value, str) else f"{value!r}"
            raise InputError(f"{self.name} is {shown}, wanted is {wanted.removesuffix(', yes or no')}")
        return value


CONTROLS = (
    # sound
    Control("steps", "num_flow_matching_steps", int, 20, "solver steps a token", 1, 1000),
    Control(
        "time_grid",
        "time_schedule",
        str,
        "logsnr",
        "where between noise and sound the steps lie",
        choices=("uniform", "cosine", "logsnr"),
    ),
    Control(
        "solver",
        "solver",
        str,
        "euler",
        "how a step is taken; midpoint and heun ask the flow head twice a step",
        choices=("euler", "midpoint", "heun", "dpm"),
    ),
    Control("guidance", "acoustic_cfg_scale", float, 1.6, "strength of guidance of the sound; 1 is none", 0, 10),
    Control(
        "duration_guidance",
        "duration_cfg_scale",
        float,
        1.0,
        "strength of guidance of durations; counts where guidance is not 1",
        0,
        10,
    ),
    Control(
        "guidance_schedule",
        "cfg_schedule",
        str,
        "cosine",
        "how guidance falls from the first step to the last",
        choices=("constant", "linear", "cosine"),
    ),
    Control(
        "negative_source",
        "negative_condition_source",
        str,
        "negative_step_output",
        "what guidance pushes away from",
        choices=("negative_step_output", "prompt", "zero"),
    ),
    Control("temperature", "noise_temperature", float, 0.9, "scale of the noise that sound starts from", 0, 2),
    Control(
        "duration_temperature",
        "duration_noise_temperature",
        float,
        None,
        "scale of the noise that durations start from",
        0,
        2,
        unset="as temperature",
    ),
    Control("candidates", "num_acoustic_candidates", int, 1, "vectors solved a token, of which one is kept", 1, 100),
    Control(
        "scorer",
        "scorer",
        str,
        "likelihood",
        "which candidate is kept",
        choices=("likelihood", "duration_median", "spkr_verification"),
    ),
    Control(
        "speaker_weight",
        "spkr_verification_weight",
        float,
        1.0,
        "factor on the scores of spkr_verification; it only rescales them",
        0.001,
        1000,
    ),
    Control(
        "speaker_threshold",
        "",
        float,
        None,
        "a sentence whose speaker is less like the voice than this is spoken again",
        -1,
        1,
        unset="off",
    ),
    Control("retries", "", int, 3, "further takes of a sentence under speaker_threshold; the best is kept", 0, 50),
    # time
    Control("speed", "", float, 1.0, "speaking rate; above 1 is faster, the voice's own recording stays", 0.25, 4),
    Control(
        "speed_up_factor",
        "speed_up_factor",
        float,
        None,
        "speaking rate as published: a second pass with all durations divided, the voice's too",
        0.25,
        4,
        unset="off",
    ),
    Control(
        "token_seconds",
        "",
        float,
        1.0,
        "a sentence lasts at most this long for each of its tokens, pauses asked for aside; then a warning",
        0.02,
        10,
    ),
    Control(
        "transition_steps",
        "num_transition_steps",
        int,
        None,
        "last tokens of the voice whose sound is made anew",
        0,
        100,
        unset="the model card's, 5 as published",
    ),
    # text
    Control("system_prompt", "system_prompt", str, None, "text of the system turn", 0, MOST_PROMPT, unset="the card's"),
    Control("user_prompt", "user_turn_prompt", str, None, "text of a user turn", 0, MOST_PROMPT, unset="no such turn"),
    Control("text_sample", "text_do_sample", bool, True, "draw invented text; no takes the likeliest token"),
    Control("text_temperature", "text_temperature", float, 0.6, "below 1 keeps to likelier text", 0.01, 10),
    Control(
        "top_k", "text_top_k", int, 0, "invented text is drawn from the k likeliest tokens; 0 is all", 0, 1_000_000
    ),
    Control("top_p", "text_top_p", float, 0.9, "... and from the likeliest that make up this much", 0.01, 1),
    Control(
        "repetition_penalty",
        "text_repetition_penalty",
        float,
        1.1,
        "above 1 makes tokens that occurred less likely",
        0.1,
        10,
    ),
    Control(
        "text_guidance",
        "text_only_logit_scale",
        float,
        0.0,
        "weight of what the model would write without hearing the sound",
        0,
        100,
    ),
)
NAMES: Mapping[str, Control] = {control.name: control for control in CONTROLS}
OURS = ("duration_noise_temperature",)  # a field of `InferenceOptions` that upstream does not have
SEED_RANGE = "0 to 2^63 − 1"


@cache
def builtin_options() -> Mapping[str, Any]:
    """What the built-in model's card sets; {} where this copy has none or a damaged one, as loading it says."""
    card = Path(__file__).parents[1] / "builtin" / "unisono.json"
    try:
        return json.loads(card.read_text(encoding="utf-8")).get("options", {})
    except (OSError, ValueError):
        return {}


def sentence(control: Control) -> str:
    """Meaning, range and defaults in a line, for help texts."""
    usual = control.usual
    if (own := builtin_options().get(control.name)) is not None and own != control.default:
        usual += f"; built-in model {own}"
    about = control.about[0].upper() + control.about[1:]
    return f"{about}: {control.range} (default {usual})."


def documented(function: Any) -> Any:
    """A decorator that puts a line for each control into a docstring in place of "{controls}"."""
    lines = [f"{control.name}: {sentence(control)}" for control in CONTROLS]
    function.__doc__ = function.__doc__.replace("{controls}", ("\n" + " " * 16).join(lines))
    return function


def table() -> Iterator[str]:
    """The lines of the table in docs/generation.md."""
    own = builtin_options()
    yield "| flag | Python and card | published name | default | built-in model | range | meaning |"
    yield "|---|---|---|---|---|---|---|"
    for control in CONTROLS:
        flag = f"`--{control.name.replace('_', '-')}`"
        published = f"`{control.published}`" if control.published else "(ours)"
        published += " (ours)" if control.published in OURS else ""
        set_here = own.get(control.name, "")
        yield (
            f"| {flag} | `{control.name}` | {published} | {control.usual} | {set_here} | {control.range} "
            f"| {control.about} |"
        )
    yield f"| `--seed` | `seed` | (ours) | 0 | | {SEED_RANGE} | same seed, same bytes on a CPU |"


def page(path: Path) -> str:
    """The text of docs/generation.md with its table made anew."""
    begin, end = "<!-- controls -->\n", "<!-- end of controls -->"
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(begin)
    return head + begin + "\n".join(table()) + "\n" + end + rest.split(end)[1]


if __name__ == "__main__":
    DOCUMENT = Path(__file__).parents[3] / "docs" / "generation.md"
    DOCUMENT.write_text(page(DOCUMENT), encoding="utf-8")
