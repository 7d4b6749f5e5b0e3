from unisono.text.normalized import *


def normalize_plain(text, language="en"):
    b = Builder(text)
    b.copy(0, len(text))
    return b.finish()
