"""What a codec makes of a recording: word times, one vector per token, a voice.

The encoder and the aligner, which speaking does without, are loaded when the first recording comes.

Axes: N samples, L frames of 1/50 s, T tokens, A vector width.
"""

from __future__ import annotations

import datetime
import warnings
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import torch

from unisono.align.reference import doubt, faults, trim_silence
from unisono.align.transcribe import Recogniser, transcribe
from unisono.audio import resample_sinc
from unisono.errors import CheckpointError, InputError, VoiceWarning
from unisono.families.checks import check_fit, check_sound, check_text
from unisono.families.joining import FRAMES_PER_SECOND, speech_of
from unisono.families.languages import ALIGNERS, check_language
from unisono.families.makers import Maker, maker_of
from unisono.families.spelling import Spelled, spell, warn_of_unread
from unisono.families.tada.aligner import Aligner, Found, frame_budget
from unisono.families.tada.card import Card
from unisono.families.tada.encoder import Encoder, LatentNoise
from unisono.families.tada.windows import encode_marks
from unisono.files import find_folder
from unisono.interface import AlignedTokens, Audio, Speech, Tokenizer, Voice

FAMILY = "tada"
CODEC = "HumeAI/tada-codec"  # where published language models find their codec, and every language its aligner
WINDOW_SECONDS, WINDOW_STRIDE = 30.0, 25.0  # of the aligner, for recordings longer than a window


class Recordings:
    """Aligns and encodes recordings with a codec folder's modules, in the language of a card."""

    def __init__(self, codec: Path, card: Card, tokenizer: Tokenizer, device: str) -> None:
        self.codec, self.card, self.tokenizer, self.device = codec, card, tokenizer, device

    @cached_property
    def encoder(self) -> Encoder:
        """The codec's encoder. Raises CheckpointError when it cannot be loaded."""
        return Encoder.from_pretrained(self.codec, subfolder="encoder", device=self.device)

    @cached_property
    def aligner(self) -> Aligner:
        """The aligner of the card's language. Raises CheckpointError when there is none, naming what to fetch."""
        return load_aligner(self.codec, self.card.language, self.tokenizer, self.device)

    @cached_property
    def maker(self) -> Maker:
        """What is recorded of this model in voices and token files, and asked of those it is given."""
        names = (*Encoder.ignored_keys, *Encoder.optional_keys)
        encoder = self.codec / "encoder"
        if not self.codec.is_dir():  # a hub name
            with suppress(CheckpointError):
                encoder = find_folder(self.codec, "encoder", offline=True)
        return maker_of(FAMILY, self.card.name, encoder, self.tokenizer, names)

    def spell(self, text: str) -> Spelled:
        """Text as this model reads it. Raises InputError when it can read nothing of it."""
        card = self.card
        return spell(text, self.tokenizer, style=card.style, language=card.language, leading_space=card.leading_space)

    def align(self, audio: str | Path | Audio, text: str) -> Speech:
        """Word and token times; the sound comes back at its own rate.

        Raises:
            AudioError, InputError: unusable sound or text. AlignmentError: more tokens than frames.
        """
        sound, spelled = self._given(audio, text)
        found = self._find(sound, spelled)
        self._doubt(found)
        return speech_of(spelled, found.marks.tolist(), sound, self.card.word_lead)

    def encode(self, audio: str | Path | Audio, text: str, seed: int | None = None) -> AlignedTokens:
        """One vector per token of the transcript.

        Args:
            seed: draw the latent noise of training with it; None = none, so that the result is always the same.

        Raises as `align`.
        """
        sound, spelled = self._given(audio, text)
        found = self._find(sound, spelled)
        self._doubt(found)
        return self._encode(sound, spelled, found, seed)

    def _doubt(self, found: Found) -> None:
        """Warn of a text that is not what the recording says."""
        if sentence := doubt(
            found.agreement(), self.aligner.config.least_agreement, "words will stand in wrong places"
        ):
            warnings.warn(sentence, VoiceWarning, stacklevel=4)

    def voice(
        self,
        audio: str | Path | Audio,
        text: str | None,
        asr: str | Recogniser | None,
        seed: int | None = None,
    ) -> Voice:
        """Everything needed to speak like a recording; the silence around it is cut, and poor ones are warned of.

        Args:
            text: what is said; None = `asr` hears it (`align.transcribe`). seed: as in `encode`.

        Raises as `align`, and InputError without text and recogniser, CheckpointError for one that cannot be loaded.
        """
        name = Path(audio).stem if isinstance(audio, str | Path) else "voice"
        sound = check_sound(audio)
        if text is None and asr is None:
            raise InputError("a voice needs the words of its recording: give its text, or a speech recogniser (asr)")
        if text is None:
            text = transcribe(sound, asr, check_language(self.card.language))
        sound, spelled = self._given(sound, text)
        reference = trim_silence(sound)
        found = self._find(reference.audio, spelled)
        for sentence in faults(reference, len(spelled.ids), found.agreement(), self.aligner.config.least_agreement):
            warnings.warn(sentence, VoiceWarning, stacklevel=3)
        tokens = self._encode(reference.audio, spelled, found, seed)
        language = check_language(self.card.language)
        return Voice(name, tokens, language=language, created=datetime.date.today().isoformat())

    def _find(self, sound: Audio, spelled: Spelled) -> Found:
        """Marks of the tokens in a recording."""
        wave = torch.from_numpy(sound.samples).to(self.device)
        window = (WINDOW_SECONDS, WINDOW_STRIDE) if _is_long(sound) else None
        return self.aligner.find(wave, torch.tensor(spelled.ids), _frames(sound), sound.sample_rate, window)

    @torch.inference_mode()
    def _encode(self, sound: Audio, spelled: Spelled, found: Found, seed: int | None) -> AlignedTokens:
        """Vectors at the marks of a recording."""
        positions = found.marks
        wave = resample_sinc(torch.from_numpy(sound.samples), sound.sample_rate, self.card.sample_rate)
        vectors = encode_marks(self.encoder, wave.to(self.device), positions)
        if seed is not None:
            noise = LatentNoise(torch.Generator().manual_seed(seed))
            marked = torch.ones(1, len(vectors), device=vectors.device)
            vectors = self.encoder.add_noise(vectors[None], marked, noise)[0]
        return AlignedTokens(
            text_ids=torch.tensor(spelled.ids),
            positions=positions,
            frames=_frames(sound),
            samples=round(len(sound.samples) * self.card.sample_rate / sound.sample_rate),
            sample_rate=self.card.sample_rate,
            text=spelled.source,
            family=FAMILY,
            model=self.card.name,
            vectors=vectors.cpu(),
            maker=self.maker.mark(),
        )

    def _given(self, audio: str | Path | Audio, text: str) -> tuple[Audio, Spelled]:
        """A recording and its transcript, each looked at before the other is worked on."""
        text, sound = check_text(text), check_sound(audio)
        check_fit(text, sound, FRAMES_PER_SECOND)
        spelled = self.spell(text)
        warn_of_unread(spelled)
        return sound, spelled


