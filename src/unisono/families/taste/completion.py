"""The published call `inference_completion`: a prompt becomes text, codes and units (spec section 4.2).

Axes: A tokens of the recogniser, T tokens of the language model, Q codes, D width of speech vectors, S units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unisono.errors import GenerationError, InputError
from unisono.families.taste.choosing import Choosing, Draws, GeneratorDraws
from unisono.families.taste.conditions import UnitSampling, unit_result
from unisono.families.taste.generate import MODES, Prompt, Step, Writer, Written
from unisono.families.taste.pacing import Pacing
from unisono.families.taste.sequence import codes_at_tokens
from unisono.families.taste.vocabulary import Worded, WordTokenizer, read_words, split_words

if TYPE_CHECKING:
    from unisono.families.taste.model import TasteForCausalLM


@dataclass
class Completion:
    """A completion before it becomes sound.

    Attributes:
        written: what was made up. text: that as text. worded: its words as the recogniser's tokens.
        asr_ids: int64 [1, A], of the prompt too where that is kept. rows: int64 [1, n, Q], codes of the language
            model's tokens beside them. embeds: [1, A, D].
    """

    written: Written
    text: str
    worded: Worded
    asr_ids: torch.Tensor
    rows: torch.Tensor
    embeds: torch.Tensor


def check_mode(mode: str, codes: torch.Tensor | None, ids: torch.Tensor | None) -> None:
    """Raise InputError for a mode that is unknown or lacks what it starts from."""
    if mode not in MODES:
        raise InputError(f"conditional_mode is {mode!r}, known are {', '.join(MODES)}")
    if mode != "zero" and (ids is None or ids.numel() == 0):
        raise InputError(f"conditional_mode {mode!r} speaks on from a text: give llm_token_ids")
    if mode in ("audio", "instruct") and codes is None:
        raise InputError(f"conditional_mode {mode!r} speaks on from a recording: give its features and asr_token_ids")


def write(
    model: TasteForCausalLM,
    prompt: Prompt,
    how: Choosing,
    draws: Draws,
    extra_words: int,
    stop_id: int | None = None,
    limit: int | None = None,
    observer: Callable[[Step], None] | None = None,
    forced: Sequence[int] | None = None,
) -> Written:
    """Make up text and codes, or the codes of a `forced` text.

    Raises:
        GenerationError: not a word was made up. InputError: a model without delay.
    """
    if model.config.spoken.delay == 0:
        raise InputError("this model has delay 0, with which nothing can be made up")
    writer = Writer(model.spoken_lm, model.audio_tower.quantiser, model.vocabulary, prompt, how, draws)
    pacing = Pacing(
        model.config.spoken.delay,
        extra_words,
        model.vocabulary.starts.tolist(),
        model.vocabulary.ends.tolist(),
        len(writer.pending),
        stop_id,
    )
    written = writer.write(pacing, limit, observer, forced)
    if not written.ids:
        raise GenerationError("not a word was made up: the first token already ended the text; try another seed")
    return written


def read_written(written: Written, llm: WordTokenizer, asr: WordTokenizer) -> tuple[str, Worded]:
    """What was written as text, and its words as the recogniser's tokens.

    Words are those of the language model; one whose text has white space inside (a tab and letters are no word start)
    stays one word, while the published code counts its parts and stops (spec section 7.11).
    """
    words: list[list[int]] = [[] for _ in range(written.word_ids[-1] + 1)]
    for token, number in zip(written.ids, written.word_ids, strict=True):
        words[number].append(token)
    texts = [llm.decode(word) for word in words]
    ids, numbers = [], []
    for number, text in enumerate(texts):
        pieces = read_words(split_words(text), asr).ids
        ids += pieces
        numbers += [number] * len(pieces)
    return llm.decode(written.ids).strip(), Worded(texts, ids, numbers)


def join(
    model: TasteForCausalLM,
    written: Written,
    asr_ids: torch.Tensor | None = None,
    asr_words: torch.Tensor | None = None,
    codes: torch.Tensor | None = None,
) -> Completion:
    """What was written as the unit decoder takes it, behind a prompt if one is given.

    Args:
        asr_ids, asr_words: int64 [A] of the prompt. codes: int64 [T, Q] of its language model tokens.
    """
    text, worded = read_written(written, model.llm_tokenizer, model.asr_tokenizer)
    device = model.device
    rows = written.rows(len(model.audio_tower.quantiser.sizes)).to(device)
    ids, words = torch.tensor(worded.ids, device=device), torch.tensor(worded.word_ids, device=device)
    if asr_ids is not None:
        ids, words = torch.cat([asr_ids, ids]), torch.cat([asr_words, words + int(asr_words.max()) + 1])
        rows = torch.cat([codes, rows])
    embeds = model.audio_tower.embeds(codes_at_tokens(rows, words))
    worded = Worded(worded.words, ids.tolist(), words.tolist())
    return Completion(written, text, worded, ids[None], rows[None], embeds[None])


@dataclass(frozen=True)
class Inputs:
    """What the processor gives, under the published names; one row. The last three are taken and not used."""

    speaker_embeds: torch.Tensor | None = None
    audio_features: torch.Tensor | None = None
    asr_token_ids: torch.Tensor | None = None
    asr_token_lengths: torch.Tensor | None = None
    asr_word_ids: torch.Tensor | None = None
    llm_token_ids: torch.Tensor | None = None
    llm_token_lengths: torch.Tensor | None = None
    llm_word_ids: torch.Tensor | None = None
    audio_feature_lengths: torch.Tensor | None = None
    speech_token_ids: torch.Tensor | None = None
    speech_token_lengths: torch.Tensor | None = None

    def prompt(self, model: TasteForCausalLM, mode: str, prefix: Sequence[int], suffix: Sequence[int]) -> Prompt:
        """What a completion starts from. Raises InputError for an unknown mode, or one that lacks its start."""
        codes = None
        if mode in ("audio", "instruct") and self.audio_features is not None and self.asr_token_ids is not None:
            text = (self.asr_token_ids, self.asr_token_lengths, self.asr_word_ids)
            codes = model.extract_codes(self.audio_features, *text, self.llm_token_lengths, self.llm_word_ids)[1][0]
        check_mode(mode, codes, self.llm_token_ids)
        nothing = torch.zeros(0, dtype=torch.int64, device=model.device)
        ids, words = (nothing, nothing) if mode == "zero" else (self.llm_token_ids[0], self.llm_word_ids[0])
        return Prompt(mode, ids, words, codes, tuple(prefix), tuple(suffix))


@torch.no_grad()
def complete(
    model: TasteForCausalLM,
    *,
    conditional_mode: str,
    llm_tokenizer: WordTokenizer | None = None,
    asr_tokenizer: WordTokenizer | None = None,
    extra_words: int = 32,
    text_top_p: float = 0.0,
    taste_top_p: float = 0.0,
    text_temperature: float = 1.0,
    repetition_penalty: float = 1.0,
    out_generated_part_only: bool = False,
    output_text_only: bool = False,
    instruct_prefix_ids: Sequence[int] = (),
    instruct_suffix_ids: Sequence[int] = (),
    stop_id: int | None = None,
    draws: Draws | None = None,
    seed: int = 0,
    sampling: UnitSampling | None = None,
    observer: Callable[[Step], None] | None = None,
    unit_observer: Any = None,
    **tensors: torch.Tensor,
) -> dict[str, Any]:
    """Speak on, as `TasteForCausalLM.inference_completion`.

    Args:
        conditional_mode: "zero", "text", "audio" or "instruct" (prefix ids, prompt, suffix ids, until stop_id).
        llm_tokenizer, asr_tokenizer: None = those of `attach`.
        extra_words: a full stop ends the text after so many, anything after three times as many.
        text_top_p, taste_top_p, text_temperature, repetition_penalty: see `choosing.Choosing`.
        draws: recorded draws; None = from `seed`. sampling: of the units. tensors: fields of `Inputs`, no others.

    Returns:
        "generated_text" and, unless output_text_only, "speech_token_ids" int64 [1, S], "speech_token_lengths",
        "completion" (a `Completion`).

    Raises:
        InputError: an unknown mode, or one without what it starts from. GenerationError: not a word was made up.
    """
    given, draws = Inputs(**tensors), draws or GeneratorDraws(seed)
    model.attach(asr_tokenizer or model.asr_tokenizer, llm_tokenizer or model.llm_tokenizer)
    prompt = given.prompt(model, conditional_mode, instruct_prefix_ids, instruct_suffix_ids)
    how = Choosing(text_top_p, taste_top_p, text_temperature, repetition_penalty)
    written = write(model, prompt, how, draws, extra_words, stop_id, None, observer)
    if output_text_only:
        return {"generated_text": read_written(written, model.llm_tokenizer, model.asr_tokenizer)[0]}
    whole = conditional_mode == "audio" and not out_generated_part_only
    before = (given.asr_token_ids[0], given.asr_word_ids[0], prompt.codes) if whole else ()
    made = join(model, written, *before)
    lengths = torch.tensor([made.asr_ids.shape[1]], device=model.device)
    voice = given.speaker_embeds
    units = model.make_units(made.asr_ids, lengths, voice, made.embeds, sampling, draws.units, unit_observer)
    return {**unit_result(units), "generated_text": made.text, "completion": made}
