"""The prompt of a Llasa model: two chat turns with a pinned date, the second one open where speech begins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from unisono.errors import CheckpointError
from unisono.families.llasa.vocabulary import SPEECH_START, TEXT_END, TEXT_START, Vocabulary

DATE = "26 Jul 2024"  # Llama 3.2's template would print today's, and prompts would change over night
REQUEST = "Convert the text to speech:"
PLACE = "unisono-puts-the-text-here"
_OPENING = re.compile(r"(?<=<)(?=\|)")


class PromptMaker:
    """Text and speech codes to prompt ids.

    Args:
        tokenizer: of transformers, with a chat template. speaker: name that a tuned model is told, "" = none.

    Raises CheckpointError when the tokenizer has no chat template that can be used.
    """

    def __init__(self, tokenizer: Any, vocabulary: Vocabulary, speaker: str = "") -> None:
        self.tokenizer, self.vocabulary = tokenizer, vocabulary
        turns = [
            {"role": "user", "content": REQUEST + TEXT_START + PLACE + TEXT_END},
            {"role": "assistant", "content": (f"Speaker {speaker} " if speaker else "") + SPEECH_START},
        ]
        try:
            rendered = tokenizer.apply_chat_template(
                turns, tokenize=False, continue_final_message=True, date_string=DATE
            )
        except Exception as problem:  # of the template's language, whose errors have no common class
            raise CheckpointError(f"the tokenizer has no chat template that can be used: {problem}") from problem
        head, found, tail = rendered.partition(PLACE)
        if not found or not tail.endswith(SPEECH_START):
            raise CheckpointError("the tokenizer's chat template does not keep what the turns say: it is none of Llama")
        self.head, self.tail = self._special(head), self._special(tail)

    def ids(self, text: str, said: str = "", codes: Sequence[int] = ()) -> list[int]:
        """The prompt of a text.

        Args:
            said: transcript of a voice, put before the text. codes: that voice's speech codes, after which the model
                goes on.
        """
        text = f"{said.strip()} {text}" if said.strip() else text
        return [*self.head, *self.text_ids(text), *self.tail, *self.vocabulary.ids(codes)]

    def text_ids(self, text: str) -> list[int]:
        """The ids of a text; marks and codes that are written in it stay text."""
        pieces = _OPENING.split(text)
        return [index for piece in pieces for index in self.tokenizer(piece, add_special_tokens=False)["input_ids"]]

    def _special(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]
