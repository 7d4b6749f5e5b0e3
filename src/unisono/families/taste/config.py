"""Configuration of TASTE: the published five dictionaries of `config.json`, read strictly (spec/taste.md section 5).

Keys of ours stand beside the published ones, always with a default that is what was published. What no published key
says (how deep the aggregator and the audio encoder of the unit decoder are) is found out from tensor names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from unisono.errors import CheckpointError
from unisono.files.checkpoint import BOOKKEEPING
from unisono.lm.llama import LlamaSizes

PUBLISHED_PREFIX = (50258, 50259, 50360, 50364)  # start, English, transcribe, no timestamps
PUBLISHED_END = 50257
QUANTISERS = ("rvq", "fsq", "none")
UNIT_DECODERS = ("autoregressive", "masked_diffusion")
ENCODERS = ("whisper", "mel_ctc")
OUT_MODULES = ("continue_latent_linear_last", "linear_last", "multi_linear_last")
# Keys of the relative encoders whose value is part of the code: another value would be another network.
FIXED_STACK = {
    "input_layer": "linear",
    "pos_enc_layer_type": "rel_pos_espnet",
    "selfattention_layer_type": "rel_selfattn",
    "normalize_before": True,
    "use_cnn_module": False,
    "macaron_style": False,
    "key_bias": True,
    "use_dynamic_chunk": False,
    "use_dynamic_left_chunk": False,
}
PASSED_STACK = frozenset(
    {"input_size", "output_size", "activation_type", "cnn_module_kernel", "causal", "cnn_module_norm"}
)


@dataclass(frozen=True)
class StackSizes:
    """One stack of relative self-attention blocks (section 1.4)."""

    attention_heads: int = 8
    linear_units: int = 2048
    num_blocks: int = 3
    dropout_rate: float = 0.1
    positional_dropout_rate: float = 0.1
    attention_dropout_rate: float = 0.0
    static_chunk_size: int = 1


@dataclass(frozen=True)
class Segmenter:
    """`kwargs_for_joint_encoder_segmenter`. Ours: encoder, encoder_from, prefix_ids, end_id, aggregator_layers.

    Attributes:
        encoder: "whisper", or "mel_ctc", the network of our small aligners on 24 kHz log-mel frames.
        encoder_from: "aligner" where the file leaves the encoder out, because it is that of the model's aligner.
        target_hidden_layer: which hidden state of the encoder gives the values; 0 is what enters its first layer.
        prefix_ids, end_id: what stands before and behind the text in the aggregator.
    """

    model_name_or_path: str = ""
    dtype: str = "bfloat16"
    attn_implementation: str = ""
    forward_type: str = "asr_attn_pooling"
    is_word_level: bool = True
    make_v_proj_identity: bool = True
    skip_prefix_idx: int = 4
    use_custom: bool = True
    target_hidden_layer: int = 6
    encoder: str = "whisper"
    encoder_from: str = ""
    prefix_ids: tuple[int, ...] = PUBLISHED_PREFIX
    end_id: int = PUBLISHED_END
    aggregator_layers: int = 2


@dataclass(frozen=True)
class Quantiser:
    """`kwargs_for_quantizer`. Ours: quantizer_class "fsq" with levels, the sizes of its scalar steps.

    Attributes:
        levels: of FSQ, steps of each scalar of one group; num_quantizers groups make a code tuple.
    """

    dim: int = 1280
    codebook_dim: int = 256
    codebook_size: int = 512
    num_quantizers: int = 4
    decay: float = 0.99
    kmeans_init: bool = True
    kmeans_iters: int = 100
    quantize_dropout: bool = True
    quantizer_class: str = "rvq"
    levels: tuple[int, ...] = (8, 8, 8)


@dataclass(frozen=True)
class AudioTower:
    """`audio_tower_config`: encoder, aggregator and quantiser."""

    text_token_size: int = 51866
    audio_embed_dim: int = 1280
    quantization_on: bool = True
    is_joint_encoder_segmenter: bool = True
    audio_dropout_ratio: float = 0.0
    segmenter: Segmenter = field(default_factory=Segmenter)
    quantiser: Quantiser = field(default_factory=Quantiser)


@dataclass(frozen=True)
class UnitDecoderSizes:
    """`speech_decoder_config`. Ours: kind, audio_encoder, and what begins with `diffusion_`.

    Attributes:
        kind: "autoregressive" (published) or "masked_diffusion".
        text_encoder, audio_encoder, llm: the three stacks.
        diffusion_overshoot: how much longer than the speech the canvas may be, as a share of its length.
        diffusion_blocks, diffusion_inner: ConvNeXt blocks over the canvas and their inner width; 0 blocks = none.
        diffusion_digits: values of each digit of a unit, where units are tuples; () = they are not.
    """

    encoder_input_size: int = 512
    audio_encoder_input_size: int = 1280
    llm_input_size: int = 1024
    llm_output_size: int = 1024
    text_token_size: int = 51866
    speech_token_size: int = 4096
    spk_embed_dim: int = 192
    lsm_weight: float = 0.0
    length_normalized_loss: bool = True
    skip_prefix_idx: int = 4
    fuse_encoded_audio_text_type: str = "weighted_sum"
    fuse_encoded_audio_text_kwargs: dict[str, Any] = field(default_factory=dict)
    kind: str = "autoregressive"
    diffusion_overshoot: float = 0.25
    diffusion_blocks: int = 0
    diffusion_inner: int = 512
    diffusion_digits: tuple[int, ...] = ()
    text_encoder: StackSizes = field(default_factory=StackSizes)
    audio_encoder: StackSizes = field(default_factory=lambda: StackSizes(num_blocks=2))
    llm: StackSizes = field(default_factory=lambda: StackSizes(num_blocks=7))


@dataclass(frozen=True)
class LoraSizes:
    """`kwargs_for_lora`: rank, scale numerator and dropout of the adapters on every linear layer but the head."""

    lora_model_dir: str | None = None
    lora_r: int = 64
    lora_alpha: float = 128
    lora_dropout: float = 0.05
    lora_target_linear: bool = True
    lora_target_modules: Any = None
    lora_fan_in_fan_out: Any = None
    lora_modules_to_save: Any = None


@dataclass(frozen=True)
class SpokenLM:
    """`spoken_lm_config`. Ours: latent_at_rest.

    Attributes:
        latent_at_rest: what stands for a drawn latent when nothing is drawn: "mu_plus_sigma" as published, or "mu".
    """

    sos_id: int = 128000
    loss_weights: str = "0.5-0.5"
    delay: int = 1
    delay_level: str = "word"
    audio_embed_conv_mode: str = "fill_forward"
    in_llm_module: str = "weighted_sum"
    out_llm_module: str = "continue_latent_linear_last"
    use_lora: bool = True
    kwargs_for_lora: LoraSizes = field(default_factory=LoraSizes)
    latent_at_rest: str = "mu_plus_sigma"

    @property
    def weights(self) -> tuple[float, float]:
        """Weights of the text loss and of the loss on codes; the first two of `loss_weights`."""
        first, second = [float(part) for part in self.loss_weights.split("-")][:2]
        return first, second


class TasteConfig:
    """The published `config.json`: dictionaries in, records out; `to_dict` gives back what was read.

    Args:
        audio_tower_config, speech_decoder_config, spoken_lm_config, text_config, asr_config: as published; a missing
            key takes the published value.

    Attributes:
        tower, units, spoken: the first three as records. whisper: `asr_config`. text: `text_config`.

    Raises:
        CheckpointError: unknown keys, values that no model can be built from.
    """

    model_type = "taste"

    def __init__(
        self,
        audio_tower_config: Mapping[str, Any] | None = None,
        speech_decoder_config: Mapping[str, Any] | None = None,
        spoken_lm_config: Mapping[str, Any] | None = None,
        text_config: Mapping[str, Any] | None = None,
        asr_config: Mapping[str, Any] | None = None,
    ) -> None:
        self.tower = read_tower(audio_tower_config or {})
        self.units = read_units(speech_decoder_config or {})
        self.spoken = read_spoken(spoken_lm_config or {})
        self.text = dict(text_config or LLAMA_1B)
        self.whisper = dict(asr_config or WHISPER_LARGE)
        self.given = {
            "audio_tower_config": dict(audio_tower_config or {}),
            "speech_decoder_config": dict(speech_decoder_config or {}),
            "spoken_lm_config": dict(spoken_lm_config or {}),
            "text_config": dict(text_config or {}),
            "asr_config": dict(asr_config or {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TasteConfig:
        """Read the contents of a `config.json`. Raises CheckpointError for keys that are not known."""
        kept = {key: value for key, value in values.items() if key not in BOOKKEEPING}
        unknown = sorted(set(kept) - set(SECTIONS))
        if unknown:
            raise CheckpointError(f"TasteConfig does not know the keys {', '.join(unknown[:6])}")
        if values.get("model_type", cls.model_type) != cls.model_type:
            raise CheckpointError(f"model_type is {values['model_type']!r}, wanted is {cls.model_type!r}")
        return cls(**kept)

    def to_dict(self) -> dict[str, Any]:
        """What goes into `config.json`: what was given, and the depths that were found out."""
        values = {name: dict(section) for name, section in self.given.items()}
        segmenter = dict(values["audio_tower_config"].get("kwargs_for_joint_encoder_segmenter", {}))
        segmenter["aggregator_layers"] = self.tower.segmenter.aggregator_layers
        values["audio_tower_config"]["kwargs_for_joint_encoder_segmenter"] = segmenter
        values["speech_decoder_config"]["audio_encoder__num_blocks"] = self.units.audio_encoder.num_blocks
        return {"model_type": self.model_type, "architectures": ["TasteForCausalLM"], **values}

    def with_depths(self, names: Iterable[str]) -> TasteConfig:
        """The same with the depths that tensor names show: aggregator, and audio encoder of the unit decoder."""
        names = list(names)
        aggregator = count_layers(names, r"audio_segmenter\.decoder\.layers\.(\d+)\.")
        blocks = count_layers(names, r"speech_decoder\.audio_token_encoder\.encoders\.(\d+)\.")
        made = TasteConfig(**self.given)
        if aggregator:
            made.tower = replace(self.tower, segmenter=replace(self.tower.segmenter, aggregator_layers=aggregator))
        if blocks:
            made.units = replace(self.units, audio_encoder=replace(self.units.audio_encoder, num_blocks=blocks))
        return made

    def llama(self) -> LlamaSizes:
        """What the language model is made of."""
        text = self.text
        heads = text["num_attention_heads"]
        rope = dict(text.get("rope_parameters") or text.get("rope_scaling") or {})
        rope.setdefault("rope_theta", text.get("rope_theta", 10000.0))
        return LlamaSizes(
            vocabulary=text["vocab_size"],
            hidden=text["hidden_size"],
            inner=text["intermediate_size"],
            layers=text["num_hidden_layers"],
            heads=heads,
            kv_heads=text.get("num_key_value_heads") or heads,
            head_dim=text.get("head_dim") or text["hidden_size"] // heads,
            eps=text.get("rms_norm_eps", 1e-6),
            rope={"rope_type": rope.pop("type", "default"), **rope},
            attention_bias=text.get("attention_bias", False),
            mlp_bias=text.get("mlp_bias", False),
        )


# fmt: off
LLAMA_1B = {
    "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "tie_word_embeddings": True, "model_type": "llama",
}
WHISPER_LARGE = {
    "vocab_size": 51866, "num_mel_bins": 128, "d_model": 1280, "encoder_layers": 32, "encoder_attention_heads": 20,
    "decoder_layers": 2, "decoder_attention_heads": 20, "decoder_ffn_dim": 5120, "encoder_ffn_dim": 5120,
    "max_source_positions": 1500, "max_target_positions": 448, "model_type": "whisper",
}
# fmt: on
SECTIONS = ("audio_tower_config", "speech_decoder_config", "spoken_lm_config", "text_config", "asr_config")


def count_layers(names: Iterable[str], pattern: str) -> int:
    """1 + the highest number that a pattern finds in names; 0 = none found."""
    return max((int(found[1]) + 1 for name in names if (found := re.search(pattern, name))), default=0)


def read_tower(values: Mapping[str, Any]) -> AudioTower:
    """`audio_tower_config` as a record. Raises CheckpointError."""
    values = dict(values)
    segmenter = dict(values.pop("kwargs_for_joint_encoder_segmenter", {}))
    if "encoder__target_hidden_layer" in values:
        segmenter.setdefault("target_hidden_layer", values.pop("encoder__target_hidden_layer"))
    if "prefix_ids" in segmenter:
        segmenter["prefix_ids"] = tuple(segmenter["prefix_ids"])
    quantiser = dict(values.pop("kwargs_for_quantizer", {}))
    if "levels" in quantiser:
        quantiser["levels"] = tuple(quantiser["levels"])
    tower = _read(
        AudioTower,
        {
            **values,
            "segmenter": _read(Segmenter, segmenter, "kwargs_for_joint_encoder_segmenter"),
            "quantiser": _read(Quantiser, quantiser, "kwargs_for_quantizer"),
        },
        "audio_tower_config",
    )
    _one_of("encoder", tower.segmenter.encoder, ENCODERS)
    _one_of("encoder_from", tower.segmenter.encoder_from, ("", "aligner"))
    _one_of("quantizer_class", tower.quantiser.quantizer_class, QUANTISERS)
    _one_of("forward_type", tower.segmenter.forward_type, ("asr_attn_pooling",))
    if tower.segmenter.skip_prefix_idx != len(tower.segmenter.prefix_ids):
        raise CheckpointError(
            f"skip_prefix_idx is {tower.segmenter.skip_prefix_idx}, but there are "
            f"{len(tower.segmenter.prefix_ids)} prefix_ids"
        )
    return tower


def read_units(values: Mapping[str, Any]) -> UnitDecoderSizes:
    """`speech_decoder_config` as a record: keys `encoder__*`, `audio_encoder__*` and `llm__*` are the three stacks'."""
    values = dict(values)
    text = _stack(values, "encoder__", StackSizes())
    audio = _stack(values, "audio_encoder__", replace(text, num_blocks=2))
    llm = _stack(values, "llm__", StackSizes(num_blocks=7))
    if "diffusion_digits" in values:
        values["diffusion_digits"] = tuple(values["diffusion_digits"])
    sizes = _read(
        UnitDecoderSizes, {**values, "text_encoder": text, "audio_encoder": audio, "llm": llm}, "speech_decoder_config"
    )
    _one_of("kind", sizes.kind, UNIT_DECODERS)
    _one_of("fuse_encoded_audio_text_type", sizes.fuse_encoded_audio_text_type, ("weighted_sum",))
    fusion = sizes.fuse_encoded_audio_text_kwargs
    for name in ("normalize", "use_layer_norm"):
        _one_of(name, fusion.get(name, False), (False,))
    _one_of("lsm_weight", sizes.lsm_weight, (0, 0.0))
    return sizes


