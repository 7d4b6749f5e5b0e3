"""What is true of Dia as published (spec/llasa_dia.md section 2)."""

from unisono.families.facts import Facts
from unisono.families.fixed_rate.speech import FixedRateSpeech

SAMPLE_RATE, HOP, BOOKS, CODES, LONGEST_DELAY = 44100, 512, 9, 1024, 15

FACTS = Facts(
    model=FixedRateSpeech,
    unit="codec frame of 11.6 ms, nine codes",
    rate=SAMPLE_RATE / HOP,
    rate_note="",
    books=BOOKS,
    size=CODES,
    width=0,
    beside=2 + LONGEST_DELAY,  # begin, end and delays
    streaming="piece by piece of the text, when all codes of a piece are drawn",
    languages="en",
    licence="Apache 2.0",
    offline="toys of recipes/dia-toy.yaml; published weights once they are cached",
)
