"""Fewer passes of the model for the same codes: drafted tokens that the model verifies.

Exact: transformers' prompt lookup and assistant decoding. They compare argmaxes, and with the noise of `lm.seeded` an
argmax is a draw, so that the very same codes come out as without drafting (so long as rounding does not decide).
Approximate, and only where it is asked for: acceptance by groups of codes that are neighbours in the codec's grid.

Axes: V vocabulary, n drafted tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unisono.errors import InputError
from unisono.families.edits import beginning
from unisono.families.fixed_rate.options import CodeOptions
from unisono.families.fixed_rate.pieces import Piece
from unisono.families.llasa.vocabulary import Vocabulary
from unisono.lm.seeded import Key, noise
from unisono.lm.speculative import Draft, look_up, speculate

if TYPE_CHECKING:
    from unisono.families.llasa.engine import LlasaEngine

DRAFTED = 8  # tokens a pass
LEVELS_A_GROUP = 2  # neighbouring levels of a digit of the code that count as alike


@dataclass(frozen=True)
class Generated:
    """New ids, and the passes of the model that they took."""

    ids: list[int]
    passes: int


class PassCounter:
    """Counts the passes of a model while it is entered."""

    def __init__(self, model: Any) -> None:
        self.model, self.passes = model, 0

    def __enter__(self) -> PassCounter:
        self.hook = self.model.register_forward_pre_hook(self._count)
        return self

    def __exit__(self, *error: object) -> None:
        self.hook.remove()

    def _count(self, *_: object) -> None:
        self.passes += 1


def draft_with_library(engine: LlasaEngine, piece: Piece, limit: int, key: Key, options: CodeOptions) -> Generated:
    """transformers' prompt lookup or assistant decoding. Raises InputError without a cache or an assistant."""
    if not options.cache:
        raise InputError(f"accelerate is {options.accelerate!r}, which needs the cache: leave one of the two away")
    if options.accelerate == "assistant" and engine.assistant is None:
        raise InputError("accelerate is 'assistant', but none is loaded: name its folder with --assistant (assistant=)")
    how = {"lookup": DRAFTED} if options.accelerate == "lookup" else {"assistant_model": engine.assistant}
    prompt, least = engine.prompt(piece), [engine.fewest(piece)]
    ids = torch.tensor([prompt], device=engine.device)
    with PassCounter(engine.model) as counter:
        made = engine.generate(ids, [key], len(prompt), limit, options, least, **how)
    return Generated(made[0, len(prompt) :].tolist(), counter.passes)


def draft_in_groups(engine: LlasaEngine, piece: Piece, limit: int, key: Key, options: CodeOptions) -> Generated:
    """Prompt lookup or assistant, accepted by groups of neighbouring codes: approximate."""
    prompt = engine.prompt(piece)
    processors = engine.processors(None, len(prompt), options, [engine.fewest(piece)])
    size = engine.model.config.vocab_size
    groups = code_groups(engine.vocabulary, engine.codec.model.config.quantization_levels, size)
    generator = torch.Generator().manual_seed(int(noise(key, 0, 1).view(torch.int32)) & 0x7FFFFFFF)
    drafter = _drafter(engine, options, processors, generator)
    ids, tally = speculate(
        CachedChances(engine, options, processors),
        drafter,
        prompt,
        length=limit,
        end=engine.vocabulary.speech_end,
        groups=groups,
        generator=generator,
    )
    return Generated(ids, tally.passes)


def code_groups(vocabulary: Vocabulary, levels: Sequence[int], size: int) -> torch.Tensor:
    """Group of each id [V]: codes whose digits differ by no more than a neighbouring level share one.

    A code of finite scalar quantisation is a number whose digit k, of base `levels[k]`, is the level of axis k.
    """
    codes = torch.arange(vocabulary.codes)
    group, base = torch.zeros_like(codes), 1
    for level in levels:
        group += codes % level // LEVELS_A_GROUP * base
        codes = codes // level
        base *= -(-level // LEVELS_A_GROUP)
    groups = torch.full((size,), base, dtype=torch.long)  # all that is no speech
    groups[vocabulary.first : vocabulary.first + vocabulary.codes] = group
    groups[vocabulary.speech_end] = base + 1
    return groups


class CachedChances:
    """A model as `speculate` asks it: chances of what follows, and what was read stays read."""

    def __init__(self, engine: LlasaEngine, options: CodeOptions, processors: Any, model: Any = None) -> None:
        from transformers import DynamicCache

        self.engine, self.model = engine, model or engine.model
        self.processors = processors
        self.greedy = options.temperature == 0
        self.cache, self.read = DynamicCache(config=self.model.config), 0
        self.ids: list[int] = []

    @torch.inference_mode()
    def __call__(self, ids: Sequence[int], count: int) -> torch.Tensor:
        """Chances float64 [count + 1, V] of what follows the last count + 1 beginnings of `ids`."""
        shared = min(beginning(self.ids, ids), len(ids) - count - 1)
        if shared < self.read:
            self.cache.crop(shared - self.read)
        new = torch.tensor([list(ids[shared:])], device=self.engine.device)
        logits = self.model(new, past_key_values=self.cache, use_cache=True, logits_to_keep=count + 1).logits[0]
        self.ids, self.read = list(ids), len(ids)
        rows = [
            self.processors(torch.tensor([list(ids[: len(ids) - count + row])], device=logits.device), logits[[row]])
            for row in range(count + 1)
        ]
        scores = torch.cat(rows).double().cpu()
        if self.greedy:
            return torch.zeros_like(scores).scatter_(1, scores.argmax(1, keepdim=True), 1.0)
        return scores.softmax(-1)


def _drafter(engine: LlasaEngine, options: CodeOptions, processors: Any, generator: torch.Generator) -> Any:
    """The assistant where there is one, else prompt lookup."""
    if engine.assistant is None:
        return lambda ids: look_up(ids, DRAFTED)
    assistant = CachedChances(engine, options, processors, engine.assistant)

    def draft(ids: Sequence[int]) -> Draft:
        tokens, rows = [], []
        for _ in range(DRAFTED):
            rows.append(assistant([*ids, *tokens], 0)[0])
            tokens.append(int(torch.multinomial(rows[-1], 1, generator=generator)))
            if tokens[-1] == engine.vocabulary.speech_end:
                break
        return Draft(tokens, torch.stack(rows))

    return draft
