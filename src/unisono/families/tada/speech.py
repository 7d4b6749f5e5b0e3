"""TADA as a speech model: say, stream, voice, align, encode, decode over its modules (`interface.SpeechModel`).

Axes: N samples, L frames of 1/50 s, T tokens, A vector width.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from unisono.align.transcribe import Recogniser
from unisono.errors import InputError
from unisono.families.arriving import ArrivingText
from unisono.families.checks import check_seed, check_sound, check_text, check_voice
from unisono.families.controls import documented
from unisono.families.joining import FRAMES_PER_SECOND, join, shift, speech_of
from unisono.families.spelling import Spelled, respelled, spell_sentences
from unisono.families.tada.aligner import Aligner
from unisono.families.tada.card import Card, make_options
from unisono.families.tada.continuing import check_count, continue_speech, speakable, with_recording
from unisono.families.tada.encoder import Encoder
from unisono.families.tada.engine import Engine, Job, finish_all, lanes
from unisono.families.tada.likeness import find_likeness
from unisono.families.tada.live import saying, streaming
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.options import InferenceOptions
from unisono.families.tada.progress import Counter, Progress
from unisono.families.tada.recordings import Recordings
from unisono.families.tada.sentence import Speaker
from unisono.families.tada.steps import SentenceSteps
from unisono.families.tada.voice_prompt import check_pieces, pieces_prompt, voice_prompt
from unisono.families.tada.windows import Grid, decode_grid, fit
from unisono.families.tada.work import heard
from unisono.files import default_voice, read_voice
from unisono.interface import AlignedTokens, Audio, Speech, Tokenizer, Voice
from unisono.lm.draws import GeneratorDraws

Replacements = Mapping[str, str] | Sequence[tuple[str, str]]


class TadaSpeech:
    """A TADA model that speaks. Made by `loading.load`; texts of any number of sentences, recordings of one passage."""

    family = "tada"
    can_clone = True
    can_stream = True
    can_continue = True
    can_edit = True
    word_times = True

    def __init__(self, model: TadaForCausalLM, card: Card, folder: Path, codec: Path) -> None:
        self.model, self.card, self.folder = model, card, folder
        self.recordings = Recordings(codec, card, model.tokenizer, str(model.device))
        self.name, self.language, self.sample_rate = card.name, card.language, card.sample_rate
        self.hop = card.sample_rate // FRAMES_PER_SECOND

    def __repr__(self) -> str:
        voice = self.card.voice or "the first one there is"
        return (
            f"<TADA model {self.name!r}: language {self.language}, {self.sample_rate} Hz, on {self.model.device}, "
            f"voice {voice}; .say(text), .stream, .voice, .align, .encode, .decode, .edit, .continue_>"
        )

    @property
    def tokenizer(self) -> Tokenizer:
        """Text <-> ids."""
        return self.model.tokenizer

    @property
    def encoder(self) -> Encoder:
        """The codec's encoder. Raises CheckpointError when it cannot be loaded."""
        return self.recordings.encoder

    @property
    def aligner(self) -> Aligner:
        """The aligner. Raises CheckpointError when it cannot be loaded."""
        return self.recordings.aligner

    @cached_property
    def default_voice(self) -> Voice | None:
        """The ready voice that the card names, else the first one. Raises CheckpointError when it is damaged."""
        return default_voice(self.folder, self.card.voice)

    # Text to speech

    @documented
    def say(
        self,
        text: str | Sequence[str] | Iterator[str],
        *,
        voice: Voice | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Speech | list[Speech]:
        """Speak.

        Args:
            text: one text, or several, each spoken as if it were alone; an iterator is one text that comes in pieces,
                see `stream`.
            voice: None = the model's own.
            seed: same seed, same bytes on a CPU.
            progress: called with (tokens done, tokens in all) while speaking.
            options: under these names or the published ones; a model's card may have other defaults.
                {controls}

        Returns:
            a Speech, or for several texts a list of them.

        Raises:
            InputError: unusable text or option. CheckpointError: a voice of another model.
            GenerationError: a value that is not finite.
        """
        if isinstance(text, Sequence) and not isinstance(text, str):
            return self._say_all(text, voice, seed, progress, options)
        said, pieces = ArrivingText(text), deque()
        speaker, sentences = self._speaker(said, voice, seed, Counter(progress), options)
        parts = list(heard(self.model, saying(speaker, sentences, pieces), pieces))
        speaker.watch.finish()
        return join(said.source, parts)

    def _say_all(
        self, texts: Sequence[str], voice: Any, seed: int, progress: Progress | None, given: dict[str, Any]
    ) -> list[Speech]:
        """Several texts, as many together as the engine has room for."""
        voices = list(voice) if isinstance(voice, Sequence) else [voice] * len(texts)
        if len(voices) != len(texts):
            raise InputError(f"got {len(voices)} voices for {len(texts)} texts: give one, or one for each text")
        watch = Counter(progress)
        asked = [
            self._speaker(ArrivingText(text), own, seed, watch, given) for text, own in zip(texts, voices, strict=True)
        ]
        jobs = [(len(text), partial(saying, *each)) for text, each in zip(texts, asked, strict=True)]
        spoken = finish_all(self.model, jobs, lanes(self.model))
        watch.finish()
        return [join(text, pieces) for text, pieces in zip(texts, spoken, strict=True)]

    def submit(
        self,
        engine: Engine,
        text: str,
        *,
        voice: Voice | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Job:
        """Add a text to those that an engine speaks: its job's `pieces` are what `stream` yields. Raises as it does."""
        said = ArrivingText(text)
        speaker, sentences = self._speaker(said, voice, seed, Counter(progress), options)
        return engine.submit(partial(streaming, speaker, sentences, said.arrives))

    def engine(self, rows: int | None = None) -> Engine:
        """What speaks many texts at once, at most `rows` together (`submit`)."""
        return Engine(self.model, rows)

    def sentences(
        self,
        text: str | Iterable[str],
        *,
        voice: Voice | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Iterator[Speech]:
        """What `say` returns, sentence by sentence; arguments, errors and times are as for `stream`.

        This takes less computing than `stream`, and longer until the first sound.
        """
        said, pieces, samples, last = ArrivingText(text), deque(), 0, 0
        speaker, sentences = self._speaker(said, voice, seed, Counter(progress), options)
        for part in heard(self.model, saying(speaker, sentences, pieces), pieces):
            moved = shift(part, samples, last)
            samples, last = samples + len(part.audio), moved.tokens[-1].position
            yield moved
        speaker.watch.finish()

    def stream(
        self,
        text: str | Iterable[str],
        *,
        voice: Voice | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Iterator[Speech]:
        """Speak in pieces, at least two, which together are what `say` returns; arguments and errors are as there.

        The first piece comes as soon as there is something to be heard, later ones are longer. Times of words and
        tokens count from the start of the whole; a word is in the piece in which it ends.

        Args:
            text: may also come in pieces, from a language model; speaking begins with its first clause and goes on
                sentence by sentence (`text.speakable_parts`). It is what `say` makes of an iterator of the pieces.
        """
        said, pieces = ArrivingText(text), deque()
        speaker, sentences = self._speaker(said, voice, seed, Counter(progress), options)
        yield from heard(self.model, streaming(speaker, sentences, said.arrives, pieces), pieces)
        speaker.watch.finish()

    def search_space(self, text: str, *, voice: Voice | None = None, seed: int = 0, **options: Any) -> SentenceSteps:
        """Sentences as the steps of a search (`speak.search`). Arguments and errors are as of `say`."""
        speaker, sentences = self._speaker(ArrivingText(text), voice, seed, Counter(None), options)
        return SentenceSteps(text, speaker, list(sentences), seed)

    def _speaker(
        self, text: ArrivingText, voice: Voice | None, seed: int, watch: Counter, given: dict[str, Any]
    ) -> tuple[Speaker, Iterator[Spelled]]:
        """Who speaks, and sentences as they come; whatever can be refused is refused before the first one."""
        options, draws = make_options(self.card, given), GeneratorDraws.seeded([check_seed(seed)])
        text.read(self._spell_sentences)
        voice = check_voice(voice) or self.default_voice
        if voice is not None:
            self.recordings.maker.check(voice.tokens, f"voice {voice.name}")
        prompt = voice_prompt(self.model, voice, self.card.speaker_prompt)
        likeness = find_likeness(self.model, prompt, options, self.sample_rate)

        def count(sentences: Sequence[Spelled]) -> None:
            watch.total += self._steps(sentences, options)

        count(text.first)
        speaker = Speaker(self.model, self.card, prompt, options, draws, likeness, watch)
        return speaker, text.sentences(count)

    def _spell_sentences(self, text: str) -> list[Spelled]:
        """The sentences of a text as this model reads them. Raises InputError for one that cannot be spoken."""
        card = self.card
        return spell_sentences(
            check_text(text), self.tokenizer, style=card.style, language=card.language, leading_space=card.leading_space
        )

    @documented
    def continue_(
        self,
        audio: str | Path | Audio,
        *,
        text: str,
        tokens: int = 40,
        with_prompt: bool = False,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Speech:
        """Speak on from a recording: text and sound are made up together, until the model ends its turn.

        Args:
            audio: file name, "-" for standard input, or samples. text: what is said in it.
            tokens: at most so many are made up, 1 to 2000; they end with a whole word where they hold one.
            with_prompt: put the recording before it; then times count from the recording's start.
            seed, progress: as in `say`.
            options: as in `say`, but transition_steps are 0 unless asked for, and speed_up_factor is what speed is.
                {controls}

        Returns:
            a Speech whose text is what was made up, after the recording's where that is put before it.

        Raises:
            AudioError, InputError: unusable sound, text or option. AlignmentError: more tokens than frames.
            GenerationError: a value that is not finite.
        """
        check_count(tokens)
        chosen, draws = make_options(self.card, options), GeneratorDraws.seeded([check_seed(seed)])
        sound = check_sound(audio)
        pieces = self.encode(sound, text=text)
        heard = self._respell(pieces)
        prompt = pieces_prompt(self.model, pieces)
        watch = Counter(progress, tokens + 1 + self.model.config.shift_acoustic)
        likeness = find_likeness(self.model, prompt, chosen, self.sample_rate)
        speaker = Speaker(self.model, self.card, prompt, chosen, draws, likeness, watch)
        speech = continue_speech(speaker, pieces, tokens, self._speakable)
        watch.finish()
        return with_recording(speech, sound, pieces, heard, self.card.word_lead) if with_prompt else speech

    @cached_property
    def _speakable(self) -> torch.Tensor:
        """Ids that may be made up: bool [vocabulary]."""
        return speakable(self.tokenizer, self.model.config.vocab_size)

    def _steps(self, spelled: Sequence[Spelled], options: InferenceOptions) -> int:
        """Single steps that the sentences will take."""
        passes = 1 if options.speed_up_factor is None else 2
        beside = self.model.config.shift_acoustic + self.card.transition_steps
        return passes * sum(len(sentence.ids) + beside for sentence in spelled)

    # Recordings

    def voice(
        self,
        audio: str | Path | Audio,
        *,
        text: str | None = None,
        asr: str | Recogniser | None = None,
        sample_latent: bool = False,
        seed: int = 0,
    ) -> Voice:
        """Everything needed to speak like a recording (9 to 15 seconds of clean, neutral speech serve best).

        The silence around it is cut. The same recording gives the same voice, unless `sample_latent` is given. A
        recording that is too short or clipped, or whose text does not fit it, gets a `VoiceWarning`.

        Args:
            audio: file name, "-" for standard input, or samples; without `text` and `asr`, the name of a voice (one
                that comes with the model, or that `unisono voice add` stored) or a voice file.
            text: what is said in it. asr: what hears that instead (`unisono.align.transcribe`): "pocketsphinx",
                a folder or hub name of a speech recogniser, or a function Audio -> str.
            sample_latent: draw the latent noise that the model was trained with, from `seed`.

        Raises:
            AudioError, InputError: unusable sound or text, or neither text nor recogniser.
            AlignmentError: more tokens than frames. CheckpointError: a recogniser or voice file that is unusable.
        """
        by_name = text is None and asr is None and isinstance(audio, str | Path)
        if by_name and (voice := read_voice(self.folder, str(audio))) is not None:
            return voice
        return self.recordings.voice(audio, text, asr, check_seed(seed) if sample_latent else None)

    def align(self, audio: str | Path | Audio, *, text: str) -> Speech:
        """Word and token times of a recording; the sound comes back at its own rate. Raises like `voice`."""
        return self.recordings.align(audio, text)

    def encode(
        self, audio: str | Path | Audio, *, text: str, sample_latent: bool = False, seed: int = 0
    ) -> AlignedTokens:
        """One vector per token of the transcript. Latent noise and errors are as in `voice`."""
        return self.recordings.encode(audio, text, check_seed(seed) if sample_latent else None)

    @torch.inference_mode()
    def decode(self, tokens: AlignedTokens) -> Speech:
        """Sound from vectors, as long as what was encoded. Raises CheckpointError for tokens that do not fit."""
        self.recordings.maker.check(tokens, "these tokens")
        check_pieces(self.model, tokens, "these tokens")
        positions = tokens.positions.tolist()
        wave = decode_grid(
            self.model.decoder, Grid(tokens.vectors.to(self.model.device), tokens.positions - 1, tokens.frames)
        )
        audio = Audio(fit(wave, tokens.samples), self.sample_rate)
        return speech_of(self._respell(tokens), positions, audio, self.card.word_lead)

    def edit(
        self,
        recording: str | Path | Audio | AlignedTokens,
        *,
        text: str = "",
        replace: Replacements = (),
        delete: Sequence[str] = (),
        insert_after: Replacements = (),
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Speech:
        """A recording with other words in it; what is not edited sounds as `decode(encode(recording))` does.

        Args:
            recording: file name, "-", samples, or what `encode` gave (then `text` is not needed).
            text: what is said in it.
            replace: {"old words": "new words"}. delete: ["words"]. insert_after: {"words": "what follows them"};
                "word#2" is the second "word" of the text.
            seed, progress, options: as for `say`.

        Raises:
            AudioError, InputError: unusable sound, text or option; words that are not there, or there more than once.
            AlignmentError: more tokens than frames. CheckpointError: tokens of another model.
            GenerationError: a value that is not finite.
        """
        words = {"replace": replace, "delete": delete, "insert_after": insert_after}
        return self.edit_tokens(recording, text=text, **words, seed=seed, progress=progress, **options)[0]

    def edit_tokens(
        self,
        recording: str | Path | Audio | AlignedTokens,
        *,
        text: str = "",
        replace: Replacements = (),
        delete: Sequence[str] = (),
        insert_after: Replacements = (),
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> tuple[Speech, AlignedTokens]:
        """As `edit`, with the tokens of the result, in which every vector that was not edited is what it was."""
        from unisono.families.tada.editing import edit_recording

        edits = (replace, delete, insert_after)
        return edit_recording(self, recording, text, edits, check_seed(seed), progress, options)

    def _respell(self, tokens: AlignedTokens) -> Spelled:
        """The text of a token file, spelled again; what its ids say where another version read the text otherwise."""
        return respelled(tokens.text, tokens.text_ids.tolist(), self.tokenizer, self.spell)

    def spell(self, text: str) -> Spelled:
        """Text as this model reads it. Raises InputError when it can read nothing of it."""
        return self.recordings.spell(text)
