"""`TasteProcessor` as published: a recording becomes what the model's calls take (spec section 4.1).

Axes: N samples, A tokens of the recogniser, T tokens of the language model, S units, F feature frames.
Recogniser, unit tokenizer and speaker network are handed in: none of them can be downloaded silently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from unisono.audio import read_audio, resample
from unisono.errors import CheckpointError, InputError
from unisono.families.taste.features import RATE, whisper_features
from unisono.families.taste.slots import HEARING_RATE, Sound
from unisono.families.taste.vocabulary import WordTokenizer, read_words, split_words
from unisono.interface import Audio

Recogniser = Callable[[Audio], str]


class FileWords:
    """A published tokenizer from its `tokenizer.json`, without special tokens around texts."""

    def __init__(self, folder: str | Path) -> None:
        from tokenizers import Tokenizer

        path = Path(folder) / "tokenizer.json"
        if not path.is_file():
            raise CheckpointError(f"{path} does not exist: name the folder that holds it")
        try:
            self.inner = Tokenizer.from_file(str(path))
        except Exception as problem:  # the library raises bare Exception
            raise CheckpointError(f"{path} is no tokenizer: {problem}") from problem
        self.inner.encode_special_tokens = True
        self.inner.no_padding()
        self.inner.no_truncation()
        self.vocab_size: int = self.inner.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return list(self.inner.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens included."""
        return self.inner.decode(list(ids), skip_special_tokens=False)


class TasteProcessor:
    """Recordings and texts -> inputs of `TasteForCausalLM`.

    Args:
        audio_tokenizer, llm_tokenizer: the two tokenizers. sound: units and speaker vectors (`sound.load.load_sound`);
            None = neither. recogniser: hears the words of a recording; None = the text has to be given.
        bands: mel bands of the encoder.
    """

    def __init__(
        self,
        audio_tokenizer: WordTokenizer,
        llm_tokenizer: WordTokenizer,
        sound: Sound | None = None,
        recogniser: Recogniser | None = None,
        bands: int = 128,
    ) -> None:
        self.audio_tokenizer, self.llm_tokenizer = audio_tokenizer, llm_tokenizer
        self.sound, self.recogniser, self.bands = sound, recogniser, bands

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        asr_tokenizer: str | Path | None = None,
        asr: Any = None,
        sound: bool = True,
        language: str = "en",
    ) -> TasteProcessor:
        """The parts of a published model folder.

        Args:
            asr_tokenizer: folder with the recogniser's `tokenizer.json` (whisper-large-v3); None = `asr_tokenizer/` in
                `folder`. asr: see `unisono.align.transcribe`. sound: load units and speaker networks too.

        Raises:
            CheckpointError: a part that is missing or damaged.
        """
        from unisono.align.transcribe import transcribe
        from unisono.families.taste.sound.load import load_sound

        folder = Path(folder)
        words = FileWords(asr_tokenizer if asr_tokenizer is not None else folder / "asr_tokenizer")
        hears = None if asr is None else lambda heard: transcribe(heard, asr, language)
        return cls(words, FileWords(folder / "llama_tokenizer"), load_sound(folder) if sound else None, hears)

    def __call__(
        self,
        audio: str | Path | Audio | Any,
        sampling_rate: int = RATE,
        ref_audio_list: Sequence[str | Path | Audio] = (),
        output_text_info: bool = False,
        text: str | None = None,
        leading_space: bool = True,
    ) -> dict[str, Any]:
        """One recording, batch dimension 1.

        Args:
            audio: file, or samples [N] at `sampling_rate`, or Audio. ref_audio_list: recordings whose mean is the
                speaker; none = the recording itself. output_text_info: also give "words" and "text".
            text: what is said; None = the recogniser hears it.
            leading_space: the first word has one (False: as in the published training, section 7.6).

        Returns:
            "audio_features" [1, F, M], "audio_feature_lengths", "asr_token_ids" int64 [1, A], "asr_token_lengths",
            "asr_word_ids", "llm_token_ids" int64 [1, T], "llm_token_lengths", "llm_word_ids"; with a sound slot
            "speaker_embeds" [1, E], "speech_token_ids" int64 [1, S], "speech_token_lengths".

        Raises:
            InputError: neither text nor recogniser, or nothing was heard. AudioError: unusable sound.
        """
        heard = _as_audio(audio, sampling_rate)
        if text is None:
            if self.recogniser is None:
                raise InputError("the words of the recording are needed: give text, or a recogniser (asr)")
            text = self.recogniser(heard)
        if not text.strip():
            raise InputError("the text is empty: give at least one word")
        features, frames = whisper_features(torch.from_numpy(resample(heard, RATE).samples), self.bands)
        words = split_words(text, leading_space)
        made: dict[str, Any] = {"audio_features": features, "audio_feature_lengths": frames}
        for name, tokenizer in (("asr", self.audio_tokenizer), ("llm", self.llm_tokenizer)):
            said = read_words(words, tokenizer)
            made[f"{name}_token_ids"] = torch.tensor([said.ids])
            made[f"{name}_token_lengths"] = torch.tensor([len(said.ids)], dtype=torch.int32)
            made[f"{name}_word_ids"] = torch.tensor([said.word_ids], dtype=torch.int32)
        if self.sound is not None:
            made |= self._sounds(heard, [_as_audio(item, sampling_rate) for item in ref_audio_list] or [heard])
        if output_text_info:
            made |= {"words": words, "text": "".join(words)}
        return made

    def _sounds(self, heard: Audio, references: Sequence[Audio]) -> dict[str, torch.Tensor]:
        """Units of a recording and the speaker of its references."""

        def wave(audio: Audio) -> torch.Tensor:
            return torch.from_numpy(resample(audio, HEARING_RATE).samples)

        units = self.sound.units(wave(heard))
        speaker = torch.stack([self.sound.speaker(wave(item)) for item in references]).mean(0)
        return {
            "speaker_embeds": functional.normalize(speaker, dim=0)[None].float(),
            "speech_token_ids": units[None],
            "speech_token_lengths": torch.tensor([len(units)], dtype=torch.int32),
        }


def _as_audio(audio: Any, sampling_rate: int) -> Audio:
    """A file, samples at a rate, or Audio -> Audio."""
    if isinstance(audio, Audio):
        return audio
    if isinstance(audio, str | Path):
        return read_audio(audio)
    return Audio(torch.as_tensor(audio).float().numpy(), sampling_rate)
