"""READ FIRST: the few records that travel between the folders, and what a speech model promises.

Axes used throughout the project: B batch, T tokens, L frames (50 a second), N samples, D vector width, H hidden width.
Positions are 1-based frames (TADA, spec section 5.2); a gap is the distance in frames to the mark before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch


class Audio(NamedTuple):
    """A mono waveform: `samples` float32 [N] in [-1, 1], `sample_rate` in Hz."""

    samples: np.ndarray
    sample_rate: int


class Word(NamedTuple):
    """One word of the source text, verbatim, with start and end in seconds."""

    text: str
    start: float
    end: float


class Token(NamedTuple):
    """One text token: vocabulary id, its text, its 1-based frame and the frames since the mark before it."""

    id: int
    text: str
    position: int
    gap: int


class Span(NamedTuple):
    """A half-open range of characters [start, end) in the source text."""

    start: int
    end: int


@dataclass
class TokenizedText:
    """What a tokenizer returns: `ids` [T], the visible text of each token, and the source span each came from."""

    ids: list[int]
    texts: list[str]
    spans: list[Span]


class Tokenizer(Protocol):
    """Text <-> ids. Special tokens are looked up by name and are never produced from text."""

    vocab_size: int
    bos_id: int
    eos_id: int
    pad_id: int
    start_header_id: int
    end_header_id: int
    eot_id: int

    def encode(self, text: str) -> list[int]: ...

    def tokenize(self, text: str) -> TokenizedText: ...

    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass
class AlignedTokens:
    """A recording as text-aligned pieces, the content of a tokens `.safetensors` file.

    Attributes:
        text_ids: int64 [T].
        vectors: float32 [T, D] for continuous families, else None.
        codes: int64 [T, Q] for discrete families, else None.
        positions: int64 [T], strictly increasing 1-based frames.
        frames: length of the recording in frames of 1/50 s.
        samples: length of the recording in samples at `sample_rate`.
        text: the source text, as the user wrote it.
        family, model: who can decode this.
        maker: which encoder and vocabulary made it (`families.makers`), "" where that is not known.
        extras: further tensors the family needs (speaker vector, ...).
    """

    text_ids: torch.Tensor
    positions: torch.Tensor
    frames: int
    samples: int
    sample_rate: int
    text: str
    family: str
    model: str
    vectors: torch.Tensor | None = None
    codes: torch.Tensor | None = None
    extras: dict[str, torch.Tensor] = field(default_factory=dict)
    maker: str = ""


@dataclass
class Speech:
    """Generated or decoded sound with its times: `audio` float32 [N], `words`, `tokens`, the source `text`.

    speaker_scores: of each sentence the likeness of its takes to the voice, where a speaker threshold was asked for;
    the best take is the one that is heard.
    """

    audio: np.ndarray
    sample_rate: int
    text: str
    words: list[Word]
    tokens: list[Token]
    speaker_scores: list[list[float]] = field(default_factory=list)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.audio) / self.sample_rate

    def save(self, path: str | Path) -> None:
        """Write the sound; the suffix picks the format. Raises AudioError for a suffix or folder of no use."""
        from unisono.audio import write_audio

        write_audio(path, Audio(self.audio, self.sample_rate))

    def save_words(self, path: str | Path) -> None:
        """Write word times; the suffix picks .json .srt .vtt .TextGrid or .csv. Raises InputError for any other."""
        from unisono.align import write_words

        write_words(path, self)

    def plot(self, path: str | Path) -> None:
        """Draw waveform, mel spectrogram, token marks and words to a picture file."""
        from unisono.plot import plot_speech

        plot_speech(self, path)


@dataclass
class Voice:
    """Everything needed to speak like a reference: its text, vectors (or codes) and positions; one file on disk.

    Attributes:
        name: shown to people. language: code such as "en". speaker: as the model was told in training, or "".
        consent: a note on who allowed the use of this voice, and for what. created: date, YYYY-MM-DD.
    """

    name: str
    tokens: AlignedTokens
    language: str = "en"
    speaker: str = ""
    consent: str = ""
    created: str = ""

    def save(self, path: str | Path) -> None:
        """Write one `.safetensors` file."""
        from unisono.hub import save_voice

        save_voice(path, self)


class SpeechModel(Protocol):
    """What every family's loaded model can do, and which of it this one can."""

    family: str
    name: str
    language: str
    sample_rate: int
    can_clone: bool
    can_stream: bool
    can_continue: bool
    word_times: bool

    def say(self, text: str | Sequence[str], *, voice: Voice | None = None, seed: int = 0, **options: Any) -> Any: ...

    def stream(self, text: str, *, voice: Voice | None = None, seed: int = 0, **options: Any) -> Iterator[Speech]: ...

    def continue_(
        self, audio: str | Path | Audio, *, text: str, tokens: int = 40, with_prompt: bool = False, **options: Any
    ) -> Speech: ...

    def voice(self, audio: str | Path | Audio, *, text: str | None = None, **options: Any) -> Voice: ...

    def align(self, audio: str | Path | Audio, *, text: str) -> Speech: ...

    def encode(self, audio: str | Path | Audio, *, text: str, **options: Any) -> AlignedTokens: ...

    def decode(self, tokens: AlignedTokens) -> Speech: ...


@dataclass(frozen=True)
class Family:
    """One published system as a record of builders; nobody subclasses it.

    Attributes:
        name: key in the registry, "tada".
        load: folder -> SpeechModel.
        parts: the modules a model folder holds, by subfolder ("" is the language model), each a checkpoint class.
        passages: the module that lays utterances out for training the language model (`Passage`, `Hiding`,
            `lay_out`, `hide_text`, `collate`).
        convert: writes a model folder in the published layout or in ours; None where there is only one.
        facts: what `unisono models --table` says of it (`families.facts.Facts`).
    """

    name: str
    load: Callable[..., SpeechModel]
    parts: Mapping[str, Any]
    passages: Any = None
    convert: Callable[..., Any] | None = None
    facts: Any = None
