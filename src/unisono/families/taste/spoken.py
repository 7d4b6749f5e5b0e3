"""The spoken language model (TASLM): text and codes mixed, both predicted, one word apart (spec section 2).

Axes: B batch, T text tokens, P = T + delay + 1 positions, H width of the language model, D of speech vectors, C latent
width, Q codes, K entries, V vocabulary. Labels are −1 where nothing is to be predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from unisono.codec.quantisers import Quantiser
from unisono.errors import CheckpointError
from unisono.families.taste.adapters import CausalLM, add_adapters, causal_lm
from unisono.families.taste.conditions import IGNORED, WeightedSum
from unisono.families.taste.config import SpokenLM, TasteConfig
from unisono.families.taste.sequence import NOTHING, lay_codes, text_labels

REFERENCE_SHARE = 0.9  # of the text loss, where a reference model is given (spec section 2)


class InBridge(WeightedSum):
    """softmax(weights)[0] · Linear(speech vector) + softmax(weights)[1] · text embedding."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__((-2.0, 2.0))
        self.linear = nn.Linear(width_in, width)

    def forward(self, audio: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """[.., D] and [.., H] -> [.., H]."""
        return super().forward(self.linear(audio), text)


class LatentBridge(nn.Module):
    """TASLM-emb: the state predicts the mean of a latent, whose spread is learned for all together."""

    def __init__(self, width: int, latent_width: int) -> None:
        super().__init__()
        self.fc_mu = nn.Linear(width, latent_width)
        self.b_logvar = nn.Parameter(torch.zeros(latent_width))

    def mean(self, hidden: torch.Tensor) -> torch.Tensor:
        """[.., H] -> [.., C], in float32."""
        return functional.linear(hidden.float(), self.fc_mu.weight.float(), self.fc_mu.bias.float())

    def latent(self, mean: torch.Tensor, noise: torch.Tensor | None, at_rest: str) -> torch.Tensor:
        """A latent [.., C]: mean + sigma · noise, with the gradient of mean + sigma; without noise what `at_rest` says
        (`SpokenLM.latent_at_rest`)."""
        if noise is None and at_rest == "mu":
            return mean
        sigma = (self.b_logvar / 2).exp()
        value = mean + sigma
        return value if noise is None else value + (sigma * noise - sigma).detach()


class HeadsBridge(nn.Module):
    """TASLM-tok: one linear layer gives the logits of all Q codes side by side."""

    def __init__(self, width: int, levels: int, size: int) -> None:
        super().__init__()
        self.levels = levels
        self.linear = nn.Linear(width, levels * size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[.., H] -> logits [.., Q, K]."""
        return self.linear(hidden.float()).unflatten(-1, (self.levels, -1))


@dataclass
class SpokenLoss:
    """`loss` to train with, and its parts: text_ce, text_kl (with a reference), taste (latent or codes)."""

    loss: torch.Tensor
    text_ce: torch.Tensor
    text_kl: torch.Tensor | None
    taste: torch.Tensor
    parts: Mapping[str, torch.Tensor]
    text_labels: torch.Tensor
    taste_labels: torch.Tensor


class SpokenModel(nn.Module):
    """`spoken_lm`: language model and the bridges between it and the codec.

    Args:
        quantiser_sizes: Q codes of K entries each. latent_width: C. audio_width: D.
    """

    def __init__(
        self, config: TasteConfig, quantiser_sizes: tuple[int, ...], latent_width: int, audio_width: int
    ) -> None:
        super().__init__()
        self.own: SpokenLM = config.spoken
        sizes = config.llama()
        if not config.text.get("tie_word_embeddings", True):
            raise CheckpointError("tie_word_embeddings is false: TASTE's language model has no head of its own")
        self.pad_text_unit_embed = nn.Parameter(torch.randn(sizes.hidden) * sizes.initial_std)
        self.pad_audio_unit_embed = nn.Parameter(torch.randn(audio_width) * sizes.initial_std)
        self.fuse_for_bridge_in_llm = InBridge(audio_width, sizes.hidden)
        if self.predicts_latent:
            self.extract_for_bridge_out_llm = LatentBridge(sizes.hidden, latent_width)
        else:
            self.extract_for_bridge_out_llm = HeadsBridge(sizes.hidden, len(quantiser_sizes), quantiser_sizes[0])
        model = CausalLM(sizes)
        self.language_model = add_adapters(model, self.own.kwargs_for_lora) if self.own.use_lora else model

    @property
    def predicts_latent(self) -> bool:
        """Whether this is TASLM-emb."""
        return self.own.out_llm_module == "continue_latent_linear_last"

    @property
    def causal_lm(self) -> CausalLM:
        """The language model itself, below any adapters."""
        return causal_lm(self.language_model)

    def embed_text(self, ids: torch.Tensor) -> torch.Tensor:
        """int64 [..] -> [.., H]."""
        return self.causal_lm.model.embed_tokens(ids)

    def lay_out(
        self, ids: torch.Tensor, word_ids: torch.Tensor, codes: torch.Tensor, quantiser: Quantiser
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One utterance as the language model reads it.

        Args:
            ids, word_ids: int64 [T]. codes: int64 [T, Q], those of a word at its first token.

        Returns:
            inputs [P, H], speech vectors that were mixed in [P − 1, D], labels of codes int64 [P, Q].
        """
        streams = lay_codes(word_ids.cpu(), self.own.delay, self.own.delay_level)
        heard, labels = streams.heard.to(ids.device), streams.labels.to(ids.device)
        vectors = quantiser.project(quantiser.latent(codes[heard.clamp_min(0)]))
        audio = torch.where((heard == NOTHING)[:, None], self.pad_audio_unit_embed.to(vectors), vectors)
        text = self.embed_text(ids)
        room = len(audio) - len(text)
        text = torch.cat([text, self.pad_text_unit_embed.expand(room, -1)]) if room > 0 else text[: len(audio)]
        start = self.embed_text(ids.new_tensor([self.own.sos_id]))
        wanted = torch.where((labels == NOTHING)[:, None], NOTHING, codes[labels.clamp_min(0)])
        return torch.cat([start, self.fuse_for_bridge_in_llm(audio, text)]), audio, wanted

    def batch(
        self,
        ids: torch.Tensor,
        lengths: torch.Tensor,
        word_ids: torch.Tensor,
        codes: torch.Tensor,
        quantiser: Quantiser,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Utterances padded on the right: inputs [B, P, H], labels of codes int64 [B, P, Q], positions int64 [B]."""
        rows = [
            self.lay_out(ids[row, :length], word_ids[row, :length], codes[row, :length], quantiser)
            for row, length in enumerate(lengths.tolist())
        ]
        inputs = pad_sequence([row[0] for row in rows], batch_first=True)
        labels = pad_sequence([row[2] for row in rows], batch_first=True, padding_value=NOTHING)
        return inputs, labels, torch.tensor([len(row[0]) for row in rows], device=ids.device)

    def forward(
        self,
        ids: torch.Tensor,
        lengths: torch.Tensor,
        word_ids: torch.Tensor,
        codes: torch.Tensor,
        quantiser: Quantiser,
        *,
        noise: torch.Tensor | None = None,
        reference: CausalLM | None = None,
        published_labels: bool = False,
    ) -> SpokenLoss:
        """Losses of a batch.

        Args:
            ids, word_ids: int64 [B, T], padded. codes: int64 [B, T, Q]. lengths: int64 [B].
            noise: [B, P, C] for the latent (TASLM-emb); None = drawn in training, none in evaluation.
            reference: a frozen language model that the text shall stay close to.
            published_labels: label padding as published, see `sequence.text_labels`.

        Raises:
            ValueError: no delay, with which the published model cannot be trained either.
        """
        if self.own.delay == 0:
            raise ValueError("delay is 0: codes of a word would be predicted from the word's own codes")
        inputs, wanted, _ = self.batch(ids, lengths, word_ids, codes, quantiser)
        hidden = self.language_model(inputs)
        labels = text_labels(ids.cpu(), lengths.cpu(), self.own.delay, published_labels)[:, : inputs.shape[1]]
        labels = labels.to(ids.device)
        logits = self.causal_lm.logits(hidden)
        text_ce = functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED)
        text_kl = None if reference is None else self._divergence(logits, labels, ids, reference)
        text = text_ce if text_kl is None else REFERENCE_SHARE * text_kl + (1 - REFERENCE_SHARE) * text_ce
        taste, parts = self._taste_loss(hidden, wanted, quantiser, noise)
        text_weight, taste_weight = self.own.weights
        parts = {**parts, "hidden": hidden, "text_logits": logits}
        return SpokenLoss(text_weight * text + taste_weight * taste, text_ce, text_kl, taste, parts, labels, wanted)

    def _divergence(
        self, logits: torch.Tensor, labels: torch.Tensor, ids: torch.Tensor, reference: CausalLM
    ) -> torch.Tensor:
        """KL(reference ‖ model) per labelled position."""
        with torch.no_grad():
            read = functional.pad(ids, (1, 0), value=self.own.sos_id)
            target = reference.logits(reference(reference.model.embed_tokens(read)))
        shared = min(target.shape[1], labels.shape[1])
        kept = labels[:, :shared] != IGNORED
        ours = logits[:, :shared][kept].float().log_softmax(-1)
        theirs = target[:, :shared][kept].float().log_softmax(-1)
        return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)

    def _taste_loss(
        self, hidden: torch.Tensor, wanted: torch.Tensor, quantiser: Quantiser, noise: torch.Tensor | None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss on codes, and what it was made of."""
        bridge, kept = self.extract_for_bridge_out_llm, (wanted != NOTHING).all(-1)
        target = quantiser.latent(wanted[kept])
        if isinstance(bridge, LatentBridge):
            mean = bridge.mean(hidden)
            if noise is None and self.training:
                noise = torch.randn_like(mean)
            latent = bridge.latent(mean, noise, self.own.latent_at_rest)
            near = functional.mse_loss(latent[kept], target)
            logvar = bridge.b_logvar
            spread = 0.5 * (logvar.exp() + (mean[kept] - target).square() - 1 - logvar).mean()
            return 0.5 * near + 0.5 * spread, {"mu": mean, "z": latent}
        logits = bridge(hidden)
        pairs = zip(logits[kept].unbind(-2), wanted[kept].unbind(-1), strict=True)
        entropies = torch.stack([functional.cross_entropy(level, codes) for level, codes in pairs])
        parts = {"taste_logits": logits, "taste_ce": entropies}
        if self.own.out_llm_module == "linear_last":
            return entropies.mean(), parts
        expected = quantiser.expected(logits)
        near = functional.mse_loss(expected[kept], target)
        return 0.5 * entropies.mean() + 0.5 * near, {**parts, "agg_code": expected, "taste_mse": near}

    def codes(self, hidden: torch.Tensor, quantiser: Quantiser) -> torch.Tensor:
        """The likeliest code tuples of states [.., H]: int64 [.., Q]."""
        bridge = self.extract_for_bridge_out_llm
        if isinstance(bridge, LatentBridge):
            return quantiser.nearest(bridge.latent(bridge.mean(hidden), None, self.own.latent_at_rest))
        return bridge(hidden).argmax(-1)


def trainable_names(model: nn.Module) -> list[str]:
    """Parameters that stage 2 trains: adapters, bridges and pad vectors; without adapters the whole model."""
    lora = any("lora_" in name for name, _ in model.named_parameters())
    return [name for name, _ in model.named_parameters() if not lora or "language_model" not in name or "lora_" in name]
