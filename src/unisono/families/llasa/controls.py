"""What a generation of Llasa can be told; defaults are the published ones."""

from __future__ import annotations

from unisono.families.controls import NAMES, Control
from unisono.families.fixed_rate.options import CACHE, NO_ACCELERATION

ACCELERATE = Control(
    "accelerate",
    "",
    str,
    NO_ACCELERATION,
    "draft codes and verify them: lookup (in what was spoken) and assistant (a small model) change nothing but the "
    "time; group keeps the drafted code of a group of alike ones, which is an approximation",
    choices=(NO_ACCELERATION, "lookup", "assistant", "group"),
)
CONTROLS = (
    NAMES["temperature"]._replace(
        published="", default=0.8, about="logits are divided by it; 0 takes the likeliest code"
    ),
    NAMES["top_k"]._replace(published="", default=50, about="codes are drawn from the k likeliest; 0 is all"),
    NAMES["top_p"]._replace(published="", default=1.0, about="... and from the likeliest that make up this much"),
    NAMES["repetition_penalty"]._replace(
        published="", default=1.0, about="above 1 makes codes that occurred less likely; published with LoRA: 1.2"
    ),
    NAMES["token_seconds"]._replace(about="a piece lasts at most this long for each token of its text"),
    ACCELERATE,
    CACHE,
)
