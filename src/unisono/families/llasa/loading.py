"""A Llasa model from its files: Llama, tokenizer and codec, each from where it is to be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from unisono.errors import CheckpointError
from unisono.families.checks import check_unpacked
from unisono.families.fixed_rate.card import Card, read_card
from unisono.families.fixed_rate.loading import UNUSABLE, check_defaults, find_codec, load_strictly
from unisono.families.fixed_rate.speech import FixedRateSpeech
from unisono.families.languages import check_known
from unisono.families.llasa.codec import XCodec
from unisono.families.llasa.controls import CONTROLS
from unisono.families.llasa.engine import LlasaEngine
from unisono.families.llasa.vocabulary import read_vocabulary
from unisono.files import find_folder

CODEC = "HKUSTAudio/xcodec2-hf"
PUBLISHED = Card(family="llasa", language="en", languages=["en", "zh"])
TOKENIZER_FILE = "tokenizer.json"


def load(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    tokenizer: str | Path | None = None,
    codec: str | Path | None = None,
    assistant: str | Path | None = None,
    quantize: str | None = None,
    language: str | None = None,
) -> FixedRateSpeech:
    """Load a model folder.

    Args:
        device: of all parts. dtype: of the language model; the codec stays in float32.
        tokenizer, codec: folders or hub names in place of the model's own.
        assistant: folder of a smaller model with the same vocabulary, which drafts codes.
        quantize: "none"; other packings are not for this family. language: of the texts; None = the card's.

    Raises:
        CheckpointError: anything that does not fit. InputError: a packing or language that there is not.
    """
    from transformers import LlamaForCausalLM, Xcodec2Model

    check_unpacked(quantize, "llasa")
    card = read_card(folder, PUBLISHED)
    check_defaults(CONTROLS, card, folder)
    if language is not None:
        card = replace(card, language=check_known(language, card.languages, card.name))
    words = load_words(folder, tokenizer)
    codec_folder = find_codec(folder, codec, CODEC)
    sound = XCodec(load_strictly(Xcodec2Model, codec_folder, device=device))
    vocabulary = read_vocabulary(words, sound.size, f"the tokenizer of {folder}")
    model = load_model(LlamaForCausalLM, folder, dtype, device, len(words))
    helper = None
    if assistant is not None:
        helper = load_model(LlamaForCausalLM, find_folder(assistant), dtype, device, len(words))
    return FixedRateSpeech(LlasaEngine(model, words, vocabulary, sound, card, codec_folder, helper), folder)


def load_model(kind: Any, folder: Path, dtype: str | None, device: str | None, tokens: int) -> Any:
    """A Llama that knows all ids of the tokenizer. Raises CheckpointError."""
    from transformers import GenerationConfig

    model = load_strictly(kind, folder, dtype, device)
    if tokens > model.config.vocab_size:
        raise CheckpointError(
            f"the tokenizer has {tokens} tokens, the model in {folder} {model.config.vocab_size}: "
            "they belong to different models"
        )
    model.generation_config = GenerationConfig()  # what holds is decided by our options alone
    return model


def load_words(folder: Path, given: str | Path | None = None) -> Any:
    """The tokenizer of transformers that a model brings, or that a user named. Raises CheckpointError."""
    from transformers import PreTrainedTokenizerFast

    place = folder if given is None else find_folder(given, holding=TOKENIZER_FILE)
    if not (place / TOKENIZER_FILE).exists():
        raise CheckpointError(
            f"{place} brings no tokenizer: put {TOKENIZER_FILE} and tokenizer_config.json of a Llasa model into it, "
            "or name a folder that holds them with --tokenizer (tokenizer=)"
        )
    try:
        return PreTrainedTokenizerFast.from_pretrained(place, local_files_only=True)
    except Exception as problem:
        if not isinstance(problem, UNUSABLE) and type(problem) is not Exception:  # the library raises that one bare
            raise
        raise CheckpointError(f"{place / TOKENIZER_FILE} is no tokenizer ({str(problem)[:120]})") from problem
