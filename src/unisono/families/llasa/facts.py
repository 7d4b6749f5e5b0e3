"""What is true of Llasa as published (spec/llasa_dia.md section 1)."""

from unisono.families.facts import Facts
from unisono.families.fixed_rate.speech import FixedRateSpeech

SAMPLE_RATE, HOP, CODES = 16000, 320, 4**8

FACTS = Facts(
    model=FixedRateSpeech,
    unit="codec frame of 20 ms",
    rate=SAMPLE_RATE / HOP,
    rate_note="",
    books=1,
    size=CODES,
    width=0,
    beside=2,  # the marks of begin and end
    streaming="windows of 2 s with 0.5 s of look-ahead, while codes are drawn",
    languages="en zh",
    licence="CC BY-NC 4.0, model and codec; built on Llama 3.2",
    offline="toys of recipes/llasa-toy.yaml; published weights once they are cached",
)
