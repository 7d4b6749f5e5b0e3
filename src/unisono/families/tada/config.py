"""Configuration of the language model: Llama's keys and TADA's, as they stand in `config.json` (spec section 2.1)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from unisono.errors import CheckpointError
from unisono.lm.gray import bit_width
from unisono.lm.llama import ROPE_TYPES, LlamaSizes

# What a type of rotary positions needs beside its base.
ROPE_NEEDS = {
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


@dataclass
class TadaConfig:
    """Keys of a Llama configuration, then TADA's own; a missing key takes the published default.

    Small models are the same class with other values. At inference latent_dropout, add_semantic_to_condition,
    acoustic_from_nth_hidden_state, dist_type and context_window do nothing.

    Attributes:
        rope_theta, rope_scaling: rotary base and scaling; rope_parameters: both in one, the newer spelling.
        acoustic_dim: A, numbers per acoustic vector. num_time_classes: durations 0 .. classes − 1 in frames.
        shift_acoustic: S, positions from a token's text to the position after its sound.
        head_layers, head_ffn_ratio, bottleneck_dim: the flow head; None = as wide as the language model.
        acoustic_mean, acoustic_std: vectors are (x − mean) / std inside the model.
    """

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-6
    use_cache: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pretraining_tp: int | None = 1
    tie_word_embeddings: bool = False
    rope_theta: float = 10000.0
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None
    attention_bias: bool = False
    attention_dropout: float = 0.0
    mlp_bias: bool = False
    model_type: str = "llama"

    acoustic_dim: int = 512
    num_time_classes: int = 1024
    latent_dropout: float = 0.0
    add_semantic_to_condition: float = 0.0
    shift_acoustic: int = 5
    acoustic_from_nth_hidden_state: int = -1
    head_layers: int = 4
    head_ffn_ratio: float = 3.0
    dist_type: str = "fixed"
    diffusion_head_type: str = "vibevoice"
    bottleneck_dim: int | None = None
    context_window: int = 8
    acoustic_mean: float = 0.0
    acoustic_std: float = 1.5

    def __post_init__(self) -> None:
        """Raise CheckpointError for values that no model can be built from."""
        if self.model_type != "llama":
            raise CheckpointError(f"model_type is {self.model_type!r}, TADA has a 'llama' backbone")
        if self.hidden_act != "silu":
            raise CheckpointError(f"hidden_act is {self.hidden_act!r}, Llama has 'silu'")
        for name in ("rope_parameters", "rope_scaling"):
            if not isinstance(getattr(self, name), dict | None):
                raise CheckpointError(f"{name} is {getattr(self, name)!r}, expected an object with rope_type")
        self._check_rope(self._rope())
        if self.diffusion_head_type != "vibevoice":
            raise CheckpointError(f"diffusion_head_type is {self.diffusion_head_type!r}, expected 'vibevoice'")
        for name in ("acoustic_dim", "head_layers", "hidden_size", "num_hidden_layers", "vocab_size"):
            if getattr(self, name) < 1:
                raise CheckpointError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.num_time_classes < 2 or self.shift_acoustic < 1 or self.acoustic_std <= 0:
            raise CheckpointError(
                f"num_time_classes {self.num_time_classes}, shift_acoustic {self.shift_acoustic} and acoustic_std "
                f"{self.acoustic_std} must be at least 2, at least 1 and above 0"
            )

    def _rope(self) -> dict[str, Any]:
        """Rotary positions in the newer spelling, with all their keys in one."""
        rope = dict(self.rope_parameters or {**(self.rope_scaling or {}), "rope_theta": self.rope_theta})
        return {"rope_type": rope.pop("type", "default"), **rope}

    def _check_rope(self, rope: dict[str, Any]) -> None:
        """Raise CheckpointError for rotary positions of an unknown type or without what their type needs."""
        if rope["rope_type"] not in ROPE_TYPES:
            raise CheckpointError(f"rope_type is {rope['rope_type']!r}, expected one of {', '.join(ROPE_TYPES)}")
        if lacking := [key for key in ROPE_NEEDS.get(rope["rope_type"], ()) if key not in rope]:
            raise CheckpointError(f"rotary positions of type {rope['rope_type']} lack {', '.join(lacking)}")

    @property
    def duration_bits(self) -> int:
        """b, Gray bits of one duration."""
        return bit_width(self.num_time_classes)

    @property
    def vector_width(self) -> int:
        """Entries the flow head emits: acoustic numbers and two durations."""
        return self.acoustic_dim + 2 * self.duration_bits

    @property
    def head_width(self) -> int:
        """Width of the flow head and of its condition."""
        return self.bottleneck_dim or self.hidden_size

    def backbone(self) -> LlamaSizes:
        """What the Llama decoder is made of."""
        return LlamaSizes(
            vocabulary=self.vocab_size,
            hidden=self.hidden_size,
            inner=self.intermediate_size,
            layers=self.num_hidden_layers,
            heads=self.num_attention_heads,
            kv_heads=self.num_key_value_heads or self.num_attention_heads,
            head_dim=self.head_dim or self.hidden_size // self.num_attention_heads,
            eps=self.rms_norm_eps,
            rope=self._rope(),
            attention_bias=self.attention_bias,
            mlp_bias=self.mlp_bias,
            attention_dropout=self.attention_dropout,
            initial_std=self.initializer_range,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TadaConfig:
        """Read the contents of a `config.json`; transformers' bookkeeping is passed over.

        Raises:
            CheckpointError: unknown keys or unusable values.
        """
        from unisono.files.checkpoint import BOOKKEEPING

        kept = {key: value for key, value in values.items() if key not in BOOKKEEPING or key == "model_type"}
        unknown = sorted(set(kept) - set(cls.__dataclass_fields__))
        if unknown:
            raise CheckpointError(f"TadaConfig does not know the keys {', '.join(unknown)}")
        return cls(**kept)

    def to_dict(self) -> dict[str, Any]:
        """Every key, as written to `config.json`."""
        return asdict(self)
