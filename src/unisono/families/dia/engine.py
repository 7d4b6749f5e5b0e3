"""Dialogues to DAC codes through transformers' Dia.

Axes: B rows, C bytes of text, P prompt frames, T frames, Q channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from unisono.errors import GenerationWarning, InputError
from unisono.families.dia.codec import DacCodec
from unisono.families.dia.controls import CONTROLS
from unisono.families.dia.delay import decoder_prompt, undelayed
from unisono.families.dia.model import EndAt
from unisono.families.dia.script import pack, read_turns
from unisono.families.fixed_rate.card import Card
from unisono.families.fixed_rate.options import CodeOptions
from unisono.families.fixed_rate.pieces import Piece, fewest
from unisono.families.makers import Maker, maker_of
from unisono.interface import Token
from unisono.lm.seeded import Key, NotBefore, SeededChoice
from unisono.text import read_script

BATCH = 8  # rows that are generated together; guidance doubles them
SPARE_BYTES = 4
LEAST_SECONDS = 1.0  # of speech that there must be room for
BYTES = 256


class DiaEngine:
    """Prompts, generation and what is said of codes, for `FixedRateSpeech`."""

    controls = CONTROLS
    dialogue = True  # of two speakers

    def __init__(self, model: Any, codec: DacCodec, card: Card, codec_folder: Path) -> None:
        from transformers import DiaTokenizer

        self.model, self.codec, self.card, self.codec_folder = model, codec, card, codec_folder
        self.config, self.device, self.tokenizer = model.config, str(model.device), DiaTokenizer()
        self.rate = codec.sample_rate / codec.hop

    # Text

    def pieces(self, text: str) -> list[str]:
        """Pieces that begin with [S1] or [S2].

        Raises:
            InputError: other speakers, turns without words, or control tags, which the model cannot follow.
        """
        if read_script(text).text != text:
            raise InputError(f"model {self.card.name} cannot follow control tags such as [pause:1s]: leave them away")
        return pack(read_turns(text), self.card.chunk_characters)

    def text_ids(self, text: str, said: str = "") -> list[int]:
        """Bytes of a text, [S1] as 1 and [S2] as 2, behind the transcript of a voice."""
        if said.strip():
            said = said.strip() if said.lstrip().startswith("[") else f"[S1] {said.strip()}"
            text = f"{said} {text}"
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def check(self, piece: Piece) -> None:
        """Raise InputError for a piece whose text or voice is too long for the model."""
        most = self.config.encoder_config.max_position_embeddings
        if (used := len(self.text_ids(piece.text, piece.said))) > most:
            raise InputError(f"text and voice text are {used} bytes long, model {self.card.name} reads {most}")
        if self._frames(piece) < LEAST_SECONDS * self.rate:
            raise InputError(
                f"the voice is {len(piece.codes)} frames long, which leaves no room in the {self._positions} "
                f"positions of model {self.card.name}: use a shorter one"
            )

    @property
    def _positions(self) -> int:
        return min(self.card.max_length, self.config.decoder_config.max_position_embeddings)

    def room(self, piece: Piece) -> int:
        """Frames that fit behind the voice of a piece; none where its text does not fit."""
        fits = len(self.text_ids(piece.text, piece.said)) <= self.config.encoder_config.max_position_embeddings
        return self._frames(piece) if fits else 0

    def _frames(self, piece: Piece) -> int:
        """Frames that fit behind BOS and the voice, with an end and the longest delay."""
        voice = 0 if piece.codes is None else len(piece.codes)
        return self._positions - voice - 2 - max(self.config.delay_pattern)

    def limit(self, piece: Piece, options: CodeOptions) -> int:
        """The most frames that a piece may have."""
        tokens = len(self.text_ids(piece.text)) + SPARE_BYTES
        return max(min(self._frames(piece), int(tokens * options.token_seconds * self.rate)), 1)

    # Codes

    def codes(self, piece: Piece, key: Key, options: CodeOptions) -> Iterator[torch.Tensor]:
        """Codes [T, Q] of a piece, all at once: delayed channels are not known until they are all there."""
        yield from self.batch([piece], [key], options)

    def batch(self, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions) -> list[torch.Tensor]:
        """Codes [T, Q] of each piece; those with the same voice `BATCH` rows at a time."""
        found: dict[int, torch.Tensor] = {}
        for rows in self._groups(pieces):
            made = self._generate([pieces[row] for row in rows], [keys[row] for row in rows], options)
            found |= dict(zip(rows, made, strict=True))
        return [found[row] for row in range(len(pieces))]

    def _groups(self, pieces: Sequence[Piece]) -> list[list[int]]:
        """Rows whose voices are as long, so that their prompts need no padding, in batches."""
        by_length: dict[int, list[int]] = {}
        for row, piece in enumerate(pieces):
            by_length.setdefault(0 if piece.codes is None else len(piece.codes), []).append(row)
        return [rows[at : at + BATCH] for rows in by_length.values() for at in range(0, len(rows), BATCH)]

    @torch.inference_mode()
    def _generate(self, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions) -> list[torch.Tensor]:
        from transformers import GenerationConfig

        audio, longest = self.config.decoder_config, max(self.config.delay_pattern)
        limits = [self.limit(piece, options) for piece in pieces]
        least = [min(fewest(piece.text, self.rate), limit) for piece, limit in zip(pieces, limits, strict=True)]
        prompts = [decoder_prompt(piece.codes, 1, self.config) for piece in pieces]
        ids, mask = (torch.cat(parts).to(self.device) for parts in zip(*prompts, strict=True))
        start = ids.shape[1] - longest
        text, text_mask = self._text_batch(pieces)
        # Of N new steps one is the end and the last ones are delays: N - 1 - longest frames.
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=max(limits) + 1 + longest,
            guidance_scale=float(options.guidance) if options.guidance != 1 else None,
            top_k=options.top_k or None,
            use_cache=options.cache,
            bos_token_id=audio.bos_token_id,
            eos_token_id=audio.eos_token_id,
            pad_token_id=audio.pad_token_id,
            decoder_start_token_id=audio.bos_token_id,
        )
        made = self.model.generate(
            text,
            attention_mask=text_mask,
            decoder_input_ids=ids,
            decoder_attention_mask=mask,
            generation_config=config,
            logits_processor=self._processors(least, limits, keys, start, options),
        )
        rows = [undelayed(row, start, self.config) for row in made.cpu()]
        for piece, row, limit in zip(pieces, rows, limits, strict=True):
            self._warn(piece, row, limit)
        return [row[:limit] for row, limit in zip(rows, limits, strict=True)]

    def _text_batch(self, pieces: Sequence[Piece]) -> tuple[torch.Tensor, torch.Tensor]:
        """Text ids [B, C], zero behind the shorter ones, and their mask."""
        rows = [self.text_ids(piece.text, piece.said) for piece in pieces]
        ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for row, values in enumerate(rows):
            ids[row, : len(values)] = torch.tensor(values)
        return ids.to(self.device), (ids != 0).long().to(self.device)

    def _processors(
        self, least: Sequence[int], limits: Sequence[int], keys: Sequence[Key], start: int, options: CodeOptions
    ) -> list[Any]:
        """What comes before the rules of the end (the first), and behind guidance and them; the last one draws."""
        from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        channels = self.config.decoder_config.num_channels
        end = self.config.decoder_config.eos_token_id
        steps: list[Any] = [NotBefore(end, start, least, channels)]
        if options.temperature != 1:  # the rules of the end look for the largest logit, which it does not change
            steps.append(TemperatureLogitsWarper(float(options.temperature)))
        if options.top_k and options.guidance == 1:  # else guidance has chosen the candidates
            steps.append(TopKLogitsWarper(options.top_k))
        if options.top_p < 1:
            steps.append(TopPLogitsWarper(float(options.top_p)))
        steps.append(EndAt(limits, channels, end, start))
        rows = [(*key, channel) for key in keys for channel in range(channels)]
        return [*steps, SeededChoice(rows, start)]

    def _warn(self, piece: Piece, codes: torch.Tensor, limit: int) -> None:
        """Say so when speech did not end by itself."""
        if len(codes) >= limit:
            warnings.warn(
                f"{piece.text.strip()[:30]!r} did not end after {limit / self.rate:.1f} seconds and was cut: "
                "its sound is not to be trusted",
                GenerationWarning,
                stacklevel=2,
            )

    # What is said of codes

    def tokens(self, codes: torch.Tensor, first: int) -> list[Token]:
        """None: a frame of nine codes is no token of text, and not at 1/50 s."""
        return []

    def maker(self) -> Maker:
        """The codec decides what a voice means to this model."""
        return self._maker

    @cached_property
    def _maker(self) -> Maker:
        return maker_of(self.card.family, self.card.name, self.codec_folder, _Bytes())


class _Bytes:
    """Dia's vocabulary as `maker_of` looks at one."""

    vocab_size = BYTES

    def decode(self, ids: Sequence[int]) -> str:
        """Numbers of bytes."""
        return " ".join(map(str, ids))
