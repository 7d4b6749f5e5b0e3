"""What a TASTE model makes of a recording and its text: word times, code tuples, a speaker vector.

Axes: N samples, L frames of 1/50 s, A tokens, Q codes, E width of a speaker vector.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch

from unisono.audio import resample_sinc
from unisono.audio.mel import StackedMel
from unisono.errors import CheckpointError
from unisono.families.checks import check_fit, check_sound, check_text
from unisono.families.joining import FRAMES_PER_SECOND, speech_of
from unisono.families.makers import Maker, maker_of
from unisono.families.spelling import Spelled, spell, warn_of_unread
from unisono.families.tada.aligner import Aligner, frame_budget
from unisono.families.taste.card import TasteCard
from unisono.families.taste.features import RATE, whisper_features
from unisono.families.taste.model import TasteForCausalLM
from unisono.families.taste.nearby import near_marks
from unisono.families.taste.slots import HEARING_RATE, Sound, part_folder
from unisono.families.taste.tower import mel_features
from unisono.interface import AlignedTokens, Audio, Speech, Tokenizer

FAMILY = "taste"
WINDOW_SECONDS, WINDOW_STRIDE = 30.0, 25.0  # of the aligner, for recordings longer than a window


class Text(NamedTuple):
    """Token ids and word ids int64 [1, A], and their number [1], as the model's calls take them."""

    ids: torch.Tensor
    lengths: torch.Tensor
    words: torch.Tensor


class Hearing:
    """Aligns and encodes recordings for one model; the aligner is loaded when the first recording comes."""

    def __init__(
        self, model: TasteForCausalLM, card: TasteCard, folder: Path, tokenizer: Tokenizer, sound: Sound
    ) -> None:
        self.model, self.card, self.folder, self.tokenizer, self.sound = model, card, folder, tokenizer, sound
        self.mel = StackedMel().to(model.device)

    @cached_property
    def aligner(self) -> Aligner:
        """The aligner of the folder or of the built-in model beside it.

        Raises:
            CheckpointError: there is none, or one of other tokens.
        """
        place = part_folder(self.folder, "aligner")
        aligner = Aligner.from_pretrained(place, device=self.model.device)
        if aligner.config.vocab_size < self.tokenizer.vocab_size:
            raise CheckpointError(f"{place} knows {aligner.config.vocab_size} tokens, not {self.tokenizer.vocab_size}")
        return aligner

    @cached_property
    def maker(self) -> Maker:
        """What is recorded of this model in voices and token files, and asked of those it is given."""
        return maker_of(FAMILY, self.card.name, self.folder, self.tokenizer, TasteForCausalLM.ignored_keys)

    def spell(self, text: str) -> Spelled:
        """Text as this model reads it. Raises InputError when it can read nothing of it."""
        card = self.card
        return spell(text, self.tokenizer, style=card.style, language=card.language, leading_space=card.leading_space)

    def text(self, ids: list[int]) -> Text:
        """Ids as a batch of one, with the word each belongs to: words begin where a token's text has a space."""
        row = torch.tensor(ids, device=self.model.device)
        starts = self.model.vocabulary.starts[torch.tensor(ids)].to(row.device)
        words = (starts.long().cumsum(0) - 1).clamp_min(0)
        return Text(row[None], torch.tensor([len(ids)], device=row.device), words[None])

    def given(self, audio: str | Path | Audio, text: str) -> tuple[Audio, Spelled]:
        """A recording and its transcript, each looked at before the other is worked on."""
        text, sound = check_text(text), check_sound(audio)
        check_fit(text, sound, FRAMES_PER_SECOND)
        spelled = self.spell(text)
        warn_of_unread(spelled)
        return sound, spelled

    def marks(self, sound: Audio, ids: list[int]) -> torch.Tensor:
        """1-based frames of tokens int64 [A]. Raises AlignmentError: more tokens than frames."""
        wave = torch.from_numpy(sound.samples).to(self.model.device)
        long = len(sound.samples) > WINDOW_SECONDS * sound.sample_rate
        window = (WINDOW_SECONDS, WINDOW_STRIDE) if long else None
        return self.aligner.find(wave, torch.tensor(ids), frames_of(sound), sound.sample_rate, window).marks

    def align(self, audio: str | Path | Audio, text: str) -> Speech:
        """Word and token times; the sound comes back at its own rate. Raises like `encode`."""
        sound, spelled = self.given(audio, text)
        return self.timed(sound, spelled)

    def timed(self, sound: Audio, spelled: Spelled) -> Speech:
        """A sound with the times of its tokens and words."""
        return speech_of(spelled, self.marks(sound, spelled.ids).tolist(), sound, self.card.word_lead)

    def encode(self, audio: str | Path | Audio, text: str) -> AlignedTokens:
        """One code tuple per token of the transcript; tokens of one word have the same.

        Raises:
            AudioError, InputError: unusable sound or text. AlignmentError: more tokens than frames.
        """
        sound, spelled = self.given(audio, text)
        return self.pieces(sound, spelled)

    @torch.inference_mode()
    def pieces(self, sound: Audio, spelled: Spelled) -> AlignedTokens:
        """As `encode`, of what has been looked at."""
        marks, frames = self.marks(sound, spelled.ids), frames_of(sound)
        wave = resample_sinc(torch.from_numpy(sound.samples), sound.sample_rate, HEARING_RATE).to(self.model.device)
        text, features = self.text(spelled.ids), self.features(wave)
        allowed = None
        if self.card.window:
            counts = torch.tensor([min(frames, features.shape[1])])
            allowed = near_marks(marks[None], text.lengths.cpu(), counts, features.shape[1], self.card.window).to(
                wave.device
            )
        codes = self.model.audio_tower(features, *text, allowed=allowed).codes[0]
        return AlignedTokens(
            text_ids=torch.tensor(spelled.ids),
            positions=marks,
            frames=frames,
            samples=round(len(sound.samples) * self.card.sample_rate / sound.sample_rate),
            sample_rate=self.card.sample_rate,
            text=spelled.source,
            family=FAMILY,
            model=self.card.name,
            codes=codes.cpu(),
            extras={"speaker": self.sound.speaker(wave).float().cpu()},
            maker=self.maker.mark(),
        )

    def features(self, wave: torch.Tensor) -> torch.Tensor:
        """What the encoder reads of a wave [N] at 24 kHz: [1, F, M]."""
        if self.model.config.tower.segmenter.encoder == "mel_ctc":
            return mel_features(wave[None], self.mel)
        at_16k = resample_sinc(wave.cpu(), HEARING_RATE, RATE)
        return whisper_features(at_16k, self.model.config.whisper["num_mel_bins"])[0].to(wave.device)


def frames_of(sound: Audio) -> int:
    """Frames of a recording, the last one begun."""
    return int(frame_budget(torch.tensor([float(len(sound.samples))]), sound.sample_rate)[0])
