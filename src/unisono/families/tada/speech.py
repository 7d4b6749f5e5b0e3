"""TADA as a speech model: say, stream, voice, align, encode, decode over its modules (`interface.SpeechModel`).

Axes: N samples, L frames of 1/50 s, T tokens, A vector width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from unisono.align.transcribe import Recogniser
from unisono.errors import CheckpointError, GenerationError, InputError
from unisono.families.checks import check_text
from unisono.families.joining import FRAMES_PER_SECOND, cut, join, shift, speech_of
from unisono.families.languages import check_language
from unisono.families.spelling import Spelled
from unisono.families.tada.aligner import Aligner
from unisono.families.tada.card import CARD, Card, make_options, read_card
from unisono.families.tada.decoder import Decoder
from unisono.families.tada.encoder import Encoder
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.options import InferenceOptions
from unisono.families.tada.published import run
from unisono.families.tada.recordings import CODEC, Recordings
from unisono.families.tada.render import expand, render
from unisono.families.tada.state import Stepped
from unisono.families.tada.voice_prompt import VoicePrompt, check_pieces, plan_sentence, voice_prompt
from unisono.files import find_folder, load_voice, read_voice
from unisono.interface import AlignedTokens, Audio, Span, Speech, Tokenizer, Voice
from unisono.lm.draws import GeneratorDraws
from unisono.text import load_tokenizer, split_sentences

SPARE_FRAMES = 2  # that the encoder adds at the end
Progress = Callable[[int, int], None]


def load(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    tokenizer: str | Path | None = None,
    quantize: str | None = None,
    language: str | None = None,
) -> TadaSpeech:
    """Load a model folder: language model, decoder and tokenizer now, encoder and aligner when they are needed.

    Args:
        device: of all parts. dtype: of the language model; the codec stays in float32.
        tokenizer: folder of a tokenizer in place of the model's own.
        quantize: "int8" (CPU, float32) or "none"; None = what the model's card says, where it can be done.
        language: of texts and recordings, which picks the aligner: en ar zh de es fr it ja pl pt; None = the card's.

    Raises:
        CheckpointError: anything that does not fit. InputError: a packing that cannot be done.
    """
    card = read_card(folder)
    if language is not None:
        card = replace(card, language=check_language(language))
    codec = folder if (folder / "decoder").is_dir() else find_folder(CODEC)
    words = load_tokenizer(tokenizer or (folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder))
    model = TadaForCausalLM.from_pretrained(folder, dtype=dtype, device=device)
    if words.vocab_size > model.config.vocab_size:
        raise CheckpointError(
            f"the tokenizer has {words.vocab_size} tokens, the model in {folder} {model.config.vocab_size}: "
            "they belong to different models"
        )
    decoder = Decoder.from_pretrained(codec, subfolder="decoder", device=device)
    if decoder.config.embed_dim != model.config.acoustic_dim:
        raise CheckpointError(
            f"the decoder takes vectors of {decoder.config.embed_dim} numbers, the language model in {folder} makes "
            f"{model.config.acoustic_dim}: they belong to different models"
        )
    packable = model.device.type == "cpu" and model.dtype == torch.float32
    model.quantize(quantize or (card.quantize if packable else "none"))
    return TadaSpeech(model.attach(tokenizer=words, decoder=decoder), card, folder, codec)


class TadaSpeech:
    """A TADA model that speaks. Made by `load`; texts of any number of sentences, recordings of one passage."""

    family = "tada"
    can_clone = True
    can_stream = True
    can_continue = False
    word_times = True

    def __init__(self, model: TadaForCausalLM, card: Card, folder: Path, codec: Path) -> None:
        self.model, self.card, self.folder = model, card, folder
        self.recordings = Recordings(codec, card, model.tokenizer, str(model.device))
        self.name, self.language, self.sample_rate = card.name, card.language, card.sample_rate
        self.hop = card.sample_rate // FRAMES_PER_SECOND

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
        ready = sorted((self.folder / "voices").glob("*.safetensors"))
        if not self.card.voice:
            return load_voice(ready[0]) if ready else None
        return load_voice(self.folder / "voices" / f"{self.card.voice}.safetensors")

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
        """Speak.

        Args:
            text: one text, or several, each spoken as if it were alone.
            voice: None = the model's own.
            seed: same seed, same bytes on a CPU.
            progress: called with (tokens done, tokens in all) while speaking.
            options: steps, guidance, duration_guidance, temperature, speed, candidates, or published names.

        Returns:
            a Speech, or for several texts a list of them.

        Raises:
            InputError: unusable text or option. CheckpointError: a voice of another model.
            GenerationError: a value that is not finite.
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
        """Speak in pieces, at least two, which together are what `say` returns; arguments and errors are as there.

        Times of words and tokens count from the start of the whole; a word is in the piece in which it begins.
        """
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
        options, draws = make_options(self.card, given), GeneratorDraws.seeded([_check_seed(seed)])
        spans = split_sentences(check_text(text))
        spelled = [self._spell(text[span.start : span.end]) for span in spans]
        voice = voice or self.default_voice
        if voice is not None:
            self.recordings.maker.check(voice.tokens, f"voice {voice.name}")
        prompt = voice_prompt(self.model, voice, self.card.speaker_prompt)
        watch = _Counter(progress, self._steps(spelled, options))
        for sentence in spelled:
            yield self._sentence(sentence, prompt, options, draws, watch)
        watch.finish()

    @torch.inference_mode()
    def _sentence(
        self, spelled: Spelled, prompt: VoicePrompt, options: InferenceOptions, draws: GeneratorDraws, watch: _Counter
    ) -> Speech:
        """Speak one sentence; it ends at the mark of the end token."""
        plan, first = plan_sentence(
            self.model,
            prompt,
            spelled.ids,
            options,
            transition_steps=self.card.transition_steps,
            show_prompt_text=self.card.show_prompt_text,
        )
        slots = run(self.model, plan, draws, watch)
        spoken = slice(first, first + len(spelled.ids) + 1 + self.card.end_vector)  # with the voice's last token
        vectors = slots.vectors[0, spoken].float() * self.model.config.acoustic_std + self.model.config.acoustic_mean
        before = slots.before[0, first : first + len(spelled.ids) + 2]  # with the end token's
        if self.card.max_gap:
            before = torch.cat([before[:1], before[1:].clamp(max=self.card.max_gap)])
        end = before[-1:]
        self._check_drawn(int(before.clamp(min=1).sum() + end))
        rendered = render(self.model.decoder, vectors, torch.cat([before, end]) if self.card.end_vector else before)
        positions = rendered.positions[1 : len(spelled.ids) + 1].tolist()
        # Never less than a frame, so that the last mark lies inside; what the renderer adds behind the end is cut.
        frames = positions[-1] + max(int(end), 1)
        audio = Audio(_fit(rendered.audio, frames * self.hop), self.sample_rate)
        return speech_of(spelled, positions, audio, self.card.word_lead)

    def _check_drawn(self, frames: int) -> None:
        """Raise GenerationError for a sentence that came out longer than the decoder takes."""
        most = self.model.decoder.config.max_frames
        if frames > most:
            raise GenerationError(
                f"one sentence came out {frames / FRAMES_PER_SECOND:.0f} seconds long, the decoder takes "
                f"{most / FRAMES_PER_SECOND:.0f}: split it, or set max_gap in the model's {CARD}"
            )

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
        return self.recordings.voice(audio, text, asr, _check_seed(seed) if sample_latent else None)

    def align(self, audio: str | Path | Audio, *, text: str) -> Speech:
        """Word and token times of a recording; the sound comes back at its own rate. Raises like `voice`."""
        return self.recordings.align(audio, text)

    def encode(
        self, audio: str | Path | Audio, *, text: str, sample_latent: bool = False, seed: int = 0
    ) -> AlignedTokens:
        """One vector per token of the transcript. Latent noise and errors are as in `voice`."""
        return self.recordings.encode(audio, text, _check_seed(seed) if sample_latent else None)

    @torch.inference_mode()
    def decode(self, tokens: AlignedTokens) -> Speech:
        """Sound from vectors, as long as what was encoded.

        Raises:
            CheckpointError: tokens of another model, or vectors and ids that do not fit this one.
        """
        self.recordings.maker.check(tokens, "these tokens")
        check_pieces(self.model, tokens, "these tokens")
        self._check_length(tokens.frames * self.hop, self.model.decoder.config.max_frames)
        positions = tokens.positions.tolist()
        steps = torch.tensor([*positions, tokens.frames]).diff(prepend=torch.zeros(1, dtype=torch.long))
        expanded, masks = expand(tokens.vectors, steps)
        wave = self.model.decoder(expanded.to(self.model.device), masks.to(self.model.device))[0, 0]
        audio = Audio(_fit(wave, tokens.samples), self.sample_rate)
        return speech_of(self._respell(tokens), positions, audio, self.card.word_lead)

    def _respell(self, tokens: AlignedTokens) -> Spelled:
        """The text of a token file, spelled again; what its ids say where another version read the text otherwise."""
        ids = tokens.text_ids.tolist()
        if tokens.text.strip():
            spelled = self._spell(tokens.text)
            if spelled.ids == ids:
                return spelled
        texts = [self.tokenizer.decode([token]) for token in ids]
        ends = list(accumulate(map(len, texts)))
        text = "".join(texts)
        return Spelled(text, text, ids, texts, [Span(e - len(t), e) for e, t in zip(ends, texts, strict=True)])

    def _spell(self, text: str) -> Spelled:
        """Text as this model reads it. Raises InputError when it can read nothing of it."""
        return self.recordings.spell(text)

    def _check_length(self, samples: int, most: int) -> None:
        """Raise InputError for more frames than the codec's attention has places for."""
        if math.ceil(samples / self.hop) > most - SPARE_FRAMES:
            raise InputError(
                f"{samples / self.sample_rate:.0f} seconds of sound are too many at once, "
                f"this codec takes {(most - SPARE_FRAMES) / FRAMES_PER_SECOND:.0f}: cut the recording"
            )


class _Counter:
    """An observer of the sampling loop that tells how many of the single steps are done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.done, self.total = progress, 0, total

    def __call__(self, record: Any) -> None:
        if self.progress is not None and isinstance(record, Stepped):
            self.done = min(self.done + 1, self.total)
            self.progress(self.done, self.total)

    def finish(self) -> None:
        """All is done, however many steps the prefill saved."""
        if self.progress is not None:
            self.progress(self.total, self.total)


def _check_seed(seed: int) -> int:
    """Hand back a seed that a generator takes. Raises InputError for any other."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"the seed is {seed!r}, wanted is a whole number from 0 to 2**63 - 1")
    return seed


def _fit(wave: torch.Tensor, samples: int) -> np.ndarray:
    """A wave [N] cut, or continued with silence, to float32 [samples]; the published decoder gives 6 too few."""
    return functional.pad(wave[:samples].float(), (0, max(samples - len(wave), 0))).cpu().numpy()
