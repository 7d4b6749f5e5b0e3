"""Golden text normalisation (spec section 3.1)."""

from __future__ import annotations

import json

from golden_harness import Golden, checker

from unisono.text import normalize


@checker("text_normalization")
def check_text_normalization(golden: Golden) -> None:
    lines = golden.path.read_text(encoding="utf-8").split("\n")
    cases = [json.loads(line) for line in lines if line]
    assert cases
    for case in cases:
        spoken = normalize(case["input"], style="tada").spoken
        assert spoken == case["output"], f"{case['input']!r} became {spoken!r}, expected {case['output']!r}"
