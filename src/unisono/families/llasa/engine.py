"""Speech codes from a Llama, through transformers' `generate`: constrained, seeded row by row, in rounds or batches.

Axes: B rows, P prompt positions, T frames, V vocabulary, Q = 1 code books.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from unisono.errors import GenerationWarning, InputError
from unisono.families.fixed_rate.card import Card
from unisono.families.fixed_rate.options import NO_ACCELERATION, CodeOptions
from unisono.families.fixed_rate.pieces import Piece, fewest
from unisono.families.llasa.accelerate import Generated, draft_in_groups, draft_with_library
from unisono.families.llasa.codec import XCodec
from unisono.families.llasa.controls import CONTROLS
from unisono.families.llasa.prompt import PromptMaker
from unisono.families.llasa.vocabulary import Vocabulary, code_name
from unisono.families.makers import Maker, maker_of
from unisono.interface import Token
from unisono.lm.seeded import Key, NotBefore, OnlyThese, SeededChoice
from unisono.text import normalize, read_script, split_chunks

BATCH = 16  # rows that are generated together
SPARE_TOKENS = 4  # a text of one token may take as long as five
LEAST_SECONDS = 1.0  # of speech that there must be room for
AS_WRITTEN = "none"


class LlasaEngine:
    """Prompts, generation and what is said of codes, for `FixedRateSpeech`.

    Args:
        model: `LlamaForCausalLM`. assistant: a smaller one with the same vocabulary, for drafting; None = none.
        codec_folder: where the codec was loaded from.
    """

    controls = CONTROLS

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        vocabulary: Vocabulary,
        codec: XCodec,
        card: Card,
        codec_folder: Path,
        assistant: Any = None,
    ) -> None:
        self.model, self.tokenizer, self.vocabulary, self.codec, self.card = model, tokenizer, vocabulary, codec, card
        self.assistant, self.codec_folder, self.device = assistant, codec_folder, str(model.device)
        self.prompts = PromptMaker(tokenizer, vocabulary, card.speaker)
        self.rate = codec.sample_rate / codec.hop

    # Text

    def pieces(self, text: str) -> list[str]:
        """The text as the model reads it, in pieces. Raises InputError for control tags, which it cannot follow."""
        script = read_script(text)
        if script.text != text:
            raise InputError(f"model {self.card.name} cannot follow control tags such as [pause:1s]: leave them away")
        if self.card.style != AS_WRITTEN:
            text = normalize(text, style=self.card.style, language=self.card.language).spoken
        return [text[start:end] for start, end in split_chunks(text, self.card.chunk_characters)]

    def prompt(self, piece: Piece) -> list[int]:
        """Prompt ids of a piece, with the codes of its voice."""
        codes = [] if piece.codes is None else piece.codes[:, 0].tolist()
        return self.prompts.ids(piece.text, piece.said, codes)

    def check(self, piece: Piece) -> None:
        """Raise InputError for a piece and voice that leave no room for a second of speech."""
        used, room = len(self.prompt(piece)), self.card.max_length
        if used + LEAST_SECONDS * self.rate > room:
            raise InputError(
                f"voice and text take {used} of the {room} positions of model {self.card.name}: use a shorter voice"
            )

    def room(self, piece: Piece) -> int:
        """Codes that fit behind the prompt of a piece."""
        return self.card.max_length - len(self.prompt(piece))

    def fewest(self, piece: Piece) -> int:
        """Codes that a piece has at least."""
        return fewest(piece.text, self.rate)

    def limit(self, piece: Piece, prompt: Sequence[int], options: CodeOptions) -> int:
        """The most codes that a piece may have."""
        tokens = len(self.prompts.text_ids(piece.text)) + SPARE_TOKENS
        return max(min(self.card.max_length - len(prompt), int(tokens * options.token_seconds * self.rate)), 1)

    # Codes

    def codes(self, piece: Piece, key: Key, options: CodeOptions) -> Iterator[torch.Tensor]:
        """Codes [t, 1] as they come, `card.window` at a time; all at once with drafted tokens."""
        limit = self.limit(piece, self.prompt(piece), options)
        if options.accelerate != NO_ACCELERATION:
            generated = self.accelerated(piece, key, options)
            self._warn(piece, generated.ids, limit)
            yield self.as_codes(generated.ids)
            return
        made: list[int] = []
        for new in self._rounds(piece, [], limit, self.card.window, key, options):
            made += new
            yield self.as_codes(new)
        self._warn(piece, made, limit)

    def extend(
        self, piece: Piece, before: Sequence[int], count: int, key: Key, options: CodeOptions
    ) -> tuple[list[int], bool]:
        """At most `count` further ids of a piece of which ids `before` are drawn, and whether it is at its end."""
        left = self.limit(piece, self.prompt(piece), options) - len(before)
        new = next(self._rounds(piece, before, min(count, left), count, key, options), [])
        return new, self.vocabulary.speech_end in new or len(new) >= left

    def batch(self, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions) -> list[torch.Tensor]:
        """Codes [T, 1] of each piece, `BATCH` rows at a time; drafting takes one row at a time."""
        if options.accelerate != NO_ACCELERATION:
            rows = zip(pieces, keys, strict=True)
            return [torch.cat(list(self.codes(piece, key, options))) for piece, key in rows]
        return [
            codes
            for first in range(0, len(pieces), BATCH)
            for codes in self._batch(pieces[first : first + BATCH], keys[first : first + BATCH], options)
        ]

    def accelerated(self, piece: Piece, key: Key, options: CodeOptions) -> Generated:
        """The new ids of a piece by drafting, and how many passes of the model they took."""
        limit = self.limit(piece, self.prompt(piece), options)
        draft = draft_in_groups if options.accelerate == "group" else draft_with_library
        return draft(self, piece, limit, key, options)

    def _rounds(
        self, piece: Piece, before: Sequence[int], limit: int, size: int, key: Key, options: CodeOptions
    ) -> Iterator[list[int]]:
        """New ids, `size` at a time, up to `limit` or with the end mark; what was read stays read between rounds."""
        from transformers import DynamicCache

        prompt, least = self.prompt(piece), [self.fewest(piece)]
        cache = {"past_key_values": DynamicCache(config=self.model.config)} if options.cache else {}
        ids = torch.tensor([[*prompt, *before]], device=self.device)
        done = 0
        while done < limit:
            count = min(size, limit - done)
            made = self.generate(ids, [key], len(prompt), count, options, least, **cache)
            new = made[0, ids.shape[1] :].tolist()
            yield new
            if self.vocabulary.speech_end in new:
                return
            ids, done = made, done + len(new)

    def _batch(self, pieces: Sequence[Piece], keys: Sequence[Key], options: CodeOptions) -> list[torch.Tensor]:
        prompts = [self.prompt(piece) for piece in pieces]
        limits = [self.limit(piece, prompt, options) for piece, prompt in zip(pieces, prompts, strict=True)]
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), self.vocabulary.pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        least = [self.fewest(piece) for piece in pieces]
        asked = (ids.to(self.device), keys, longest, max(limits), options, least)
        made = self.generate(*asked, mask=mask.to(self.device))
        rows = [row[longest:][:limit] for row, limit in zip(made.tolist(), limits, strict=True)]
        for piece, row, limit in zip(pieces, rows, limits, strict=True):
            self._warn(piece, row, limit)
        return [self.as_codes(row) for row in rows]

    @torch.inference_mode()
    def generate(
        self,
        ids: torch.Tensor,
        keys: Sequence[Key],
        start: int,
        count: int,
        options: CodeOptions,
        least: Sequence[int] = (),
        mask: torch.Tensor | None = None,
        lookup: int = 0,
        **drafting: Any,
    ) -> torch.Tensor:
        """transformers' `generate` with our processors: ids [B, P] -> ids [B, P + at most `count`].

        Args:
            keys: of each row's noise. start: positions before the first code, padding counted.
            least: codes of each row before which it cannot end. mask: 0 at padding [B, P].
            lookup: tokens to draft from what was spoken; 0 = none.
            drafting: further arguments: a cache, or an assistant model.
        """
        from transformers import GenerationConfig

        # A code is drawn by our noise, so the library is told to take the likeliest.
        config = GenerationConfig(
            do_sample=False,
            max_new_tokens=count,
            eos_token_id=self.vocabulary.speech_end,
            pad_token_id=self.vocabulary.pad,
            use_cache=options.cache,
            prompt_lookup_num_tokens=lookup or None,
        )
        return self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids) if mask is None else mask,
            generation_config=config,
            logits_processor=self.processors(keys, start, options, least),
            **drafting,
        )

    def processors(
        self, keys: Sequence[Key] | None, start: int, options: CodeOptions, least: Sequence[int] = ()
    ) -> Any:
        """What is done to logits, in order; `keys` None leaves the choice to others."""
        from transformers import (
            LogitsProcessorList,
            RepetitionPenaltyLogitsProcessor,
            TemperatureLogitsWarper,
            TopKLogitsWarper,
            TopPLogitsWarper,
        )

        steps: list[Any] = [OnlyThese(self._allowed), NotBefore(self.vocabulary.speech_end, start, least)]
        if options.repetition_penalty != 1:
            steps.append(RepetitionPenaltyLogitsProcessor(options.repetition_penalty))
        if options.temperature not in (0, 1):
            steps.append(TemperatureLogitsWarper(float(options.temperature)))
        if options.top_k:
            steps.append(TopKLogitsWarper(options.top_k))
        if options.top_p < 1:
            steps.append(TopPLogitsWarper(float(options.top_p)))
        if options.temperature and keys is not None:
            steps.append(SeededChoice(keys, start))
        return LogitsProcessorList(steps)

    @cached_property
    def _allowed(self) -> torch.Tensor:
        return self.vocabulary.allowed()

    def as_codes(self, ids: Sequence[int]) -> torch.Tensor:
        """Codes int64 [T, 1] of new ids, up to the end mark."""
        return torch.tensor(self.vocabulary.speech(ids), dtype=torch.long)[:, None]

    def _warn(self, piece: Piece, ids: Sequence[int], limit: int) -> None:
        """Say so when speech did not end by itself."""
        if self.vocabulary.speech_end not in ids and len(ids) >= limit:
            warnings.warn(
                f"{piece.text.strip()[:30]!r} did not end after {limit / self.rate:.1f} seconds and was cut: "
                "its sound is not to be trusted",
                GenerationWarning,
                stacklevel=2,
            )

    # What is said of codes

    def tokens(self, codes: torch.Tensor, first: int) -> list[Token]:
        """One token a code: its id, its name, its 1-based frame."""
        named = enumerate(codes[:, 0].tolist(), first + 1)
        return [Token(self.vocabulary.first + code, code_name(code), frame, 1) for frame, code in named]

    def maker(self) -> Maker:
        """The codec and the vocabulary, which decide what a voice means to this model."""
        return self._maker

    @cached_property
    def _maker(self) -> Maker:
        return maker_of(self.card.family, self.card.name, self.codec_folder, _Names(self.tokenizer))


class _Names:
    """A tokenizer of transformers as `maker_of` looks at one: its size and the names of its tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.vocab_size = tokenizer, len(tokenizer)

    def decode(self, ids: Sequence[int]) -> str:
        """Names of ids."""
        return " ".join(map(str, self.tokenizer.convert_ids_to_tokens(list(ids))))
