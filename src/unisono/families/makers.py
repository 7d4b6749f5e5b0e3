"""Who made a voice or token file, and whether another model can use it.

Vectors mean something only to models whose encoder made them, and ids only to those that share the vocabulary. Both
are recorded beside the model's name, so that a voice goes on working when its model is converted, renamed or saved in
another number format, and is refused by a later version whose encoder was trained anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from unisono.errors import CheckpointError
from unisono.files.sketch import same_weights, sketch_weights
from unisono.interface import AlignedTokens, Tokenizer

PROBES = 64  # tokens of the vocabulary that are looked at
DIGITS = 12  # of every hash


@dataclass(frozen=True)
class Maker:
    """A model as a maker of voices.

    Attributes:
        family, model: names. encoder: sketch of its weights, "" where the encoder is not at hand.
        vocabulary: hash of some of its tokens.
    """

    family: str
    model: str
    encoder: str = ""
    vocabulary: str = ""

    def mark(self) -> str:
        """What is written into files; "" without an encoder. It is sealed with the names it stands beside."""
        return ".".join((self.encoder, self.vocabulary, self._seal())) if self.encoder else ""

    def _seal(self) -> str:
        return _hash(self.family, self.model, self.encoder, self.vocabulary)

    def check(self, tokens: AlignedTokens, what: str) -> None:
        """Refuse pieces of speech that this model cannot use.

        Without a mark, on their side or ours, the name decides.

        Raises:
            CheckpointError: another family, encoder, vocabulary or name.
        """
        theirs = read_maker(tokens)
        if theirs.family != self.family:
            raise CheckpointError(self._refusal(theirs, what))
        if not theirs.encoder or not self.encoder:
            if theirs.model != self.model:
                raise CheckpointError(self._refusal(theirs, what))
            return
        if same_weights(theirs.encoder, self.encoder) and theirs.vocabulary == self.vocabulary:
            return
        if theirs.model != self.model:
            raise CheckpointError(self._refusal(theirs, what))
        part = "encoder" if theirs.vocabulary == self.vocabulary else "vocabulary"
        raise CheckpointError(
            f"{what}, made by another version of {self.model}, whose {part} was not the one it has now, cannot be "
            "used: make them again from the recording, or use the model of that time"
        )

    def _refusal(self, theirs: Maker, what: str) -> str:
        return (
            f"{what}, made by model {theirs.model} ({theirs.family}), cannot be used by {self.model} "
            f"({self.family}): make them again with it, or name the model that made them"
        )


def maker_of(family: str, model: str, encoder: Path, tokenizer: Tokenizer, passed_over: tuple[str, ...] = ()) -> Maker:
    """The maker that a loaded model is.

    Args:
        encoder: folder of its encoder, which may be absent. passed_over: names of weights that it may lack.

    Raises:
        CheckpointError: a damaged encoder.
    """
    return Maker(family, model, sketch_weights(encoder, passed_over), vocabulary_of(tokenizer))


def read_maker(tokens: AlignedTokens) -> Maker:
    """Who made these pieces; encoder and vocabulary are "" where nothing, or nothing that fits the names, is said."""
    encoder, _, rest = tokens.maker.partition(".")
    vocabulary, _, seal = rest.partition(".")
    maker = Maker(tokens.family, tokens.model, encoder, vocabulary)
    return maker if encoder and seal == maker._seal() else Maker(tokens.family, tokens.model)


def vocabulary_of(tokenizer: Tokenizer) -> str:
    """Hash of the size of a vocabulary and of `PROBES` tokens spread over it."""
    size = tokenizer.vocab_size
    probes = sorted({index * (size - 1) // (PROBES - 1) for index in range(PROBES)})
    return _hash(str(size), *(tokenizer.decode([token]) for token in probes))


def _hash(*parts: str) -> str:
    return sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
