"""A published tokenizer with the Llama-3 special tokens (spec/tada.md section 3.2), read from a local folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unisono.errors import CheckpointError
from unisono.interface import Span, TokenizedText

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as FastTokenizer

# Attribute of `interface.Tokenizer` -> names it goes by, the first that exists counts.
SPECIAL_NAMES = {
    "bos_id": ("<|begin_of_text|>",),
    "eos_id": ("<|end_of_text|>",),
    # Llama 3.0 has not named the pad token yet; it is the same id.
    "pad_id": ("<|finetune_right_pad_id|>", "<|reserved_special_token_2|>"),
    "start_header_id": ("<|start_header_id|>",),
    "end_header_id": ("<|end_header_id|>",),
    "eot_id": ("<|eot_id|>",),
}
GATED = (
    "the tokenizers of Llama models are gated: accept the licence on huggingface.co and download one, "
    "or name a folder that holds a copy with --tokenizer"
)


class HubTokenizer:
    """`interface.Tokenizer` around a `tokenizers` tokenizer. Special tokens written in a text stay text.

    Args:
        inner: the tokenizer; it is set up not to recognise special tokens in texts.
        name: what messages call it.

    Raises CheckpointError when a special token is missing.
    """

    bos_id: int
    eos_id: int
    pad_id: int
    start_header_id: int
    end_header_id: int
    eot_id: int

    def __init__(self, inner: FastTokenizer, name: str = "the tokenizer"):
        inner.encode_special_tokens = True
        inner.no_padding()
        inner.no_truncation()
        self._inner = inner
        self.vocab_size: int = inner.get_vocab_size(with_added_tokens=True)
        for attribute, names in SPECIAL_NAMES.items():
            found = [index for index in map(inner.token_to_id, names) if index is not None]
            if not found:
                raise CheckpointError(f"{name} has no token {names[0]}: it is no Llama-3 tokenizer; {GATED}")
            setattr(self, attribute, found[0])

    @classmethod
    def load(cls, folder: str | Path) -> HubTokenizer:
        """Read `tokenizer.json` in `folder`. Raises CheckpointError when it is missing, damaged or of another kind."""
        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise CheckpointError(f"no tokenizer.json in {folder}; {GATED}")
        from tokenizers import Tokenizer

        try:
            inner = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"{path} is no tokenizer ({error}); {GATED}") from error
        return cls(inner, str(path))

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without special tokens."""
        return self._inner.encode(text, add_special_tokens=False).ids

    def tokenize(self, text: str) -> TokenizedText:
        """Ids, visible texts and spans; the texts joined are `text`, white space belongs to the token after it."""
        encoding = self._inner.encode(text, add_special_tokens=False)
        return TokenizedText(list(encoding.ids), *_texts_and_spans(encoding, text))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; special tokens are left out."""
        return self._inner.decode(list(ids), skip_special_tokens=True)

    def role_ids(self, role: str) -> list[int]:
        """The ids of a role word between the header tokens."""
        return self.encode(role)


def _texts_and_spans(encoding: Encoding, text: str) -> tuple[list[str], list[Span]]:
    """Tokens that are bytes of one character share its span; the first of them shows it."""
    texts: list[str] = []
    spans: list[Span] = []
    done = 0
    for start, end in encoding.offsets:
        if text[done:start].isspace():
            start = done
        spans.append(Span(start, end))
        texts.append(text[max(start, done) : end])
        done = max(done, end)
    return texts, spans
