"""The aligner: which frame of the sound each text token belongs to.

Axes: B batch, N samples, L logit rows of 1/50 s, T tokens, V vocabulary, C columns of the vocabulary that are kept,
F frames of the budget, ceil(seconds * 50).
Source: spec/tada.md sections 2.4 and 5, quirks 17 to 20.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from unisono.align.agreement import LEAST, agreement
from unisono.align.search import search_tokens
from unisono.errors import AlignmentError, CheckpointError, InputError
from unisono.families.tada.companions import codec_of, tokenizer_of
from unisono.files import Checkpoint
from unisono.interface import Tokenizer

FRAMES_PER_SECOND = 50
# What `facebook/wav2vec2-large` says of itself; the tensor names do not tell a stable-layer-norm model from this one.
WAV2VEC2_LARGE: Mapping[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_dim": (512,) * 7,
    "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
    "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    "conv_bias": False,
    "feat_extract_norm": "group",
    "do_stable_layer_norm": False,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "layer_norm_eps": 1e-5,
}
_FRONTENDS = {"wav2vec2": (16000, 320, 400), "log_mel": (24000, 480, 1)}  # sample rate, hop, fewest samples


@dataclass
class AlignerConfig:
    """Sizes and choices of an aligner; the defaults are the published model.

    Attributes:
        base_model_name: published network; only "facebook/wav2vec2-large" is known by name.
        tokenizer_name: hub name of the tokenizer that made the vocabulary.
        emb_dim: published key without effect.
        vocab_size: number of logits V.
        eos_token_id: padding id, removed before aligning; a tokenizer given to the aligner overrules it.
        frontend: "wav2vec2" (raw 16 kHz) or "log_mel" (the small `MelCTC`, 24 kHz).
        score: "logits", as published, or "log_softmax" over the vocabulary; what the search adds up.
        wav2vec2_config: keys that differ from wav2vec2-large.
        mel_ctc_config: keyword arguments of `MelCTC` beside the vocabulary.
        word_lead: seconds from the start of a word to the mark of its first token, for word times. Measured against
            forced alignment for the small model: median 0.05, half of the words between 0.03 and 0.07.
        least_agreement: under which a transcript is doubted (`align.agreement`); 0 for an aligner without training.
    """

    base_model_name: str = "facebook/wav2vec2-large"
    tokenizer_name: str = "meta-llama/Llama-3.2-1B"
    emb_dim: int = 4096
    vocab_size: int = 128256
    eos_token_id: int = 128001
    frontend: str = "wav2vec2"
    score: str = "logits"
    wav2vec2_config: dict[str, Any] = field(default_factory=dict)
    mel_ctc_config: dict[str, Any] = field(default_factory=dict)
    word_lead: float = 0.05
    least_agreement: float = LEAST

    def __post_init__(self) -> None:
        if self.frontend not in _FRONTENDS:
            raise CheckpointError(f"aligner frontend {self.frontend!r} is unknown: use one of {sorted(_FRONTENDS)}")
        if self.score not in ("logits", "log_softmax"):
            raise CheckpointError(f"aligner score {self.score!r} is unknown: use 'logits' or 'log_softmax'")


class AlignerOutput(NamedTuple):
    """`token_positions` int64 [B, T], 1-based, 0 where padded; `token_masks` int64 [B, F], 1 at chosen frames."""

    token_positions: torch.Tensor
    token_masks: torch.Tensor


class Found(NamedTuple):
    """Marks of one item: `marks` int64 [T], 1-based; what they were found in: `logits` float32 [L, C], `place` [T]."""

    marks: torch.Tensor
    logits: np.ndarray
    place: np.ndarray

    def agreement(self) -> float:
        """How well text and sound agree (`align.agreement`)."""
        return agreement(self.logits, self.place)


class Aligner(Checkpoint, nn.Module):
    """CTC-style network over the tokenizer's vocabulary and the monotonic search; made in evaluation mode.

    `Aligner.from_pretrained(codec, subfolder="aligner")`, or "aligner-de" and so on; the tokenizer, which only calls
    with text need, is set by whoever loads it, or found when it is first needed.
    """

    codec: Path | None = None  # where a tokenizer that was not set is looked for; None = nowhere

    config_class = AlignerConfig

    def __init__(self, config: AlignerConfig | None = None, tokenizer: Tokenizer | None = None) -> None:
        super().__init__()
        self.config = config or AlignerConfig()
        self.tokenizer = tokenizer
        self.sample_rate, self.hop, self.shortest = _FRONTENDS[self.config.frontend]
        self.encoder = _build_encoder(self.config)
        self.eval()  # aligning with dropout or SpecAugment would be random; training switches it on itself

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, subfolder: str = "", *place: Any, **rest: Any) -> Self:
        """`Checkpoint.from_pretrained`, in which the aligner also learns where its tokenizer may be."""
        aligner = super().from_pretrained(name_or_path, subfolder, *place, **rest)
        aligner.codec = codec_of(name_or_path, subfolder)
        return aligner

    @property
    def eos_id(self) -> int:
        """Id that pads token rows."""
        return self.config.eos_token_id if self.tokenizer is None else self.tokenizer.eos_id

    @torch.no_grad()
    def forward(
        self,
        audio: torch.Tensor,
        text: str | Sequence[str] | None = None,
        text_tokens: torch.Tensor | None = None,
        audio_length: torch.Tensor | None = None,
        sample_rate: int = 24000,
        inference_window_size: float | None = None,
        inference_window_stride: float | None = None,
    ) -> AlignerOutput:
        """Align texts with sounds, item by item: a row of a batch is what it would be alone.

        Args:
            audio: [B, N] at `sample_rate`, raw (not normalised).
            text: one text per item, tokenised without special tokens; or
            text_tokens: int64 [B, T] or [B, 1, T], padded with the eos id.
            audio_length: [B], samples at `sample_rate`; all of `audio` without it.
            inference_window_size, inference_window_stride: seconds; sounds longer than a window are run in pieces.

        Raises:
            AlignmentError: no token, or more tokens than frames.
            InputError: arguments that do not fit together.
        """
        rows = self._token_rows(text, text_tokens, len(audio))
        lengths = audio_length if audio_length is not None else torch.tensor([x.shape[-1] for x in audio])
        lengths = lengths.reshape(-1).to(torch.float32).cpu()
        if audio.ndim != 2 or len(rows) != len(audio) or len(lengths) != len(audio):
            raise InputError(
                f"the aligner got audio {tuple(audio.shape)} with {len(rows)} texts and {len(lengths)} lengths; "
                "it wants audio [batch, samples] and one text and one length for each row"
            )
        window = None if inference_window_size is None else (inference_window_size, inference_window_stride)
        budgets = frame_budget(lengths, sample_rate)
        found = []
        for index, (wave, ids) in enumerate(zip(audio, rows, strict=True)):
            kept = self._cut(wave, float(lengths[index]), int(budgets[index]), sample_rate, batch=len(audio))
            found.append(self.find(kept, ids, int(budgets[index]), sample_rate, window).marks)
        positions = nn.utils.rnn.pad_sequence(found, batch_first=True)  # [B, T]
        masks = torch.zeros(len(found), int(budgets.max()), dtype=torch.int64)  # [B, F]
        for mask, marks in zip(masks, found, strict=True):
            mask[marks - 1] = 1
        return AlignerOutput(positions.to(audio.device), masks.to(audio.device))

    @torch.no_grad()
    def logits(
        self,
        audio: torch.Tensor,
        sample_rate: int = 24000,
        columns: torch.Tensor | None = None,
        window: tuple[float, float | None] | None = None,
    ) -> torch.Tensor:
        """Logits of one sound [N]: [L, V], or [L, C] for the vocabulary ids in `columns` [C].

        Raises AlignmentError for a sound shorter than one frame.
        """
        return torch.cat(list(self._rows(self._resampled(audio, sample_rate), columns, window)))

    def _resampled(self, audio: torch.Tensor, sample_rate: int) -> torch.Tensor:
        """A sound [N] at the network's own rate. Raises AlignmentError for one shorter than a frame."""
        from unisono.audio import resample_sinc

        wave = resample_sinc(audio, sample_rate, self.sample_rate) if len(audio) else audio
        if wave.shape[-1] < self.shortest:
            raise AlignmentError(
                f"the sound has {wave.shape[-1]} samples at {self.sample_rate} Hz, "
                f"the aligner needs {self.shortest} or more: use a longer recording"
            )
        return wave

    def _token_rows(
        self, text: str | Sequence[str] | None, text_tokens: torch.Tensor | None, batch: int
    ) -> list[torch.Tensor]:
        """Token ids [T] of every item, eos removed."""
        if text_tokens is None:
            if text is None:
                raise InputError("the aligner got neither text nor text_tokens: give one of them")
            if self.tokenizer is None and self.codec is not None:
                self.tokenizer = tokenizer_of(self.codec)
            if self.tokenizer is None:
                raise InputError("the aligner has no tokenizer: set `aligner.tokenizer` or give text_tokens")
            texts = [text] if isinstance(text, str) else text
            rows = [torch.tensor(self.tokenizer.encode(item), dtype=torch.int64) for item in texts]
        else:
            rows = list(text_tokens.reshape(batch, -1).to("cpu", torch.int64))
        return [row[row != self.eos_id] for row in rows]

    def _cut(self, wave: torch.Tensor, length: float, budget: int, sample_rate: int, batch: int) -> torch.Tensor:
        """Wave [N] without its padding.

        A lone sound keeps a tail that stays within its last frame, as published (golden case `length_minus_400`);
        longer padding would attract tokens to frames beyond the budget (quirk 18).
        """
        whole = int(frame_budget(torch.tensor([float(wave.shape[-1])]), sample_rate)[0])
        return wave if batch == 1 and whole == budget else wave[: math.ceil(length)]

    @torch.no_grad()
    def find(
        self,
        wave: torch.Tensor,
        ids: torch.Tensor,
        budget: int,
        sample_rate: int,
        window: tuple[float, float | None] | None = None,
    ) -> Found:
        """Marks of tokens [T] in one wave [N] of `budget` frames, and what tells how well they fit.

        Raises:
            AlignmentError: no token, more tokens than frames, or ids beyond the vocabulary.
        """
        if len(ids) == 0:
            raise AlignmentError("there is no token to align: give a text with at least one token")
        if int(ids.min()) < 0 or int(ids.max()) >= self.config.vocab_size:
            raise AlignmentError(
                f"token id {int(ids.max())} is outside the aligner's vocabulary of {self.config.vocab_size}: "
                "text and aligner belong to different tokenizers"
            )
        # Distinct ids only, so that a token that comes twice has bit-equal scores and the tie rules hold; the blank,
        # id 0, is what the agreement is relative to.
        columns = torch.unique(torch.cat([ids, ids.new_zeros(1)]))  # [C], sorted
        place = torch.searchsorted(columns, ids).numpy()
        logits, scores = (rows[:budget].numpy() for rows in self._evidence(wave, columns, sample_rate, window))
        return Found(torch.from_numpy(search_tokens(scores, place)) + 1, logits, place)

    def _evidence(
        self, audio: torch.Tensor, columns: torch.Tensor, sample_rate: int, window: tuple[float, float | None] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, and what the search adds up, each float32 [L, C] on the CPU, for the ids in `columns` [C]."""
        relative = self.config.score == "log_softmax"
        logits, scores = [], []
        for rows in self._rows(self._resampled(audio, sample_rate), None if relative else columns, window):
            rows = rows.float()
            own = rows[:, columns.to(rows.device)] if relative else rows
            logits.append(own.cpu())
            if relative:
                scores.append((own - rows.logsumexp(-1, keepdim=True)).cpu())
        found = torch.cat(logits)
        return found, torch.cat(scores) if relative else found

    def _run(self, wave: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
        """Wave [N] at the network's own rate -> logits [L, V] or [L, C]."""
        head = self.encoder.lm_head
        wave = wave.to(head.weight)[None]
        if columns is None or self.config.frontend != "wav2vec2":
            output = self.encoder(wave)
            logits = output.logits if self.config.frontend == "wav2vec2" else output
            return logits[0] if columns is None else logits[0][:, columns.to(logits.device)]
        # 128256 logits a frame would be 25 MB a second of sound; the search reads T of them.
        columns = columns.to(head.weight.device)
        hidden = self.encoder.wav2vec2(wave).last_hidden_state[0]  # [L, H]
        return functional.linear(hidden, head.weight[columns], head.bias[columns])

    def _rows(
        self, wave: torch.Tensor, columns: torch.Tensor | None, window: tuple[float, float | None] | None
    ) -> Iterator[torch.Tensor]:
        """All rows of logits [L, V] or [L, C] of a wave [N] at the network's own rate, in order, some at a time.

        With a window (seconds, and seconds from one to the next) longer sounds are run in pieces, rows of overlaps
        averaged; rows that no window made are 0 (quirk 20).
        """
        if window is None:
            yield self._run(wave, columns)
            return
        size, stride = window
        span = int(self.sample_rate * size)
        step = span if stride is None else int(self.sample_rate * stride)
        total = wave.shape[-1]
        if span < self.shortest or step < 1:
            raise InputError(f"window of {size} s every {stride} s cannot be used: both must be longer than a frame")
        if total <= span:
            yield self._run(wave, columns)
            return
        count = total // self.hop if self.config.frontend == "wav2vec2" else math.ceil(total / self.hop)
        at, added, counts = 0, None, None  # rows before `at` are done; sums and numbers of those behind
        for start in range(0, total, step):
            piece = wave[start : start + span]
            if len(piece) >= self.shortest:
                logits = self._run(piece, columns)
                if added is None:
                    added, counts = logits.new_zeros(0, logits.shape[-1]), logits.new_zeros(0, 1)
                first = min(start // self.hop, count)
                last = min(first + len(logits), count)
                added, counts = _longer(added, last - at), _longer(counts, last - at)
                done = first - at
                yield added[:done] / counts[:done].clamp(min=1)
                at, added, counts = first, added[done:], counts[done:]
                added[: last - first] += logits[: last - first]
                counts[: last - first] += 1
            if start + span >= total:
                break
        yield _longer(added, count - at) / _longer(counts, count - at).clamp(min=1)


def _longer(rows: torch.Tensor, length: int) -> torch.Tensor:
    """Rows [n, C] with zeros behind them up to `length`."""
    return functional.pad(rows, (0, 0, 0, max(length - len(rows), 0)))


def frame_budget(lengths: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Samples [B] at `sample_rate` -> frames of 1/50 s, int64 [B]; float32 in the published order (section 5.1)."""
    return torch.ceil(lengths.to(torch.float32) / sample_rate * FRAMES_PER_SECOND).to(torch.int64)


def _build_encoder(config: AlignerConfig) -> nn.Module:
    """The network that makes logits: transformers' Wav2Vec2ForCTC, or the small MelCTC."""
    if config.frontend == "log_mel":
        from unisono.align.mel_ctc import MelCTC

        return MelCTC(config.vocab_size, **config.mel_ctc_config)
    from transformers import AutoModelForCTC, Wav2Vec2Config

    if config.base_model_name != AlignerConfig.base_model_name:
        raise CheckpointError(
            f"aligner network {config.base_model_name!r} is unknown: use {AlignerConfig.base_model_name!r} and put "
            "other sizes into wav2vec2_config"
        )
    sizes = {**WAV2VEC2_LARGE, **config.wav2vec2_config, "vocab_size": config.vocab_size}
    return AutoModelForCTC.from_config(Wav2Vec2Config(**sizes))
