"""TASTE as published: `TasteForCausalLM` with its parts under their published names (spec sections 1, 2 and 5).

Axes: B batch, A tokens of the recogniser, T of the language model, S units, Q codes, D width of speech vectors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from unisono.codec.quantisers import ResidualVQ
from unisono.errors import InputError
from unisono.families.taste.conditions import (
    SeededDraws,
    UnitConditions,
    UnitDraws,
    UnitLoss,
    UnitSampling,
    unit_result,
)
from unisono.families.taste.config import TasteConfig
from unisono.families.taste.diffusion import MaskedDiffusionUnits
from unisono.families.taste.sequence import codes_at_tokens, codes_to_words
from unisono.families.taste.spoken import SpokenModel
from unisono.families.taste.tower import Heard, Tower
from unisono.families.taste.units import AutoregressiveUnits
from unisono.families.taste.vocabulary import Vocabulary, WordTokenizer, vocabulary_of
from unisono.files import Checkpoint

MODES = ("SpeechAutoEncoder", "SpokenLLM")


class AutoEncoded(NamedTuple):
    """Stage 1: `loss` = units + commitment, the decoder's `units` and what the tower `heard` (None for text only)."""

    loss: torch.Tensor
    units: UnitLoss
    heard: Heard | None


class TasteForCausalLM(Checkpoint, nn.Module):
    """Encoder, aggregator, quantiser, unit decoder and spoken language model.

    Tensor names are the published ones. Files may hold the unused `mlps` of the quantiser and the tied head: both are
    passed over.
    """

    config_class = TasteConfig
    ignored_keys = (*ResidualVQ.UNUSED_KEYS, "*.lm_head.weight")

    def __init__(self, config: TasteConfig) -> None:
        super().__init__()
        self.config = config
        self.audio_tower = Tower(config.tower, config.whisper)
        kinds = {"autoregressive": AutoregressiveUnits, "masked_diffusion": MaskedDiffusionUnits}
        self.speech_decoder: UnitConditions = kinds[config.units.kind](config.units)
        sizes, latent_width = (1,), config.tower.quantiser.codebook_dim
        if self.audio_tower.kind is not None:
            sizes, latent_width = self.audio_tower.quantiser.sizes, self.audio_tower.quantiser.latent_width
        self.spoken_lm = SpokenModel(config, tuple(sizes), latent_width, config.tower.audio_embed_dim)
        self.asr_tokenizer: WordTokenizer | None = None
        self.llm_tokenizer: WordTokenizer | None = None
        self._vocabulary: Vocabulary | None = None

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> TasteForCausalLM:
        """As `Checkpoint.from_pretrained`; depths that no configuration key names are read off the tensor names."""
        from unisono.families.taste.loading import load_model

        return load_model(name_or_path, **options)

    def attach(
        self, asr_tokenizer: WordTokenizer, llm_tokenizer: WordTokenizer, vocabulary: Vocabulary | None = None
    ) -> TasteForCausalLM:
        """Give the model its two tokenizers, and what its ids may do if that is not what their texts say."""
        if llm_tokenizer is not self.llm_tokenizer or vocabulary is not None:
            self._vocabulary = vocabulary
        self.asr_tokenizer, self.llm_tokenizer = asr_tokenizer, llm_tokenizer
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """What each id may do, looked up once. Raises InputError without a tokenizer."""
        if self._vocabulary is None:
            if self.llm_tokenizer is None:
                raise InputError("speaking on needs tokenizers: attach them, or give llm_tokenizer and asr_tokenizer")
            self._vocabulary = vocabulary_of(self.llm_tokenizer)
        return self._vocabulary

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.spoken_lm.pad_text_unit_embed.device

    # Stage 1: speech autoencoder

    def forward(
        self,
        asr_token_ids: torch.Tensor,
        asr_token_lengths: torch.Tensor,
        asr_word_ids: torch.Tensor,
        speaker_embeds: torch.Tensor,
        speech_token_ids: torch.Tensor,
        speech_token_lengths: torch.Tensor,
        audio_features: torch.Tensor | None = None,
        *,
        skip_audio: bool = False,
        skip_vq: bool = False,
        cutoff: int | None = None,
        allowed: torch.Tensor | None = None,
    ) -> AutoEncoded:
        """The loss of stages 1-1 (skip_audio), 1-2 (skip_vq) and 1-3: units given recording, text and speaker.

        Args:
            asr_token_ids, asr_word_ids: int64 [B, A]. speech_token_ids: int64 [B, S]. Lengths: int64 [B].
            speaker_embeds: [B, E]. audio_features: [B, F, M]; None only with skip_audio.
            cutoff: last level of the quantiser, None = drawn in training. allowed: see `JointEncoderSegmenter`.
        """
        heard = None
        if not skip_audio:
            heard = self.audio_tower(
                audio_features,
                asr_token_ids,
                asr_token_lengths,
                asr_word_ids,
                quantise=not skip_vq,
                cutoff=cutoff,
                allowed=allowed,
            )
        made = self.speech_decoder(
            asr_token_ids,
            asr_token_lengths,
            speaker_embeds,
            None if heard is None else heard.embeds,
            speech_token_ids,
            speech_token_lengths,
        )
        committed = 0 if heard is None or heard.losses is None else heard.losses.sum()
        return AutoEncoded(made.loss + committed, made, heard)

    @torch.no_grad()
    def extract_codes(
        self,
        audio_features: torch.Tensor,
        asr_token_ids: torch.Tensor,
        asr_token_lengths: torch.Tensor,
        asr_word_ids: torch.Tensor,
        llm_token_lengths: torch.Tensor,
        llm_word_ids: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`extract_vq`: code tuples at the recogniser's tokens int64 [B, A, Q] and the language model's [B, T, Q]."""
        heard = self.audio_tower(audio_features, asr_token_ids, asr_token_lengths, asr_word_ids)
        codes = codes_to_words(
            heard.codes.cpu(), asr_word_ids.cpu(), asr_token_lengths.cpu(), llm_word_ids.cpu(), llm_token_lengths.cpu()
        )
        return heard.codes, codes.to(heard.codes.device)

    # Stage 2: spoken language model

    @torch.no_grad()
    def score(
        self,
        llm_token_ids: torch.Tensor,
        llm_token_lengths: torch.Tensor,
        llm_word_ids: torch.Tensor,
        llm_indices: torch.Tensor,
    ) -> torch.Tensor:
        """How unlikely spoken items are [B]: of each the combined loss by itself, the published stand-in for a
        likelihood. Nothing is drawn, also in training mode."""
        rows, training = [], self.training
        self.eval()
        for row, count in enumerate(llm_token_lengths.tolist()):
            text = (llm_token_ids[row : row + 1, :count], llm_token_lengths[row : row + 1])
            codes = llm_indices[row : row + 1, :count]
            words = llm_word_ids[row : row + 1, :count]
            rows.append(self.spoken_lm(*text, words, codes, self.audio_tower.quantiser).loss)
        self.train(training)
        return torch.stack(rows)

    @torch.no_grad()
    def predicted_embeds(
        self,
        llm_token_ids: torch.Tensor,
        llm_token_lengths: torch.Tensor,
        llm_word_ids: torch.Tensor,
        llm_indices: torch.Tensor,
        asr_word_ids: torch.Tensor,
        asr_token_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes that the language model predicts when it is told text and codes before: vectors at the recogniser's
        tokens [B, A, D], and all codes int64 [B, P, Q]."""
        quantiser = self.audio_tower.quantiser
        inputs, labels, _ = self.spoken_lm.batch(llm_token_ids, llm_token_lengths, llm_word_ids, llm_indices, quantiser)
        codes = self.spoken_lm.codes(self.spoken_lm.language_model(inputs), quantiser)
        embeds = quantiser.project(torch.zeros(*asr_word_ids.shape, quantiser.latent_width, device=codes.device))
        for row, length in enumerate(asr_token_lengths.tolist()):
            said = codes[row][(labels[row] >= 0).all(-1)]
            embeds[row, :length] = self.audio_tower.embeds(codes_at_tokens(said, asr_word_ids[row, :length]))
        return embeds, codes

    @torch.no_grad()
    def inference_reconstruction(
        self,
        speaker_embeds: torch.Tensor,
        asr_token_ids: torch.Tensor,
        asr_token_lengths: torch.Tensor,
        asr_word_ids: torch.Tensor,
        audio_features: torch.Tensor | None = None,
        llm_token_ids: torch.Tensor | None = None,
        llm_token_lengths: torch.Tensor | None = None,
        llm_word_ids: torch.Tensor | None = None,
        audio_unit_embeds: torch.Tensor | None = None,
        *,
        model_mode: str = "SpeechAutoEncoder",
        sampling: UnitSampling | None = None,
        draws: UnitDraws | None = None,
        observer: Any = None,
        llm_indices: torch.Tensor | None = None,
        audio_feature_lengths: torch.Tensor | None = None,
        speech_token_ids: torch.Tensor | None = None,
        speech_token_lengths: torch.Tensor | None = None,
    ) -> dict[str, Any]:
        """Units of a recording that went through the codec, or in mode SpokenLLM through the language model too.

        Args:
            audio_unit_embeds: [B, A, D] in place of what the recording gives (text-aligned editing).
            llm_indices, audio_feature_lengths, speech_token_*: taken and not used, as published.

        Returns:
            "speech_token_ids" int64 [1, S] (a list of rows for several), "speech_token_lengths", "audio_unit_embeds".

        Raises:
            ValueError: an unknown mode.
        """
        if model_mode not in MODES:
            raise ValueError(f"model_mode is {model_mode!r}, known are {', '.join(MODES)}")
        if audio_unit_embeds is None or model_mode == "SpokenLLM":
            text = (asr_token_ids, asr_token_lengths, asr_word_ids)
            if model_mode == "SpokenLLM":
                codes = self.extract_codes(audio_features, *text, llm_token_lengths, llm_word_ids)[1]
                audio_unit_embeds, _ = self.predicted_embeds(
                    llm_token_ids, llm_token_lengths, llm_word_ids, codes, asr_word_ids, asr_token_lengths
                )
            else:
                audio_unit_embeds = self.audio_tower(audio_features, *text).embeds
        units = self.make_units(
            asr_token_ids, asr_token_lengths, speaker_embeds, audio_unit_embeds, sampling, draws, observer
        )
        return {**unit_result(units), "audio_unit_embeds": audio_unit_embeds}

    def make_units(
        self,
        asr_token_ids: torch.Tensor,
        asr_token_lengths: torch.Tensor,
        speaker_embeds: torch.Tensor,
        audio_unit_embeds: torch.Tensor | None,
        sampling: UnitSampling | None = None,
        draws: UnitDraws | None = None,
        observer: Any = None,
    ) -> list[torch.Tensor]:
        """Units int64 [S_b] of each row, whatever decoder the model has."""
        draws = draws or SeededDraws([0] * len(asr_token_ids))
        extra = {} if observer is None else {"observer": observer}
        return self.speech_decoder.decode(
            asr_token_ids, asr_token_lengths, speaker_embeds, audio_unit_embeds, draws, sampling, **extra
        )

    def inference_completion(self, **options: Any) -> dict[str, Any]:
        """Speak on, see `completion.complete`."""
        from unisono.families.taste.completion import complete

        return complete(self, **options)
