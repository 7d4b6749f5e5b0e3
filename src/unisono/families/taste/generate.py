"""Speaking on: text and codes are made up word by word, then become units (spec section 4.2).

Axes: T tokens of the prompt, A tokens of the recogniser, n tokens made up, Q codes, H width, D width of speech vectors.
The language model runs on a cache; `pacing` decides what each step means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from unisono.families.taste.adapters import make_backbone
from unisono.families.taste.choosing import Choosing, Draws, choose_codes, choose_text
from unisono.families.taste.pacing import Action, Heard, Move, Pacing
from unisono.families.taste.sequence import NOTHING, fill_forward, first_of_words
from unisono.families.taste.spoken import LatentBridge, SpokenModel
from unisono.families.taste.vocabulary import Vocabulary
from unisono.lm.backbone import Backbone

if TYPE_CHECKING:
    from unisono.codec.quantisers import Quantiser

MODES = ("zero", "text", "audio", "instruct")


@dataclass(frozen=True)
class Prompt:
    """What a completion starts from.

    Attributes:
        mode: "audio" speaks on from text and codes, "text" from text alone, "zero" from nothing; "instruct" puts text
            around text and codes.
        ids, word_ids: int64 [T]. codes: int64 [T, Q], at first tokens of words; None without a recording.
        prefix, suffix: ids around the prompt in mode "instruct".
    """

    mode: str
    ids: torch.Tensor
    word_ids: torch.Tensor
    codes: torch.Tensor | None = None
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()


@dataclass
class Step:
    """What an observer sees of a step; `fed` [H] is what the next step reads (None after the last)."""

    text_logits: torch.Tensor
    text_probs: torch.Tensor | None
    text_id: int
    latent: torch.Tensor | None
    taste_logits: torch.Tensor | None
    taste_probs: torch.Tensor | None
    codes: torch.Tensor | None
    move: Move
    fed: torch.Tensor | None = None


@dataclass
class Written:
    """What was made up: `ids` [n] and the word number of each, the codes of each word, in order [W, Q]."""

    ids: list[int] = field(default_factory=list)
    word_ids: list[int] = field(default_factory=list)
    codes: list[torch.Tensor] = field(default_factory=list)

    def rows(self, levels: int) -> torch.Tensor:
        """int64 [n, Q]: codes of a word at its first token, −1 elsewhere."""
        made = torch.full((len(self.ids), levels), NOTHING)
        if self.ids:
            firsts = first_of_words(torch.tensor(self.word_ids))
            made[firsts] = torch.stack(self.codes).cpu()
        return made


class Writer:
    """One completion: a prompt, a language model with its cache, and the control flow of `pacing`."""

    def __init__(
        self,
        spoken: SpokenModel,
        quantiser: Quantiser,
        vocabulary: Vocabulary,
        prompt: Prompt,
        how: Choosing,
        draws: Draws,
        backbone: Backbone | None = None,
    ) -> None:
        self.spoken, self.quantiser, self.vocabulary = spoken, quantiser, vocabulary
        self.prompt, self.how, self.draws = prompt, how, draws
        self.backbone = backbone or make_backbone(spoken.language_model)
        self.banned = vocabulary.banned.to(spoken.pad_text_unit_embed.device)
        self.pending: list[torch.Tensor] = self._pending()
        self.heard = spoken.pad_audio_unit_embed
        self.written = Written()
        self.said = self._history()

    def _pending(self) -> list[torch.Tensor]:
        """Speech vectors [D] of the prompt that positions after it still hear, as many as the delay."""
        if self.prompt.mode != "audio":
            return []
        own = self.spoken.own
        filled = fill_forward(self.prompt.codes.cpu())
        if own.delay_level == "word":
            filled = filled[first_of_words(self.prompt.word_ids.cpu())]
        vectors = self.quantiser.project(self.quantiser.latent(filled[-own.delay :].to(self.prompt.codes.device)))
        missing = own.delay - len(vectors)
        return [self.spoken.pad_audio_unit_embed] * missing + list(vectors)

    def _history(self) -> list[int]:
        """Ids that the repetition penalty counts before the first step (spec section 4.2)."""
        prompt = self.prompt
        if prompt.mode == "zero":
            return [self.spoken.own.sos_id]
        if prompt.mode == "instruct":
            return [*prompt.prefix, *prompt.ids.tolist()[1:], *prompt.suffix]
        return prompt.ids.tolist()

    def prefill(self) -> torch.Tensor:
        """What the language model reads first [P, H]."""
        spoken, prompt = self.spoken, self.prompt
        device = spoken.pad_text_unit_embed.device

        def embed(ids: Sequence[int]) -> torch.Tensor:
            return spoken.embed_text(torch.tensor(list(ids), dtype=torch.int64, device=device))

        if prompt.mode == "zero":
            return embed([spoken.own.sos_id])
        if prompt.mode == "text":
            return embed(prompt.ids.tolist())
        fused = spoken.lay_out(prompt.ids, prompt.word_ids, prompt.codes, self.quantiser)[0][: len(prompt.ids) + 1]
        if prompt.mode == "audio":
            return fused
        return torch.cat([embed(prompt.prefix), fused[1:], embed(prompt.suffix)])

    @torch.no_grad()
    def write(
        self,
        pacing: Pacing,
        limit: int | None = None,
        observer: Callable[[Step], None] | None = None,
        forced: Sequence[int] | None = None,
    ) -> Written:
        """Make up text and codes until `pacing` stops.

        Args:
            limit: at most so many tokens of text; the codes of their words still follow.
            forced: a text to be read instead of made up; it sets the limit.
        """
        if forced is not None:
            limit = len(forced)
        read = self.prefill()
        hidden, cache = self.backbone.start(read[None], torch.zeros(1, dtype=torch.int64), 2 * len(read) + 256)
        state = hidden[0, -1]
        while True:
            pacing.stopping = pacing.stopping or (limit is not None and len(self.written.ids) >= limit)
            at = len(self.written.ids)
            told = forced[at] if forced is not None and at < len(forced) else None
            step = self._step(state, pacing, told)
            if step.move.action is not Action.STOP:
                step.fed = self._next_input(step)
            if observer is not None:
                observer(step)
            if step.move.action is Action.STOP:
                return self.written
            state = self.backbone.step(step.fed[None], cache)[0]

    def _step(self, state: torch.Tensor, pacing: Pacing, told: int | None) -> Step:
        """Draw a token (unless it is told) and, where they are due, codes, from a state [H]."""
        logits = self.spoken.causal_lm.logits(state)
        token, probabilities = told, None
        if token is None:
            token, probabilities = choose_text(logits, self.banned, self.said, self.how, self.draws)
        self.said.append(token)
        move = pacing.take(token)
        latent, taste_logits, codes, taste_probs = self._codes(state, move.codes)
        if move.codes:
            self.written.codes.append(codes)
        if move.action in (Action.START, Action.INSIDE):
            self.written.ids.append(token)
            self.written.word_ids.append(pacing.words - 1)
        return Step(logits, probabilities, token, latent, taste_logits, taste_probs, codes, move)

    def _codes(
        self, state: torch.Tensor, due: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Latent [C] or logits [Q, K], codes int64 [Q] if they are due, and what they were drawn from."""
        bridge = self.spoken.extract_for_bridge_out_llm
        if isinstance(bridge, LatentBridge):
            latent = bridge.latent(bridge.mean(state), None, self.spoken.own.latent_at_rest)
            return latent, None, self.quantiser.nearest(latent) if due else None, None
        logits = bridge(state)
        codes, probabilities = choose_codes(logits, self.how, self.draws) if due else (None, None)
        return None, logits, codes, probabilities

    def _next_input(self, step: Step) -> torch.Tensor:
        """What the next position reads [H]: the token, and what it hears."""
        spoken, move = self.spoken, step.move
        if move.heard is Heard.OWN and step.codes is not None:
            self.heard = self.quantiser.project(self.quantiser.latent(step.codes))
        elif move.heard is Heard.NEXT:
            self.heard = self.pending.pop(0)
        elif move.heard is Heard.PAD:
            self.heard = spoken.pad_audio_unit_embed
        # The published sampler shows the drawn token while it waits for codes too; training has the pad vector there.
        text = spoken.embed_text(torch.tensor(step.text_id, device=self.heard.device))
        return spoken.fuse_for_bridge_in_llm(self.heard, text)
