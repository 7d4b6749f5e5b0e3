"""Recording + text -> one vector per token: the codec encoder of TADA (spec section 6.4).

Axes: B batch, N samples at 24 kHz, L frames at 50 Hz, T tokens, C hidden width, D vector width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from unisono.audio.mel import StackedMel
from unisono.audio.resample import resample_sinc
from unisono.codec.attention import LocalAttentionEncoder
from unisono.codec.convnext import REACH, ConvNeXtBlock
from unisono.codec.dac import WavEncoder
from unisono.codec.segments import segments
from unisono.errors import CheckpointError, InputError
from unisono.families.tada.companions import FindsAligner

SAMPLE_RATE = 24000
TAIL_SAMPLES = 960  # silence appended so that the last marks lie inside the frames (spec section 6.1)


@dataclass
class EncoderConfig:
    """Published keys and defaults (spec section 2.1); the keys after `wav_encoder_d_model` make small models.

    `frontend` "waveform" is the DAC stack, "log_mel" a stacked log-mel spectrum, two convolutions and `front_blocks`
    ConvNeXt blocks. `vector_norm` puts a layer norm without weights on the vectors, so that the noise has a scale.
    """

    hidden_dim: int = 1024
    embed_dim: int = 512
    strides: Sequence[int] = (6, 5, 4, 4)
    num_attn_layers: int = 6
    num_attn_heads: int = 8
    attn_dim_feedforward: int = 4096
    attn_dropout: float = 0.1
    dist_type: str = "fixed"
    block_attention: str = "v2"
    num_frames_per_second: int = 50
    std: float = 0.5
    acoustic_mean: float = 0.0
    acoustic_std: float = 1.5
    wav_encoder_d_model: int = 64
    frontend: str = "waveform"
    mel_bands: int = 100
    front_blocks: int = 0
    vector_norm: bool = False
    max_frames: int = 8192


@dataclass
class EncoderOutput:
    """The published prompt object: everything the language model and the decoder need of a recording.

    Attributes:
        audio [B, N] at 24 kHz, audio_len [B] in samples, text (normalised), text_tokens [B, T], text_tokens_len [B],
        token_positions [B, T] 1-based, token_masks [B, L], token_values [B, T, D] (normalised, what the language
        model sees), encoded_expanded [B, L, D] (not normalised, what the decoder reconstructs from).
    """

    audio: torch.Tensor
    audio_len: torch.Tensor
    text: list[str]
    text_tokens: torch.Tensor
    text_tokens_len: torch.Tensor
    token_positions: torch.Tensor
    token_masks: torch.Tensor
    token_values: torch.Tensor
    encoded_expanded: torch.Tensor
    sample_rate: int = SAMPLE_RATE
    non_sampled_encoded_expanded: torch.Tensor | None = None

    def save(self, path: str | Path) -> None:
        """Write the prompt as `.safetensors` (tensors, texts in the header); never pickle."""
        from unisono.files import save_tensors

        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = {k: v.contiguous() for k, v in tensors.items() if isinstance(v, torch.Tensor)}
        save_tensors(path, kept, {"text": "\x1f".join(self.text), "sample_rate": str(self.sample_rate)})

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> EncoderOutput:
        """Read what `save` wrote. Raises CheckpointError for a damaged or foreign file."""
        from unisono.files import load_tensors

        tensors, header = load_tensors(path)
        moved = {name: value.to(device) for name, value in tensors.items()}
        try:
            return cls(**moved, text=header["text"].split("\x1f"), sample_rate=int(header["sample_rate"]))
        except (KeyError, TypeError, ValueError) as problem:
            raise CheckpointError(f"{path} holds no prompt ({problem}): save one with EncoderOutput.save") from problem

    @classmethod
    def empty(cls, embed_dim: int = 512) -> EncoderOutput:
        """A prompt without a voice: text [""], no tokens, one zero vector (spec section 6.4)."""
        nothing = torch.zeros(1, 0, dtype=torch.long)
        return cls(
            audio=torch.zeros(1, 0),
            audio_len=torch.zeros(1),
            text=[""],
            text_tokens=nothing,
            text_tokens_len=torch.zeros(1, dtype=torch.long),
            token_positions=nothing,
            token_masks=nothing,
            token_values=torch.zeros(1, 0, embed_dim),
            encoded_expanded=torch.zeros(1, 0, embed_dim),
        )

    def print_alignment(self, tokenizer: object) -> None:
        """Print the tokens at their frames, one dot per frame between marks (first item of the batch)."""
        pieces, at = [], 0
        count = int(self.text_tokens_len[0])
        tokens, positions = self.text_tokens[0, :count].tolist(), self.token_positions[0, :count].tolist()
        for token, position in zip(tokens, positions, strict=True):
            pieces.append("·" * max(position - at - 1, 0) + tokenizer.decode([token]))
            at = position
        print(f"{count} tokens | {float(self.audio_len[0]) / self.sample_rate:.2f}s audio")
        print("".join(pieces))


class MelFront(nn.Module):
    """Stacked log-mel and two convolutions: waveform [B, N] -> features [B, C, L], L = ceil(N / 480)."""

    def __init__(self, hidden_dim: int, bands: int, blocks: int) -> None:
        super().__init__()
        self.mel = StackedMel(SAMPLE_RATE, bands)
        self.convs = nn.Sequential(
            nn.Conv1d(self.mel.channels, hidden_dim, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(hidden_dim, hidden_dim, 3, padding=1),
        )
        self.blocks = nn.ModuleList(ConvNeXtBlock(hidden_dim, 2 * hidden_dim, 1 / blocks) for _ in range(blocks))

    @property
    def margin(self) -> int:
        """Frames to each side that take part in one frame."""
        mel = self.mel.mel
        side = math.ceil((mel.n_fft - mel.hop) / 2 / (2 * mel.hop))
        return side + 2 + REACH * len(self.blocks)  # spectrum, two convolutions k3, blocks

    def frame_count(self, samples: int) -> int:
        """L, frames of so many samples."""
        return -(-samples // (2 * self.mel.mel.hop))

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        """[B, 1, N] -> [B, C, L]."""
        x = self.convs(self.mel(wave[:, 0]))
        for block in self.blocks:
            x = block(x)
        return x


@dataclass
class LatentNoise:
    """Where latent noise comes from: a generator, or recorded draws (golden tests) consumed in order."""

    generator: torch.Generator | None = None
    recorded: list[torch.Tensor] = field(default_factory=list)

    def draw(self, shape: Sequence[int], like: torch.Tensor) -> torch.Tensor:
        """Standard normal numbers of `shape`, on the device and in the dtype of `like`."""
        if self.recorded:
            return self.recorded.pop(0).to(like)
        return torch.randn(*shape, generator=self.generator).to(like)


class Encoder(FindsAligner, nn.Module):
    """Audio and text to aligned vectors; `Encoder.from_pretrained(codec, subfolder="encoder", language=None)`."""

    config_class = EncoderConfig
    ignored_keys = ("_precomputed_mask",)
    optional_keys = ("rope_freqs",)

    def __init__(self, config: EncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or EncoderConfig()
        if config.frontend == "waveform":
            self.wav_encoder = WavEncoder(config.wav_encoder_d_model, config.strides, config.hidden_dim)
        elif config.frontend == "log_mel":
            self.wav_encoder = MelFront(config.hidden_dim, config.mel_bands, config.front_blocks)
        else:
            raise ValueError(f"encoder frontend {config.frontend!r}, expected waveform or log_mel")
        self.local_attention_encoder = LocalAttentionEncoder(
            config.hidden_dim,
            config.num_attn_layers,
            config.num_attn_heads,
            config.attn_dim_feedforward,
            config.attn_dropout,
            max_frames=config.max_frames,
        )
        differs = config.hidden_dim != config.embed_dim
        self.hidden_linear = nn.Linear(config.hidden_dim, config.embed_dim) if differs else nn.Identity()
        self.vector_norm = nn.LayerNorm(config.embed_dim, elementwise_affine=False) if config.vector_norm else None
        self.pos_emb = nn.Embedding(2, config.hidden_dim)

    def frames(
        self, wave: torch.Tensor, masks: torch.Tensor, window: int | None = None, stride: int | None = None
    ) -> torch.Tensor:
        """Encode every frame.

        Args:
            wave: [B, N] at 24 kHz. masks: token marks [B, <=L]; shorter ones are padded with zeros.
            window, stride: frames, for long recordings.

        Returns:
            [B, L, D].
        """
        hidden = self.front(wave)
        return self.attend(hidden, fit_length(masks, hidden.shape[1]), window, stride)

    def front(self, wave: torch.Tensor, padded: bool = True) -> torch.Tensor:
        """Frames of the front end [B, L, C] from a wave [B, N]; `padded` appends the silence that ends a recording."""
        wave = functional.pad(wave, (0, TAIL_SAMPLES)) if padded else wave
        return self.wav_encoder(wave[:, None]).transpose(1, 2)

    def attend(
        self,
        hidden: torch.Tensor,
        masks: torch.Tensor,
        window: int | None = None,
        stride: int | None = None,
        first: int = 0,
    ) -> torch.Tensor:
        """Front-end frames [B, L, C], the first at position `first`, and marks [B, L] -> encoded frames [B, L, D]."""
        hidden = hidden + self.pos_emb(masks.long())
        blocks = segments(masks, f"encoder_{self.config.block_attention}")
        encoded = self.hidden_linear(self.local_attention_encoder(hidden, blocks, window, stride, first))
        return encoded if self.vector_norm is None else self.vector_norm(encoded)

    @property
    def margin(self) -> int:
        """Frames of sound to each side that take part in one frame of the front end."""
        return self.wav_encoder.margin

    def frame_count(self, samples: int) -> int:
        """L, frames of a recording of so many samples at 24 kHz."""
        return self.wav_encoder.frame_count(samples + TAIL_SAMPLES)

    def add_noise(self, expanded: torch.Tensor, masks: torch.Tensor, noise: LatentNoise) -> torch.Tensor:
        """Latent noise at marked frames: "fixed" std·N, or "gaussian" with one random scale per frame."""
        std = self.config.std
        if std == 0:
            return expanded
        if self.config.dist_type == "gaussian":
            scale = noise.draw(expanded.shape[:2], expanded) * (std / 0.8)
            added = scale[..., None] * noise.draw(expanded.shape, expanded)
        elif self.config.dist_type == "fixed":
            added = std * noise.draw(expanded.shape, expanded)
        else:
            raise InputError(f"latent distribution {self.config.dist_type!r}, expected fixed or gaussian")
        return torch.where(masks.bool()[..., None], expanded + added, expanded)

    @torch.no_grad()
    def forward(
        self,
        audio: torch.Tensor,
        text: list[str] | None = None,
        text_tokens: torch.Tensor | None = None,
        text_token_len: torch.Tensor | None = None,
        audio_length: torch.Tensor | None = None,
        token_positions: torch.Tensor | None = None,
        token_masks: torch.Tensor | None = None,
        sample_rate: int = SAMPLE_RATE,
        sample: bool = True,
        window: float | None = None,
        stride: float | None = None,
        noise: LatentNoise | None = None,
    ) -> EncoderOutput:
        """Align and encode.

        Args:
            audio: [B, N] in [-1, 1] at `sample_rate`. text: B transcripts, normalised here; or `text_tokens` [B, T]
            with `text_token_len`. audio_length: [B] samples at `sample_rate`, default all.
            token_positions, token_masks: given marks; the aligner is then not used.
            sample: add latent noise (the published default). window, stride: seconds, for long recordings.

        Raises:
            InputError: neither text nor marks were given. AlignmentError: more tokens than frames.
        """
        if audio_length is None:
            audio_length = torch.full((audio.shape[0],), audio.shape[1], device=audio.device)
        wave = resample_sinc(audio, sample_rate, SAMPLE_RATE)
        if sample_rate != SAMPLE_RATE:
            audio_length = audio_length * SAMPLE_RATE / sample_rate
        texts = list(text) if text is not None else [""] * audio.shape[0]
        if token_positions is None or token_masks is None:
            texts, text_tokens, text_token_len = self._tokenize(text, text_tokens, text_token_len, audio.device)
            token_positions, token_masks = self._align(wave, text_tokens, audio_length, window, stride)
        text_tokens = torch.zeros_like(token_positions) if text_tokens is None else text_tokens
        text_token_len = (token_positions > 0).sum(-1) if text_token_len is None else text_token_len
        per_second = self.config.num_frames_per_second
        spans = [None if seconds is None else int(seconds * per_second) for seconds in (window, stride)]
        encoded = self.frames(wave, token_masks, *spans)
        masks = fit_length(token_masks, encoded.shape[1])
        clean = torch.where(masks.bool()[..., None], encoded, torch.zeros_like(encoded))
        expanded = self.add_noise(clean, masks, noise or LatentNoise()) if sample else clean
        return EncoderOutput(
            audio=wave,
            audio_len=audio_length,
            text=texts,
            text_tokens=text_tokens,
            text_tokens_len=text_token_len,
            token_positions=token_positions,
            token_masks=masks,
            token_values=self.values_at(expanded, token_positions),
            encoded_expanded=expanded,
            non_sampled_encoded_expanded=clean,
        )

    def values_at(self, expanded: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Normalised vectors [B, T, D] at 1-based positions [B, T] (0 = padding, reads frame 0)."""
        index = (positions - 1).clamp_min(0)[..., None].expand(-1, -1, expanded.shape[-1])
        return (expanded.gather(1, index) - self.config.acoustic_mean) / self.config.acoustic_std

    def _align(
        self,
        wave: torch.Tensor,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        window: float | None,
        stride: float | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions [B, T] and masks [B, L] by the aligner; wave [B, N] and lengths [B] at 24 kHz."""
        return self.aligner(
            wave,
            text_tokens=tokens,
            audio_length=lengths,
            sample_rate=SAMPLE_RATE,
            inference_window_size=window,
            inference_window_stride=stride,
        )

    def _tokenize(
        self,
        text: list[str] | None,
        text_tokens: torch.Tensor | None,
        lengths: torch.Tensor | None,
        device: torch.device,
    ) -> tuple[list[str], torch.Tensor, torch.Tensor]:
        if text is None:
            if text_tokens is None:
                raise InputError(
                    "the encoder needs the text of the recording, its tokens, or token positions and masks"
                )
            text = [""] * text_tokens.shape[0]
            if lengths is None:
                lengths = torch.full((text_tokens.shape[0],), text_tokens.shape[1], device=device)
            return text, text_tokens, lengths
        from unisono.text import normalize

        spoken = [normalize(item, style="tada").spoken for item in text]
        rows = [self.tokenizer.encode(item) for item in spoken]
        width = max(map(len, rows))
        filled = [row + [self.tokenizer.eos_id] * (width - len(row)) for row in rows]
        return spoken, torch.tensor(filled, device=device), torch.tensor([len(row) for row in rows], device=device)


def fit_length(masks: torch.Tensor, length: int) -> torch.Tensor:
    """Marks [B, ·] cut or zero-padded to [B, length]."""
    if masks.shape[1] >= length:
        return masks[:, :length]
    return functional.pad(masks, (0, length - masks.shape[1]))