def read_spoken(values: Mapping[str, Any]) -> SpokenLM:
    """`spoken_lm_config` as a record. Raises CheckpointError."""
    values = dict(values)
    values["kwargs_for_lora"] = _read(LoraSizes, values.get("kwargs_for_lora") or {}, "kwargs_for_lora")
    spoken = _read(SpokenLM, values, "spoken_lm_config")
    _one_of("delay_level", spoken.delay_level, ("word", "token"))
    _one_of("out_llm_module", spoken.out_llm_module, OUT_MODULES)
    _one_of("in_llm_module", spoken.in_llm_module, ("weighted_sum",))
    _one_of("audio_embed_conv_mode", spoken.audio_embed_conv_mode, ("fill_forward",))
    _one_of("latent_at_rest", spoken.latent_at_rest, ("mu_plus_sigma", "mu"))
    try:
        weights = [float(part) for part in spoken.loss_weights.split("-")]
    except ValueError:
        weights = []
    if len(weights) < 2 or abs(sum(weights) - 1) > 1e-6:
        raise CheckpointError(f'loss_weights is {spoken.loss_weights!r}, wanted are numbers that sum to 1, "0.5-0.5"')
    if spoken.delay < 0:
        raise CheckpointError(f"delay is {spoken.delay}, wanted is 0 or more")
    return spoken


def _stack(values: dict[str, Any], prefix: str, default: StackSizes) -> StackSizes:
    """Take the keys below a prefix out of `values`."""
    given = {key.removeprefix(prefix): values.pop(key) for key in list(values) if key.startswith(prefix)}
    for name, wanted in FIXED_STACK.items():
        _one_of(f"{prefix}{name}", given.pop(name, wanted), (wanted,))
    given = {name: value for name, value in given.items() if name not in PASSED_STACK}
    return _read(StackSizes, {**asdict(default), **given}, prefix)


def _read(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """A record from a dictionary with no other keys than its own."""
    unknown = sorted(set(values) - {entry.name for entry in fields(kind)})
    if unknown:
        raise CheckpointError(f"{where} has keys that TasteConfig does not know: {', '.join(unknown[:6])}")
    return kind(**values)


def _one_of(name: str, value: Any, wanted: Iterable[Any]) -> None:
    """Raise CheckpointError for a value that is not among those that are known."""
    if value not in tuple(wanted):
        raise CheckpointError(f"{name} is {value!r}, known are {', '.join(map(repr, wanted))}")
