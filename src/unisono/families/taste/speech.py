"""TASTE as a speech model: say, stream, continue, voice, align, encode, decode (`interface.SpeechModel`).

Axes: N samples, A tokens, S units of 1/50 s, Q codes, E width of a speaker vector.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unisono.align.reference import trim_silence
from unisono.align.transcribe import Recogniser, transcribe
from unisono.audio import resample
from unisono.errors import CheckpointError, InputError
from unisono.families.checks import check_seed, check_sound, check_text, check_voice
from unisono.families.joining import FRAMES_PER_SECOND, cut, join, shift, soften, speech_of
from unisono.families.languages import check_language
from unisono.families.spelling import Spelled, spell_sentences
from unisono.families.taste.card import SpeakOptions, TasteCard, make_options
from unisono.families.taste.choosing import GeneratorDraws
from unisono.families.taste.completion import write
from unisono.families.taste.editing import swap_words
from unisono.families.taste.generate import Prompt, Written
from unisono.families.taste.hearing import Hearing, Text
from unisono.families.taste.model import TasteForCausalLM
from unisono.families.taste.sequence import NOTHING, codes_at_tokens, first_of_words
from unisono.families.taste.slots import Sound
from unisono.files import default_voice, read_voice
from unisono.interface import AlignedTokens, Audio, Span, Speech, Tokenizer, Voice

Progress = Callable[[int, int], None]
MOST_TOKENS = 2000
WORDS_BEFORE_STOP = 4  # a full stop ends a continuation once one word for so many tokens was made up


class TasteSpeech:
    """A TASTE model that speaks. Made by `loading.load`."""

    family = "taste"
    can_clone = True
    can_stream = True
    can_continue = True
    can_edit = False
    word_times = True

    def __init__(
        self, model: TasteForCausalLM, card: TasteCard, folder: Path, tokenizer: Tokenizer, sound: Sound
    ) -> None:
        self.model, self.card, self.folder, self.tokenizer, self.sound = model, card, folder, tokenizer, sound
        self.hearing = Hearing(model, card, folder, tokenizer, sound)
        self.name, self.language, self.sample_rate = card.name, card.language, card.sample_rate

    @cached_property
    def default_voice(self) -> Voice | None:
        """The ready voice that the card names, else the first one. Raises CheckpointError when it is damaged."""
        return default_voice(self.folder, self.card.voice)

    # Text to speech

    def say(
        self,
        text: str | Sequence[str],
        *,
        voice: Voice | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Speech | list[Speech]:
        """Speak: the language model is told the text and makes up its codes, behind the voice's own reading.

        Args:
            text: one text, or several, each spoken as if it were alone.
            voice: None = the model's own. seed: same seed, same bytes on a CPU.
            progress: called with (sentences done, sentences in all). options: see `card.SpeakOptions`.

        Raises:
            InputError: unusable text or option. CheckpointError: a voice of another model, or none at all.
        """
        if isinstance(text, Sequence) and not isinstance(text, str):
            return [self.say(item, voice=voice, seed=seed, progress=progress, **options) for item in text]
        return join(text, list(self._sentences(text, voice, seed, progress, options)))

    def stream(
        self,
        text: str,
        *,
        voice: Voice | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> Iterator[Speech]:
        """Speak in pieces, at least two, which together are what `say` returns; arguments and errors are as there."""
        samples, last = 0, 0
        for part in self._sentences(text, voice, seed, progress, options):
            middle = round(part.duration * FRAMES_PER_SECOND / 2) / FRAMES_PER_SECOND
            offset = samples / part.sample_rate
            yield from cut(shift(part, samples, last), middle, offset)
            last = round(offset * FRAMES_PER_SECOND) + part.tokens[-1].position
            samples += len(part.audio)

    def _sentences(
        self, text: str, voice: Voice | None, seed: int, progress: Progress | None, given: dict[str, Any]
    ) -> Iterator[Speech]:
        """Speak sentence by sentence; whatever can be refused is refused before the first one."""
        options, draws = make_options(self.card, given), GeneratorDraws(check_seed(seed))
        card = self.card
        spelled = spell_sentences(
            check_text(text), self.tokenizer, style=card.style, language=card.language, leading_space=card.leading_space
        )
        if any(sentence.pauses or any(rate != 1 for rate in sentence.rates) for sentence in spelled):
            raise InputError(f"model {self.name} cannot follow [pause:…] and [rate:…]: leave them away")
        voice = check_voice(voice) or self.default_voice
        if voice is None:
            raise CheckpointError(f"model {self.name} has no voice of its own: name one, or a recording with its text")
        self._check(voice.tokens, f"voice {voice.name}")
        for index, sentence in enumerate(spelled):
            yield soften(
                self._speak(sentence, voice.tokens, options, draws), start=index > 0, end=index + 1 < len(spelled)
            )
            if progress is not None:
                progress(index + 1, len(spelled))

    def _speak(self, spelled: Spelled, voice: AlignedTokens, options: SpeakOptions, draws: GeneratorDraws) -> Speech:
        """One sentence in a voice."""
        written = write(
            self.model,
            self._prompt(voice),
            options.choosing(),
            draws,
            extra_words=MOST_TOKENS,
            forced=spelled.ids,
        )
        audio = self._sound_of(written, voice.extras["speaker"], options, draws)
        return self.hearing.timed(audio, spelled)

    @torch.no_grad()
    def _sound_of(self, written: Written, speaker: torch.Tensor, options: SpeakOptions, draws: GeneratorDraws) -> Audio:
        """Sound of text and codes that were made up; with another speed the units are drawn again to that length."""
        levels = len(self.model.audio_tower.quantiser.sizes)
        words = torch.tensor(written.word_ids)
        codes = codes_at_tokens(written.rows(levels), words)
        text = Text(torch.tensor([written.ids]), torch.tensor([len(words)]), words[None])
        least = len(words)  # every token needs a frame of its own
        units = self._units(text, codes, speaker, options, draws, None)
        if options.speed != 1 or len(units) < least:
            length = max(least, round(len(units) / options.speed))
            units = self._units(text, codes, speaker, options, draws, length)
        return self._audio(units, speaker)

    def _units(
        self,
        text: Text,
        codes: torch.Tensor,
        speaker: torch.Tensor,
        options: SpeakOptions,
        draws: GeneratorDraws,
        length: int | None,
    ) -> torch.Tensor:
        """Units int64 [S] of a text [1, A] with codes [A, Q]."""
        device = self.model.device
        embeds = self.model.audio_tower.embeds(codes.to(device))[None]
        ids, lengths = text.ids.to(device), text.lengths.to(device)
        return self.model.make_units(
            ids, lengths, speaker.to(device)[None], embeds, options.sampling(length), draws.units
        )[0]

    def _audio(self, units: torch.Tensor, speaker: torch.Tensor) -> Audio:
        wave = self.sound.decode(units.to(self.model.device), speaker.to(self.model.device), 0)
        return Audio(wave.float().cpu().numpy().astype(np.float32), self.sample_rate)

    def _prompt(self, tokens: AlignedTokens) -> Prompt:
        """A reading as what the language model speaks on from."""
        text = self.hearing.text(tokens.text_ids.tolist())
        firsts = first_of_words(text.words[0].cpu())
        codes = torch.where(firsts[:, None], tokens.codes, NOTHING).to(self.model.device)
        return Prompt("audio", text.ids[0], text.words[0], codes)

    def continue_(
        self,
        audio: str | Path | Audio,
        *,
        text: str,
        tokens: int = 40,
        with_prompt: bool = False,
        seed: int = 0,
        progress: Progress | None = None,
        mode: str = "audio",
        **options: Any,
    ) -> Speech:
        """Speak on from a recording: text and sound are made up together.

        Args:
            text: what is said in it. tokens: at most so many are made up, 1 to 2000; a full stop may end it earlier.
            with_prompt: put the recording before it; then times count from the recording's start.
            mode: "audio" speaks on from text and sound, "text" from the text alone, in the recording's voice.
            options: see `card.SpeakOptions`.

        Raises:
            AudioError, InputError: unusable sound, text or option. AlignmentError: more tokens than frames.
        """
        if not isinstance(tokens, int) or isinstance(tokens, bool) or not 1 <= tokens <= MOST_TOKENS:
            raise InputError(f"tokens is {tokens!r}, wanted is a whole number from 1 to {MOST_TOKENS}")
        if mode not in ("audio", "text"):
            raise InputError(f"mode is {mode!r}, wanted is audio or text")
        chosen, draws = make_options(self.card, options), GeneratorDraws(check_seed(seed))
        sound = check_sound(audio)
        heard = self.encode(sound, text=text)
        prompt = replace(self._prompt(heard), mode=mode)
        words = max(1, tokens // WORDS_BEFORE_STOP)
        written = write(self.model, prompt, chosen.choosing(), draws, words, limit=tokens)
        made = self.hearing.timed(
            self._sound_of(written, heard.extras["speaker"], chosen, draws), written_text(self.tokenizer, written)
        )
        if progress is not None:
            progress(tokens, tokens)
        return self._behind(made, sound, heard) if with_prompt else made

    def _behind(self, made: Speech, sound: Audio, heard: AlignedTokens) -> Speech:
        """A recording and what comes after it as one speech."""
        samples = resample(sound, self.sample_rate).samples
        frame = self.sample_rate // FRAMES_PER_SECOND
        samples = np.pad(samples[: heard.frames * frame], (0, max(0, heard.frames * frame - len(samples))))
        before = speech_of(
            self._respell(heard),
            heard.positions.tolist(),
            Audio(samples.astype(np.float32), self.sample_rate),
            self.card.word_lead,
        )
        return join(heard.text + made.text, [before, made])

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
        """Everything needed to speak like a recording; the silence around it is cut.

        Args:
            audio: file name, "-" for standard input, or samples; without `text` and `asr`, the name of a voice.
            text: what is said in it. asr: what hears that instead (`unisono.align.transcribe`).
            sample_latent, seed: for families with noise in their vectors; codes have none.

        Raises:
            AudioError, InputError: unusable sound or text, or neither text nor recogniser.
            AlignmentError: more tokens than frames.
        """
        self._no_noise(sample_latent)
        if text is None and asr is None and isinstance(audio, str | Path):
            ready = read_voice(self.folder, str(audio))
            if ready is not None:
                return ready
        sound = check_sound(audio)
        if text is None and asr is None:
            raise InputError("a voice needs the words of its recording: give its text, or a speech recogniser (asr)")
        language = check_language(self.card.language)
        text = transcribe(sound, asr, language) if text is None else text
        sound, spelled = self.hearing.given(sound, text)
        name = Path(audio).stem if isinstance(audio, str | Path) else "voice"
        pieces = self.hearing.pieces(trim_silence(sound).audio, spelled)
        return Voice(name, pieces, language=language, created=datetime.date.today().isoformat())

    def align(self, audio: str | Path | Audio, *, text: str) -> Speech:
        """Word and token times of a recording; the sound comes back at its own rate. Raises like `voice`."""
        return self.hearing.align(audio, text)

    def encode(
        self, audio: str | Path | Audio, *, text: str, sample_latent: bool = False, seed: int = 0
    ) -> AlignedTokens:
        """One code tuple per token of the transcript. Arguments and errors are as of `voice`."""
        self._no_noise(sample_latent)
        return self.hearing.encode(audio, text)

    def _no_noise(self, sample_latent: bool) -> None:
        """Raise InputError where latent noise is asked for."""
        if sample_latent:
            raise InputError(f"model {self.name} has codes, which have no latent noise: leave sample_latent away")

    @torch.inference_mode()
    def decode(self, tokens: AlignedTokens, *, seed: int = 0, **options: Any) -> Speech:
        """Sound from code tuples, as long as what was encoded; options as for `say`.

        Raises:
            CheckpointError: tokens of another model. InputError: unusable option.
        """
        self._check(tokens, "these tokens")
        chosen, draws = make_options(self.card, options), GeneratorDraws(check_seed(seed))
        text, speaker = self.hearing.text(tokens.text_ids.tolist()), tokens.extras["speaker"]
        units = self._units(text, tokens.codes, speaker, chosen, draws, tokens.frames)
        samples = self._audio(units, speaker).samples[: tokens.samples]
        samples = np.pad(samples, (0, tokens.samples - len(samples)))
        audio = Audio(samples, self.sample_rate)
        return speech_of(self._respell(tokens), tokens.positions.tolist(), audio, self.card.word_lead)

    def swap(self, ours: AlignedTokens, theirs: AlignedTokens, words: Sequence[int]) -> AlignedTokens:
        """Our reading of a text, with the speech of some words, numbered from 0, from another reading of it.

        Raises:
            InputError: readings of different texts, or a word that is not there. CheckpointError: of other models.
        """
        for tokens in (ours, theirs):
            self._check(tokens, "these tokens")
        return swap_words(ours, theirs, words, self.hearing.text(ours.text_ids.tolist()).words[0])

    def score(self, tokens: AlignedTokens) -> float:
        """How unlikely the language model finds a reading: the published stand-in for a likelihood, lower is likelier.

        Raises:
            CheckpointError: tokens of another model.
        """
        self._check(tokens, "these tokens")
        prompt = self._prompt(tokens)
        count = torch.tensor([len(prompt.ids)])
        return float(self.model.score(prompt.ids[None], count, prompt.word_ids[None], prompt.codes[None]))

    def bits_per_second(self, tokens: AlignedTokens) -> float:
        """What the codes of a recording amount to: bits of one tuple, times words, over its length."""
        from unisono.codec.quantisers import tuple_bits

        words = int(self.hearing.text(tokens.text_ids.tolist()).words.max()) + 1
        return tuple_bits(self.model.audio_tower.quantiser) * words * FRAMES_PER_SECOND / tokens.frames

    def _check(self, tokens: AlignedTokens, what: str) -> None:
        """Refuse pieces of speech that this model cannot use. Raises CheckpointError."""
        self.hearing.maker.check(tokens, what)
        sizes, speaker = self.model.audio_tower.quantiser.sizes, tokens.extras.get("speaker")
        if tokens.codes is None or tokens.codes.shape[1] != len(sizes):
            raise CheckpointError(f"{what} hold no code tuples of {len(sizes)} codes: they are damaged")
        if int(tokens.codes.min()) < 0 or bool((tokens.codes >= torch.tensor(sizes)).any()):
            raise CheckpointError(f"{what} hold codes that are none of this model's: they are damaged")
        width = self.model.config.units.spk_embed_dim
        if speaker is None or list(speaker.shape) != [width] or not bool(speaker.isfinite().all()):
            raise CheckpointError(f"{what} hold no speaker vector of {width} numbers: they are damaged")
        if int(tokens.text_ids.max()) >= self.tokenizer.vocab_size:
            raise CheckpointError(f"{what} hold tokens that this model does not know: they are damaged")

    def _respell(self, tokens: AlignedTokens) -> Spelled:
        """The text of a token file, spelled again; what its ids say where another version read the text otherwise."""
        ids = tokens.text_ids.tolist()
        if tokens.text.strip():
            spelled = self.hearing.spell(tokens.text)
            if spelled.ids == ids:
                return spelled
        return spelled_ids(self.tokenizer, ids)


def spelled_ids(tokenizer: Tokenizer, ids: Sequence[int]) -> Spelled:
    """Ids with the text they say."""
    texts = [tokenizer.decode([token]) for token in ids]
    ends = np.cumsum([len(text) for text in texts]).tolist()
    text = "".join(texts)
    return Spelled(text, text, list(ids), texts, [Span(e - len(t), e) for e, t in zip(ends, texts, strict=True)])


def written_text(tokenizer: Tokenizer, written: Written) -> Spelled:
    """What was made up, as text with its tokens."""
    return spelled_ids(tokenizer, written.ids)
