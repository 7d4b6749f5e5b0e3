"""A model of codes at a fixed rate as a speech model: say, stream, voice, encode, decode (`interface.SpeechModel`).

Composed of an engine, which knows the family, and a codec. Axes: N samples, T frames of the codec, Q code books.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
import torch

from unisono.align.transcribe import Recogniser, transcribe
from unisono.audio import resample
from unisono.errors import CheckpointError, GenerationError, InputError
from unisono.families.checks import check_seed, check_sound, check_text, check_voice
from unisono.families.controls import Control
from unisono.families.fixed_rate.card import Card
from unisono.families.fixed_rate.options import NO_ACCELERATION, CodeOptions, read_options
from unisono.families.fixed_rate.pieces import Piece, in_the_voice_of, keep
from unisono.families.fixed_rate.steps import PieceSteps, Steps, WindowSteps
from unisono.families.fixed_rate.windows import Window, WindowDecoder
from unisono.families.joining import soften
from unisono.families.makers import Maker
from unisono.files import load_voice, read_voice
from unisono.interface import AlignedTokens, Audio, Speech, Token, Voice
from unisono.lm.seeded import Key

Progress = Callable[[int, int], None]


class Codec(Protocol):
    """Sound <-> codes: `sample_rate` in Hz, `hop` samples of a frame, `books` code books of `size` codes."""

    sample_rate: int
    hop: int
    books: int
    size: int

    def encode(self, wave: torch.Tensor) -> torch.Tensor:
        """Codes int64 [T, Q] of a wave [N] at `sample_rate`; T · hop >= N."""

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """The wave float32 [T · hop] of codes [T, Q]."""


class Engine(Protocol):
    """What differs between families."""

    card: Card
    codec: Codec
    controls: Sequence[Control]
    device: str

    def pieces(self, text: str) -> list[str]:
        """A text as it is read, in pieces that can be generated at once. Raises InputError for what cannot be read."""

    def check(self, piece: Piece) -> None:
        """Raise InputError for a piece that has no room for speech."""

    def room(self, piece: Piece) -> int:
        """Frames that fit behind the prompt of a piece; none or less where that does not fit itself."""

    def codes(self, piece: Piece, key: Key, options: CodeOptions) -> Iterator[torch.Tensor]:
        """Codes [t, Q] of a piece as they come, drawn with the noise of `key`."""

    def batch(self, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions) -> list[torch.Tensor]:
        """Codes [T, Q] of each piece; row by row what `codes` gives."""

    def tokens(self, codes: torch.Tensor, first: int) -> list[Token]:
        """What a speech says of its codes, of which the first is frame `first` (from 0)."""

    def maker(self) -> Maker:
        """What is recorded of this model in voices and token files."""


class FixedRateSpeech:
    """A model that speaks in codes. It knows no word times, does not speak on without a text and does not edit."""

    can_clone = True
    can_stream = True
    can_continue = False
    can_edit = False
    word_times = False

    def __init__(self, engine: Engine, folder: Path) -> None:
        card = engine.card
        self.engine, self.card, self.folder = engine, card, folder
        self.family, self.name, self.language = card.family, card.name, card.language
        self.sample_rate, self.hop = engine.codec.sample_rate, engine.codec.hop
        self.window = Window(card.window, card.context, card.ahead)
        self.can_dialogue = getattr(engine, "dialogue", False)

    @cached_property
    def default_voice(self) -> Voice | None:
        """The ready voice that the card names, else none. Raises CheckpointError when it is damaged."""
        return load_voice(self.folder / "voices" / f"{self.card.voice}.safetensors") if self.card.voice else None

    def say(
        self,
        text: str | Sequence[str] | Iterator[str],
        *,
        voice: Voice | Sequence[Voice | None] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Speech | list[Speech]:
        """Speak.

        Args:
            text: one text, or several, each spoken as if it were alone, their pieces in batches; an iterator is one
                text that comes in pieces.
            voice: None = the model's own, or whatever voice comes; for several texts a list has one for each.
            seed: same seed, same bytes on a CPU. progress: called with (pieces done, pieces in all).
            options: names and ranges are those of the family's controls, see docs/families.md.

        Returns:
            a Speech without words, or for several texts a list of them.

        Raises:
            InputError: unusable text or option. CheckpointError: a voice of another model.
            GenerationError: not a single code was drawn for a piece of the text.
        """
        if isinstance(text, Sequence) and not isinstance(text, str):
            return self._say_all(list(text), voice, seed, progress, options)
        text = whole_text(text)
        parts = list(self.stream(text, voice=voice, seed=seed, progress=progress, **options))
        tokens = [token for part in parts for token in part.tokens]
        return Speech(np.concatenate([part.audio for part in parts]), self.sample_rate, text, [], tokens)

    def stream(
        self,
        text: str | Iterator[str],
        *,
        voice: Voice | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Iterator[Speech]:
        """Speak window by window, in at least two parts, which together are what `say` returns.

        A part is heard when the card's `ahead` frames behind it are drawn. Arguments and errors are as of `say`; a
        text that comes in pieces is waited for, since its pieces may change how what came before is read.
        """
        pieces, keys, chosen = self.prepare(whole_text(text), voice, seed, options)
        done, first = 0, []
        for number, (piece, key) in enumerate(zip(pieces, keys, strict=True)):
            if number:
                piece = in_the_voice_of(pieces[0], torch.cat(first), piece, self.engine)
            blocks = self.engine.codes(piece, key, chosen)
            if number == 0:
                blocks = keep(blocks, first)
            for part in self._render(piece, blocks, (number > 0, number + 1 < len(pieces)), done):
                done += len(part.audio) // self.hop
                yield part
            if progress is not None:
                progress(number + 1, len(pieces))

    def prepare(
        self, text: str, voice: Voice | None, seed: int, options: Mapping[str, Any], draw: int = 0
    ) -> tuple[list[Piece], list[Key], CodeOptions]:
        """What a text is made of, and the key of each piece's noise; whatever can be refused is refused here.

        Args:
            draw: number of the try; another one is another speech from the same seed.
        """
        chosen = read_options(self.engine.controls, self.card.options, options, self.name)
        check_seed(seed)
        voice = check_voice(voice) or self.default_voice
        said, codes = "", None
        if voice is not None:
            self.check_tokens(voice.tokens, f"voice {voice.name}")
            said, codes = voice.tokens.text, voice.tokens.codes
        pieces = [Piece(part, said, codes) for part in self.engine.pieces(check_text(text))]
        for piece in pieces:
            self.engine.check(piece)
        return pieces, [(seed, number, draw) for number in range(len(pieces))], chosen

    def search_space(self, text: str, *, voice: Voice | None = None, seed: int = 0, **options: Any) -> Steps:
        """Steps for a search: windows of codes, or pieces of the text where codes cannot be drawn window by window.

        Raises:
            InputError: as `say`, and for drafted codes, which are not drawn step by step.
        """
        pieces, keys, chosen = self.prepare(text, voice, seed, options)
        if chosen.accelerate != NO_ACCELERATION:
            raise InputError(
                f"accelerate is {chosen.accelerate!r}, but a search by beams draws codes step by step: leave one of "
                "the two away, or search with best-of"
            )
        kind = WindowSteps if hasattr(self.engine, "extend") else PieceSteps
        return kind(self, text, pieces, keys, chosen)

    def _say_all(
        self,
        texts: list[str],
        voice: Voice | Sequence[Voice | None] | None,
        seed: int,
        progress: Progress | None,
        options: dict[str, Any],
    ) -> list[Speech]:
        """Several texts, the pieces of all of them in batches."""
        voices = list(voice) if isinstance(voice, list | tuple) else [voice] * len(texts)
        if len(voices) != len(texts):
            raise InputError(f"there are {len(texts)} texts and {len(voices)} voices: give one voice, or one for each")
        prepared = [self.prepare(text, own, seed, options) for text, own in zip(texts, voices, strict=True)]
        if not prepared:
            return []
        chosen = prepared[0][2]
        firsts = self.engine.batch([row[0] for row, _, _ in prepared], [keys[0] for _, keys, _ in prepared], chosen)
        rows = [
            [row[0], *(in_the_voice_of(row[0], codes, piece, self.engine) for piece in row[1:])]
            for (row, _, _), codes in zip(prepared, firsts, strict=True)
        ]
        pieces = [piece for row in rows for piece in row[1:]]
        later = iter(self.engine.batch(pieces, [key for _, keys, _ in prepared for key in keys[1:]], chosen))
        speeches = []
        for text, row, codes in zip(texts, rows, firsts, strict=True):
            speeches.append(self.speak_codes(text, row, [codes, *(next(later) for _ in row[1:])]))
            if progress is not None:
                progress(len(speeches), len(texts))
        return speeches

    def speak_codes(self, text: str, pieces: Sequence[Piece], codes: Sequence[torch.Tensor]) -> Speech:
        """The speech of pieces whose codes [T, Q] are drawn, as `say` renders it."""
        parts: list[Speech] = []
        for number, (piece, drawn) in enumerate(zip(pieces, codes, strict=True)):
            done = sum(len(part.audio) for part in parts) // self.hop
            parts += self._render(piece, iter([drawn]), (number > 0, number + 1 < len(pieces)), done)
        tokens = [token for part in parts for token in part.tokens]
        return Speech(np.concatenate([part.audio for part in parts]), self.sample_rate, text, [], tokens)

    def _render(
        self, piece: Piece, blocks: Iterator[torch.Tensor], joined: tuple[bool, bool], done: int
    ) -> Iterator[Speech]:
        """Parts of a piece's sound; the last window is held back until it is known to be the last, and comes in two.

        Args:
            joined: whether another piece comes before and behind. done: frames of the speech before this piece.
        """
        decoder = WindowDecoder(self.engine.codec.decode, self.hop, self.window, piece.codes)
        held: torch.Tensor | None = None
        first, new = True, []
        for block in blocks:
            new.append(block)
            for wave in decoder.push(block):
                if held is not None:
                    yield self._part(piece, held, torch.cat(new), first and joined[0], False, done)
                    new, done, first = _rest(new, held, self.hop), done + len(held) // self.hop, False
                held = wave
        for wave in decoder.finish():
            if held is not None:
                yield self._part(piece, held, torch.cat(new), first and joined[0], False, done)
                new, done, first = _rest(new, held, self.hop), done + len(held) // self.hop, False
            held = wave
        if held is None:
            raise GenerationError(
                f"model {self.name} ended before it said anything of {piece.text.strip()[:30]!r}: try another seed"
            )
        part = self._part(piece, held, torch.cat(new), first and joined[0], joined[1], done)
        middle = len(held) // self.hop // 2
        yield from _halves(part, middle, self.hop) if middle else (part,)

    def _part(self, piece: Piece, wave: torch.Tensor, codes: torch.Tensor, start: bool, end: bool, done: int) -> Speech:
        """A wave and what its codes are."""
        tokens = self.engine.tokens(codes[: len(wave) // self.hop], done)
        part = Speech(wave.float().cpu().numpy(), self.sample_rate, piece.text, [], tokens)
        return soften(part, start=start, end=end)

    # Recordings

    def voice(
        self, audio: str | Path | Audio, *, text: str | None = None, asr: str | Recogniser | None = None
    ) -> Voice:
        """Everything needed to speak like a recording (5 to 10 seconds of clean speech): its codes and its words.

        Args:
            audio: file name, "-" for standard input, or samples; without `text` and `asr`, the name of a voice or a
                voice file. text: what is said in it. asr: what hears that instead (`unisono.align.transcribe`).

        Raises:
            AudioError, InputError: unusable sound or text, or neither text nor recogniser.
            CheckpointError: a recogniser or voice file that is unusable.
        """
        if text is None and asr is None:
            if isinstance(audio, str | Path) and (ready := read_voice(self.folder, str(audio))) is not None:
                return ready
            raise InputError("a voice needs the words of its recording: give its text, or a speech recogniser (asr)")
        name = Path(audio).stem if isinstance(audio, str | Path) else "voice"
        sound = check_sound(audio)
        said = text if text is not None else transcribe(sound, asr, self.language)
        tokens = self.encode(sound, text=said)
        return Voice(name, tokens, language=self.language, created=datetime.date.today().isoformat())

    @torch.inference_mode()
    def encode(self, audio: str | Path | Audio, *, text: str) -> AlignedTokens:
        """One code tuple per frame of the codec; a "token" of this family is a frame.

        Raises:
            AudioError, InputError: unusable sound or text.
        """
        text, sound = check_text(text), check_sound(audio)
        wave = resample(sound, self.sample_rate).samples
        codes = self.engine.codec.encode(torch.from_numpy(np.ascontiguousarray(wave))).cpu()
        ids = torch.tensor([token.id for token in self.engine.tokens(codes, 0)], dtype=torch.long)
        return AlignedTokens(
            text_ids=ids if len(ids) else torch.zeros(len(codes), dtype=torch.long),
            positions=torch.arange(1, len(codes) + 1),
            frames=len(codes),
            samples=len(wave),
            sample_rate=self.sample_rate,
            text=text,
            family=self.family,
            model=self.name,
            codes=codes,
            maker=self.engine.maker().mark(),
        )

    @torch.inference_mode()
    def decode(self, tokens: AlignedTokens) -> Speech:
        """Sound from codes, as long as what was encoded. Raises CheckpointError for codes of another model."""
        self.check_tokens(tokens, "these tokens")
        wave = self.engine.codec.decode(tokens.codes).float().cpu().numpy()
        audio = np.zeros(tokens.samples, np.float32)
        audio[: min(len(wave), len(audio))] = wave[: len(audio)]
        return Speech(audio, self.sample_rate, tokens.text, [], self.engine.tokens(tokens.codes, 0))

    def check_tokens(self, tokens: AlignedTokens, what: str) -> None:
        """Raise CheckpointError for codes that this model's codec cannot decode."""
        self.engine.maker().check(tokens, what)
        codec, codes = self.engine.codec, tokens.codes
        if codes is None or codes.shape[1] != codec.books:
            found = "no codes" if codes is None else f"{codes.shape[1]} code books"
            raise CheckpointError(
                f"{what} hold {found}, model {self.name} reads {codec.books}: make them again with it"
            )
        if int(codes.min()) < 0 or int(codes.max()) >= codec.size:
            raise CheckpointError(f"{what} are damaged: codes must lie from 0 to {codec.size - 1}")

    def align(self, audio: str | Path | Audio, *, text: str) -> NoReturn:
        """Refused: codes of a fixed rate do not say where words are. Raises InputError."""
        raise InputError(f"model {self.name} knows no word times: align with another one, such as the built-in model")

    def continue_(self, audio: str | Path | Audio, *, text: str, tokens: int = 40, **options: Any) -> NoReturn:
        """Refused: these models speak texts and invent none. Raises InputError."""
        raise InputError(
            f"model {self.name} cannot make up what comes next: give the text to say, and the recording as its voice"
        )


def whole_text(text: Any) -> Any:
    """A text that came in pieces as one. Raises InputError for pieces that are no texts."""
    if not isinstance(text, Iterator):
        return text
    pieces = list(text)
    if strange := [piece for piece in pieces if not isinstance(piece, str)]:
        raise InputError(f"a piece of the text is a {type(strange[0]).__name__}, wanted is a string")
    return "".join(pieces)


def _rest(blocks: list[torch.Tensor], wave: torch.Tensor, hop: int) -> list[torch.Tensor]:
    """The codes behind those whose wave is out."""
    return [torch.cat(blocks)[len(wave) // hop :]]


def _halves(part: Speech, middle: int, hop: int) -> Iterator[Speech]:
    """A part as two; `middle` frames are in the first."""
    first, second = part.audio[: middle * hop], part.audio[middle * hop :]
    yield Speech(first, part.sample_rate, part.text, [], part.tokens[:middle])
    yield Speech(second, part.sample_rate, part.text, [], part.tokens[middle:])
