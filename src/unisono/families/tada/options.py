"""Generation options under their published names and defaults (TADA, spec section 13.1), and ours beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from unisono.errors import InputError
from unisono.families.controls import CONTROLS, KINDS, NAMES
from unisono.lm.candidates import SCORERS
from unisono.lm.flow import FlowRecipe
from unisono.lm.sampling import TextSampling
from unisono.lm.solver import SOLVERS

NEGATIVE_SOURCES = ("negative_step_output", "prompt", "zero")


@dataclass
class InferenceOptions:
    """How speech and text are drawn.

    Attributes:
        text_do_sample, text_temperature, text_top_k, text_top_p, text_repetition_penalty: text drawn by the model
            itself (continuation); `text_do_sample=False` takes the likeliest token, `text_top_k=0` keeps all.
        acoustic_cfg_scale, duration_cfg_scale: guidance strengths, 1 = none. At acoustic 1, duration is ignored.
        cfg_schedule: "constant", "linear" or "cosine". time_schedule: "uniform", "cosine" or "logsnr".
        noise_temperature: scale of the starting noise, 0 or more.
        num_flow_matching_steps: solver steps per token, 1 or more.
        num_acoustic_candidates: vectors solved per token, of which `scorer` keeps one: "likelihood",
            "duration_median" or "spkr_verification" (with `spkr_verification_weight`, which only rescales scores).
        speed_up_factor: above 1 is faster; a second pass with divided durations. None = one pass.
        negative_condition_source: what guidance pushes away from: "negative_step_output", "prompt" or "zero".
        text_only_logit_scale: weight of logits that see text without sound, 0 = off.
        solver: key of `unisono.lm.solver.SOLVERS`; "euler" as published, the others are ours.
        duration_noise_temperature: scale of the starting noise of the duration bits, None = as `noise_temperature`;
            ours. Little noise draws the likeliest duration, which is shorter than the mean of a skewed law.
    """

    text_do_sample: bool = True
    text_temperature: float = 0.6
    text_top_k: int = 0
    text_top_p: float = 0.9
    text_repetition_penalty: float = 1.1
    acoustic_cfg_scale: float = 1.6
    duration_cfg_scale: float = 1.0
    cfg_schedule: str = "cosine"
    noise_temperature: float = 0.9
    num_flow_matching_steps: int = 20
    time_schedule: str = "logsnr"
    num_acoustic_candidates: int = 1
    scorer: str = "likelihood"
    spkr_verification_weight: float = 1.0
    speed_up_factor: float | None = None
    negative_condition_source: str = "negative_step_output"
    text_only_logit_scale: float = 0.0
    solver: str = "euler"
    duration_noise_temperature: float | None = None

    def check(self) -> None:
        """Raise InputError for the first value that cannot be used.

        Unknown schedule names are let through: the published code treats them as "uniform" and "constant".
        """
        for name, allowed in (
            ("scorer", SCORERS),
            ("negative_condition_source", NEGATIVE_SOURCES),
            ("solver", tuple(SOLVERS)),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(allowed)}")
        for name in ("num_flow_matching_steps", "num_acoustic_candidates"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("text_temperature", "text_repetition_penalty", "speed_up_factor"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}, expected a number above 0")
        for name in ("noise_temperature", "duration_noise_temperature", "text_only_logit_scale", "text_top_k"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 or more")
        for name in ("acoustic_cfg_scale", "duration_cfg_scale", "spkr_verification_weight", "text_top_p"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"{name} is {getattr(self, name)}, expected a finite number")

    def recipe(self, acoustic_dim: int) -> FlowRecipe:
        """The part that concerns the flow."""
        return FlowRecipe(
            acoustic_dim=acoustic_dim,
            steps=self.num_flow_matching_steps,
            time_schedule=self.time_schedule,
            cfg_schedule=self.cfg_schedule,
            acoustic_scale=self.acoustic_cfg_scale,
            duration_scale=self.duration_cfg_scale,
            solver=self.solver,
        )

    def sampling(self) -> TextSampling:
        """The part that concerns text."""
        return TextSampling(
            sample=self.text_do_sample,
            temperature=self.text_temperature,
            top_k=self.text_top_k,
            top_p=self.text_top_p,
            repetition_penalty=self.text_repetition_penalty,
        )

    @property
    def guided(self) -> bool:
        """Whether a negative condition is needed at all."""
        return self.acoustic_cfg_scale != 1.0

    @property
    def negative_row(self) -> bool:
        """Whether the language model runs a second row with hidden text."""
        return self.guided and self.negative_condition_source == "negative_step_output"

    @property
    def text_only_row(self) -> bool:
        """Whether the language model runs a row without sound."""
        return self.text_only_logit_scale > 0


@dataclass
class SpeakOptions(InferenceOptions):
    """The published options and ours, as `say` and `continue_` take them; made by `translated`.

    Attributes:
        speed: factor on the speaking rate, in one pass. token_seconds: longest mean of a sentence's gaps.
        speaker_threshold: least likeness to the voice, None = whatever it is. retries: takes beside the first.
        system_prompt, user_prompt: chat turns, None = the card's and none. transition_steps: None = the card's.
    """

    speed: float = 1.0
    token_seconds: float = 1.0
    speaker_threshold: float | None = None
    retries: int = 3
    system_prompt: str | None = None
    user_prompt: str | None = None
    transition_steps: int | None = None


PUBLISHED = {entry.name for entry in fields(InferenceOptions)}
FIELDS = {control.name: control.published if control.published in PUBLISHED else control.name for control in CONTROLS}
CALL_NAMES = {control.published: control.name for control in CONTROLS if control.published not in ("", *PUBLISHED)}


def translated(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options under either name as fields of `SpeakOptions`; None is as if it were not given.

    Raises:
        InputError: an unknown name, or a value out of range; for published names the range is as wide as can be
            computed.
    """
    values = {}
    for name, value in given.items():
        name = CALL_NAMES.get(name, name)
        if value is None:
            continue
        if name not in NAMES and name not in PUBLISHED:
            raise InputError(f"option {name!r} is unknown, known are {', '.join(NAMES)} and the published names")
        if name in NAMES:
            values[FIELDS[name]] = NAMES[name].check(value)
            continue
        control = next((control for control in CONTROLS if control.published == name), None)
        if not (isinstance(value, str) if control is None else control.is_kind(value)):
            raise InputError(f"{name} is {value!r}, wanted is {KINDS[control.kind if control else str]}")
        values[name] = value
    return values
