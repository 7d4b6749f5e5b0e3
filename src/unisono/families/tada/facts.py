"""What is true of TADA as published (spec/tada.md)."""

from unisono.families.facts import Facts
from unisono.families.tada.config import TadaConfig
from unisono.families.tada.speech import TadaSpeech

TOKENS_A_SECOND = 2.5  # published: 2 to 3 text tokens a second of speech

FACTS = Facts(
    model=TadaSpeech,
    unit="text token",
    rate=TOKENS_A_SECOND,
    rate_note="that of the text, 2 to 3 as published",
    books=0,
    size=0,
    width=TadaConfig().acoustic_dim,
    beside=TadaConfig().shift_acoustic,
    streaming="token by token: the first 160 ms once what follows half a second on is known",
    languages="en (1B); ar de en es fr it ja pl pt zh (3B)",
    licence="Llama 3.2 Community Licence",
    offline="the built-in voice; published weights once they are cached",
)
