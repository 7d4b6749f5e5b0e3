"""TADA as a speech model: say, stream, voice, align, encode, decode over its modules (`interface.SpeechModel`).

Axes: N samples, L frames of 1/50 s, T tokens, A vector width.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from unisono.errors import GenerationError, InputError
from unisono.families.checks import check_fit, check_maker, check_sound, check_text
from unisono.families.joining import FRAMES_PER_SECOND, cut, join, shift, speech_of
from unisono.families.spelling import Spelled, spell
from unisono.families.tada.aligner import Aligner, AlignerOutput
from unisono.families.tada.card import CARD, Card, make_options
from unisono.families.tada.encoder import Encoder
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.options import InferenceOptions
from unisono.families.tada.published import run
from unisono.families.tada.render import expand, render
from unisono.families.tada.state import Stepped
from unisono.families.tada.voice_prompt import VoicePrompt, check_pieces, plan_sentence, voice_prompt
from unisono.files import load_voice
from unisono.interface import AlignedTokens, Audio, Span, Speech, Tokenizer, Voice
from unisono.lm.draws import GeneratorDraws
from unisono.text import split_sentences

WINDOW_SECONDS, WINDOW_STRIDE = 30.0, 25.0  # of the aligner, for recordings longer than twice that
SPARE_FRAMES = 2  # that the encoder adds at the end
Progress = Callable[[int, int], None]


class TadaSpeech:
    """A TADA model that speaks. Made by `loading.load`; texts of any number of sentences, recordings of one passage."""

    family = "tada"
    can_clone = True
    can_stream = True
    can_continue = False
    word_times = True

    def __init__(self, model: TadaForCausalLM, card: Card, folder: Path, codec: Path) -> None:
        self.model, self.card, self.folder, self._codec = model, card, folder, codec
        self.name, self.sample_rate = card.name, card.sample_rate
        self.hop = card.sample_rate // FRAMES_PER_SECOND

    @property
    def tokenizer(self) -> Tokenizer:
        """Text <-> ids."""
        return self.model.tokenizer

    @cached_property
    def encoder(self) -> Encoder:
        """The codec's encoder. Raises CheckpointError when it cannot be loaded."""
        return Encoder.from_pretrained(self._codec, subfolder="encoder", device=str(self.model.device))

    @cached_property
    def aligner(self) -> Aligner:
        """The aligner. Raises CheckpointError when it cannot be loaded."""
        return Aligner.from_pretrained(self._codec, subfolder="aligner", device=str(self.model.device))

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
            check_maker(voice.tokens, self.family, self.name, f"voice {voice.name}")
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

    def voice(self, audio: str | Path | Audio, *, text: str) -> Voice:
        """Everything needed to speak like a recording (9 to 15 seconds of clean, neutral speech serve best).

        Args:
            audio: file name, "-" for standard input, or samples. text: what is said in it.

        Raises:
            AudioError, InputError: unusable sound or text. AlignmentError: more tokens than frames.
        """
        name = Path(audio).stem if isinstance(audio, str | Path) else "voice"
        tokens = self.encode(audio, text=text)
        return Voice(name, tokens, language=self.card.language, created=datetime.date.today().isoformat())

    def align(self, audio: str | Path | Audio, *, text: str) -> Speech:
        """Word and token times of a recording; the sound comes back at its own rate. Raises like `voice`."""
        sound, spelled = self._given(audio, text)
        positions, _ = self._align(sound, spelled)
        return speech_of(spelled, positions[0].tolist(), sound, self.card.word_lead)

    @torch.inference_mode()
    def encode(self, audio: str | Path | Audio, *, text: str) -> AlignedTokens:
        """One vector per token of the transcript, without latent noise. Raises like `voice`."""
        sound, spelled = self._given(audio, text)
        samples = round(len(sound.samples) * self.sample_rate / sound.sample_rate)
        self._check_length(samples, self.encoder.config.max_frames)
        positions, masks = self._align(sound, spelled)
        wave = torch.from_numpy(sound.samples)[None].to(self.model.device)
        encoded = self.encoder(
            wave,
            text_tokens=torch.tensor([spelled.ids], device=wave.device),
            token_positions=positions,
            token_masks=masks,
            sample_rate=sound.sample_rate,
            sample=False,
        )
        return AlignedTokens(
            text_ids=torch.tensor(spelled.ids),
            positions=positions[0].cpu(),
            frames=masks.shape[1],
            samples=samples,
            sample_rate=self.sample_rate,
            text=text,
            family=self.family,
            model=self.name,
            vectors=encoded.encoded_expanded[0, positions[0] - 1].cpu(),
        )

    @torch.inference_mode()
    def decode(self, tokens: AlignedTokens) -> Speech:
        """Sound from vectors, as long as what was encoded.

        Raises:
            CheckpointError: tokens of another model, or vectors and ids that do not fit this one.
        """
        check_maker(tokens, self.family, self.name, "these tokens")
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

    def _given(self, audio: str | Path | Audio, text: str) -> tuple[Audio, Spelled]:
        """A recording and its transcript, each looked at before the other is worked on."""
        text, sound = check_text(text), check_sound(audio)
        check_fit(text, sound, FRAMES_PER_SECOND)
        return sound, self._spell(text)

    def _spell(self, text: str) -> Spelled:
        """Text as this model reads it. Raises InputError when it can read nothing of it."""
        card = self.card
        return spell(text, self.tokenizer, style=card.style, language=card.language, leading_space=card.leading_space)

    def _align(self, sound: Audio, spelled: Spelled) -> AlignerOutput:
        """Marks of the tokens in a recording: positions int64 [1, T] and masks int64 [1, L]."""
        long = len(sound.samples) > 2 * WINDOW_SECONDS * sound.sample_rate
        return self.aligner(
            torch.from_numpy(sound.samples)[None].to(self.model.device),
            text_tokens=torch.tensor([spelled.ids]),
            sample_rate=sound.sample_rate,
            inference_window_size=WINDOW_SECONDS if long else None,
            inference_window_stride=WINDOW_STRIDE if long else None,
        )

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
