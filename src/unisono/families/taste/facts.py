"""What is true of TASTE as published (spec/taste.md)."""

from unisono.families.facts import Facts
from unisono.families.taste.speech import TasteSpeech

WORDS_A_SECOND = 2.5  # of English speech; the sub-words of a word share its codes

FACTS = Facts(
    model=TasteSpeech,
    unit="word, four codes",
    rate=WORDS_A_SECOND,
    rate_note="that of the text; a word of several sub-words takes a position for each",
    books=4,
    size=512,
    width=0,
    beside=1,
    streaming="sentence by sentence",
    languages="en",
    licence="Llama 3.2 Community Licence for the language model",
    offline="taste-small, which comes with the package; toys of recipes/taste-smoke.yaml; "
    "published weights in Python alone",
)
