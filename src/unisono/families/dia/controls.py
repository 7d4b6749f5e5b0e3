"""What a generation of Dia can be told; defaults are the published ones."""

from __future__ import annotations

from unisono.families.controls import NAMES
from unisono.families.fixed_rate.options import CACHE

CONTROLS = (
    NAMES["guidance"]._replace(
        published="guidance_scale",
        default=3.0,
        about="candidates are chosen by conditional + guidance · (conditional - unconditional); 1 is none",
        low=1,
    ),
    NAMES["temperature"]._replace(published="", default=1.8, about="logits are divided by it", low=1, high=5),
    NAMES["top_k"]._replace(published="", default=50, about="codes are drawn from the k likeliest; 0 is all"),
    NAMES["top_p"]._replace(published="", default=0.9, about="... and from the likeliest that make up this much"),
    NAMES["token_seconds"]._replace(default=0.3, about="a piece lasts at most this long for each byte of its text"),
    CACHE,
)