def load_aligner(codec: Path, language: str, tokenizer: Tokenizer, device: str) -> Aligner:
    """The aligner of a language from a codec's folder, else from the published codec.

    Raises:
        CheckpointError: there is none, and what to fetch, or it belongs to another tokenizer.
    """
    folder = ALIGNERS[check_language(language)]
    place: Path | str = codec if (codec / folder).is_dir() else _codec_with(folder, language, codec)
    aligner = Aligner.from_pretrained(place, subfolder=folder, device=device)
    if aligner.config.vocab_size < tokenizer.vocab_size:
        raise CheckpointError(
            f"{folder} of {place} knows {aligner.config.vocab_size} tokens, this model's tokenizer has "
            f"{tokenizer.vocab_size}: they belong to different models"
        )
    return aligner


def _codec_with(folder: str, language: str, codec: Path) -> Path | str:
    """Where else there is an aligner of that folder name: the published codec in the hub's cache or, online, the hub.

    Raises:
        CheckpointError: nowhere; the sentence says what to fetch.
    """
    try:
        return find_folder(CODEC, folder).parent
    except CheckpointError:
        raise CheckpointError(
            f"there is no aligner for language {language!r}: fetch {CODEC}, subfolder {folder} "
            f"(hf download {CODEC} --include '{folder}/*'), or put one into {codec / folder}"
        ) from None


def _is_long(sound: Audio) -> bool:
    return len(sound.samples) > WINDOW_SECONDS * sound.sample_rate


def _frames(sound: Audio) -> int:
    """Frames of a recording, the last one begun."""
    return int(frame_budget(torch.tensor([float(len(sound.samples))]), sound.sample_rate)[0])
