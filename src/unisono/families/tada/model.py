"""TADA's language model: a Llama backbone, embeddings of sound and durations, and the flow head (spec sections 9, 10).

Axes: B rows, P positions, M rows of the flow head, H hidden width, A acoustic width, X = A + 2b flowing width,
V vocabulary. Inside the model acoustic vectors are normalised: (x − mean) / std.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from unisono.errors import CheckpointError, InputError
from unisono.families.tada.companions import part_of
from unisono.families.tada.config import TadaConfig
from unisono.families.tada.options import InferenceOptions
from unisono.files import Checkpoint, find_folder
from unisono.lm import few
from unisono.lm.backbone import Backbone, LlamaBackbone
from unisono.lm.fused_head import FusedHead
from unisono.lm.graphs import StaticBackbone
from unisono.lm.gray import encode_gray
from unisono.lm.head import FlowHead
from unisono.lm.llama import Llama
from unisono.lm.packing import PACKINGS, steady

if TYPE_CHECKING:
    from unisono.families.tada.decoder import Decoder
    from unisono.families.tada.encoder import EncoderOutput
    from unisono.families.tada.published import GenerationOutput
    from unisono.families.tada.speaker import AcousticSpkrVerf
    from unisono.interface import Tokenizer
    from unisono.lm.draws import Draws

# Codec tensors that some language-model repositories carry; the codec's own folder is the one to load (spec 2.5).
FOREIGN_KEYS = ("_decoder.*", "_encoder.*", "_precomputed_mask")
EMBEDDING_STD = 0.02
DEFAULT_OPTIONS = InferenceOptions()


class TadaForCausalLM(Checkpoint, nn.Module):
    """One step per text token; `TadaForCausalLM.from_pretrained("HumeAI/tada-1b")`.

    Tokenizer, decoder and speaker scorer belong to other files: `attach` gives them, or they are found from where the
    model was loaded when they are first used. They are neither in the state dict nor counted as this model's modules.
    """

    origin: Path | None = None  # folder from which parts that were not attached are found; None = nowhere

    config_class = TadaConfig
    ignored_keys: Sequence[str] = FOREIGN_KEYS

    def __init__(self, config: TadaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Llama(config.backbone())
        if config.tie_word_embeddings:
            self.ignored_keys = (*FOREIGN_KEYS, "lm_head.weight")  # a second copy of the embedding
        else:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.acoustic_proj = nn.Linear(config.acoustic_dim, config.hidden_size)
        self.time_start_embed = nn.Embedding(config.num_time_classes, config.hidden_size)
        self.time_end_embed = nn.Embedding(config.num_time_classes, config.hidden_size)
        self.acoustic_mask_emb = nn.Embedding(2, config.hidden_size)
        if config.bottleneck_dim is not None:
            self.bottleneck_proj = nn.Linear(config.hidden_size, config.bottleneck_dim)
        self.prediction_head = FlowHead(
            config.head_width, config.vector_width, config.head_layers, config.head_ffn_ratio
        )
        for table in (self.time_start_embed, self.time_end_embed):
            nn.init.normal_(table.weight, std=EMBEDDING_STD)
        nn.init.zeros_(self.acoustic_mask_emb.weight)  # as published (spec section 17)
        self._attached: dict[str, Any] = {}
        self._prepared: dict[str, Any] = {}
        self._packing = "none"
        self._graphs = False

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, subfolder: str = "", revision: str | None = None, *place: Any, **rest: Any
    ) -> Self:
        """`Checkpoint.from_pretrained`, in which the model also learns where its other parts are."""
        model = super().from_pretrained(name_or_path, subfolder, revision, *place, **rest)
        model.origin = find_folder(name_or_path, subfolder, revision)
        return model

    def __getstate__(self) -> dict[str, Any]:
        """All but what was prepared for speaking: a copy prepares its own."""
        return {**self.__dict__, "_prepared": {}}

    # What belongs to other files

    def attach(
        self,
        tokenizer: Tokenizer | None = None,
        decoder: Decoder | None = None,
        speaker_scorer: AcousticSpkrVerf | Callable[[], AcousticSpkrVerf] | None = None,
    ) -> TadaForCausalLM:
        """Give the parts that `generate` needs beside the language model; None leaves a part as it is.

        The speaker scorer may also be a function that loads it when it is first asked for.
        """
        given = {"tokenizer": tokenizer, "decoder": decoder, "speaker_scorer": speaker_scorer}
        self._attached.update({name: part for name, part in given.items() if part is not None})
        return self

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer. Raises CheckpointError when there is none."""
        return self._part("tokenizer")

    @property
    def decoder(self) -> Decoder:
        """The codec's decoder, on this model's device. Raises CheckpointError when there is none."""
        decoder = self._part("decoder")
        return decoder if next(decoder.parameters()).device == self.device else decoder.to(self.device)

    @property
    def speaker_scorer(self) -> AcousticSpkrVerf:
        """The speaker scorer, on this model's device. Raises CheckpointError when there is none."""
        if not isinstance(scorer := self._part("speaker_scorer"), nn.Module):
            self._attached["speaker_scorer"] = scorer()
        return self._part("speaker_scorer").to(self.device)

    @property
    def can_verify(self) -> bool:
        """Whether there is a speaker scorer, or a place to look for one."""
        return "speaker_scorer" in self._attached or self.origin is not None

    def _part(self, name: str) -> Any:
        if name not in self._attached:
            if self.origin is None:
                raise CheckpointError(f"the language model has no {name}: give one with model.attach({name}=...)")
            self._attached[name] = part_of(self.origin, name, self.device)
        return self._attached[name]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.acoustic_proj.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.acoustic_proj.weight.dtype

    # Arithmetic

    def sound_embeddings(
        self, vectors: torch.Tensor, masks: torch.Tensor, before: torch.Tensor, after: torch.Tensor
    ) -> torch.Tensor:
        """What a position reads beside its text (spec section 9).

        Args:
            vectors: [..., A]; masks, before, after: int64 [...]. Durations beyond the tables are clamped to their
                last row, so that no drawn duration can crash the model (spec section 18, quirk 3).

        Returns:
            [..., H].
        """
        last = self.config.num_time_classes - 1
        weight = self.acoustic_proj.weight
        if vectors.ndim == 2 and few.takes(weight) and weight.numel() <= few.MOST and not torch.is_grad_enabled():
            return self._few_sound_embeddings(vectors, masks, before.clamp(0, last), after.clamp(0, last))
        sound = self._acoustic(vectors) + self.acoustic_mask_emb(masks)
        return sound + self.time_start_embed(before.clamp(0, last)) + self.time_end_embed(after.clamp(0, last))

    @np.errstate(all="ignore")  # values that are not finite are looked at once a step
    def _few_sound_embeddings(
        self, vectors: torch.Tensor, masks: torch.Tensor, before: torch.Tensor, after: torch.Tensor
    ) -> torch.Tensor:
        """`sound_embeddings` of single steps [B, A] of a small model on a CPU."""
        weight, bias = (part.detach().numpy() for part in (self.acoustic_proj.weight, self.acoustic_proj.bias))
        sound = few.each(vectors.numpy(), weight)
        sound += bias
        tables = (self.acoustic_mask_emb, masks), (self.time_start_embed, before), (self.time_end_embed, after)
        for table, indices in tables:
            sound += table.weight.detach().numpy()[indices.numpy()]
        return torch.from_numpy(sound)

    def _acoustic(self, vectors: torch.Tensor) -> torch.Tensor:
        """Projected vectors; those of single steps [B, A] do not depend on how many rows there are."""
        return steady(self.acoustic_proj, vectors) if vectors.ndim == 2 else self.acoustic_proj(vectors)

    def embed(
        self,
        ids: torch.Tensor,
        vectors: torch.Tensor,
        masks: torch.Tensor,
        before: torch.Tensor,
        after: torch.Tensor,
    ) -> torch.Tensor:
        """Input embeddings [..., H] of ids int64 [...] and what is read beside them; see `sound_embeddings`."""
        return self.model.embed_tokens(ids) + self.sound_embeddings(vectors, masks, before, after)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states after the final norm [..., H] -> text logits [..., V]."""
        tied = self.config.tie_word_embeddings
        return functional.linear(hidden, self.model.embed_tokens.weight if tied else self.lm_head.weight)

    def condition(self, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden states [..., H] -> conditions of the flow head."""
        if self.config.bottleneck_dim is None:
            return hidden
        return steady(self.bottleneck_proj, hidden) if hidden.ndim == 2 else self.bottleneck_proj(hidden)

    def velocity(self, points: torch.Tensor, times: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Flow velocity at points [M, X] and times [M] given hidden states [M, H]: [M, X]."""
        return self.prediction_head(points, times, self.condition(hidden))

    def flow_target(self, vectors: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """What the flow should arrive at: [..., A] and frames [...] -> [..., X] (vector, bits before, bits after)."""
        bits = self.config.duration_bits
        parts = [vectors, encode_gray(before, bits).to(vectors), encode_gray(after, bits).to(vectors)]
        return torch.cat(parts, -1)

    def forward_train(
        self,
        ids: torch.Tensor,
        vectors: torch.Tensor,
        masks: torch.Tensor,
        time_before: torch.Tensor,
        time_after: torch.Tensor,
        with_logits: bool = True,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Teacher forcing over whole sequences whose tables are already arranged per position (spec section 9.1).

        Args:
            ids, masks, time_before, time_after: int64 [B, P]. vectors: [B, P, A], normalised.
            Padding on the right changes nothing to its left.
            with_logits: False leaves the text logits out.

        Returns:
            hidden [B, P, H] after the final norm, and logits [B, P, V] or None.
        """
        embeds = self.embed(ids, vectors, masks, time_before, time_after)
        hidden, _ = self.model(embeds)
        return hidden, self.logits(hidden) if with_logits else None

    # Speaking

    def quantize(self, packing: str) -> TadaForCausalLM:
        """Generate on packed weights, or as they are, "none"; training and saving do not change.

        "int8" and "half" (float16) weights, all else in float32, are for CPUs.

        Raises:
            InputError: an unknown packing, or one that this model's device or number format cannot take.
        """
        if packing not in PACKINGS:
            raise InputError(f"quantization {packing!r} is unknown: use one of {', '.join(PACKINGS)}")
        if packing != "none" and (self.device.type != "cpu" or self.dtype != torch.float32):
            raise InputError(
                f"{packing} weights run on a CPU model in float32, this one is {self.dtype} on {self.device}"
            )
        self._packing = packing
        return self

    @property
    def packing(self) -> str:
        """What generation runs on, one of `packing.PACKINGS`."""
        return self._packing

    def runner(self) -> Backbone:
        """The backbone, ready to be stepped; kept until the weights change."""
        plain = self.plain_runner()
        return self._kept("graphs", self.model, lambda: StaticBackbone(plain, capture=True)) if self._graphs else plain

    def plain_runner(self) -> LlamaBackbone:
        """The backbone as `runner` gives it without graphs."""
        return self._kept("backbone", self.model, lambda: LlamaBackbone(self.model, self._packing))

    def use_graphs(self, wanted: bool = True) -> TadaForCausalLM:
        """Replay steps as CUDA graphs, where launching kernels takes longer than running them.

        Raises:
            InputError: this model is not on a CUDA device.
        """
        if wanted and self.device.type != "cuda":
            raise InputError(
                f"CUDA graphs need a CUDA device, this model is on {self.device}: load it with device=cuda"
            )
        self._graphs = wanted
        return self

    def flow_head(self) -> FusedHead:
        """The flow head to solve with; kept until the weights change."""
        return self._kept("head", self.prediction_head, lambda: FusedHead(self.prediction_head, self._packing))

    def _kept(self, name: str, module: nn.Module, make: Callable[[], Any]) -> Any:
        """What `make` made of a module's weights, made anew when they were replaced or written to."""
        stamp = (self._packing, [(p.data_ptr(), 0 if p.is_inference() else p._version) for p in module.parameters()])
        if self._prepared.get(name, (None,))[0] != stamp:
            self._prepared[name] = (stamp, make())
        return self._prepared[name][1]

    def generate(
        self,
        prompt: EncoderOutput,
        text: str | Sequence[str] = "",
        num_transition_steps: int = 5,
        num_extra_steps: int = 0,
        system_prompt: str | None = None,
        user_turn_prompt: str | None = None,
        inference_options: InferenceOptions = DEFAULT_OPTIONS,
        use_text_in_prompt: bool = False,
        normalize_text: bool = True,
        verbose: bool = False,
        *,
        draws: Draws | None = None,
        observer: Callable[[Any], None] | None = None,
    ) -> GenerationOutput:
        """The published call: speak `text` in the voice of `prompt`, or speak on from it.

        Args:
            prompt: what `Encoder` returned. text: target text, or several, which are spoken one after the other.
                Prompt and text are tokenised apart, without a space between: begin the text with one if it continues
                a sentence (a leading space also keeps the first letter as it is).
            num_transition_steps: prompt tokens at the end whose sound is generated anew.
            num_extra_steps: text tokens to invent; 0 = speak the given text only.
            system_prompt, user_turn_prompt: chat turns before the speech.
            inference_options: see `InferenceOptions`.
            use_text_in_prompt: show the prompt's text to the model. normalize_text: published normalisation.
            verbose: progress bar on stderr.
            draws: source of randomness; None = torch's default generator, as published.
            observer: called with every `Prefilled` and `Stepped` record.

        Raises:
            InputError: unusable option or prompt. GenerationError: a value that is not finite.
        """
        from unisono.families.tada.published import generate

        return generate(
            self,
            prompt,
            text,
            num_transition_steps=num_transition_steps,
            num_extra_steps=num_extra_steps,
            system_prompt=system_prompt,
            user_turn_prompt=user_turn_prompt,
            options=inference_options,
            use_text_in_prompt=use_text_in_prompt,
            normalize_text=normalize_text,
            verbose=verbose,
            draws=draws,
            observer=observer,
        )
