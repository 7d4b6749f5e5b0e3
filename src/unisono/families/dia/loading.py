"""A Dia model from its files: the model and its DAC."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unisono.errors import InputError
from unisono.families.checks import check_unpacked
from unisono.families.dia.codec import DacCodec
from unisono.families.dia.controls import CONTROLS
from unisono.families.dia.engine import DiaEngine
from unisono.families.fixed_rate.card import Card, read_card
from unisono.families.fixed_rate.loading import check_books, check_defaults, find_codec, load_strictly
from unisono.families.fixed_rate.speech import FixedRateSpeech
from unisono.families.languages import check_known

CODEC = "descript/dac_44khz"
PUBLISHED = Card(
    family="dia",
    language="en",
    languages=["en"],
    chunk_characters=160,  # some 11 seconds: what follows is spoken on from the first piece, and both must fit
    max_length=3072,
    window=172,
    context=64,
    ahead=32,
)


def load(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    tokenizer: str | Path | None = None,
    codec: str | Path | None = None,
    quantize: str | None = None,
    language: str | None = None,
) -> FixedRateSpeech:
    """Load a model folder.

    Args:
        device: of all parts. dtype: of the language model; the codec stays in float32.
        codec: folder or hub name in place of the model's own.
        tokenizer, quantize: must be None and "none": Dia reads bytes and is not packed.
        language: one that the model speaks, English as published.

    Raises:
        CheckpointError: anything that does not fit. InputError: a choice that this family has not.
    """
    from transformers import DacModel, GenerationConfig

    from unisono.families.dia.model import SeededDia

    check_unpacked(quantize, "dia")
    if tokenizer is not None:
        raise InputError(f"tokenizer is {str(tokenizer)[:60]!r}: models of the family dia read bytes, leave it away")
    card = read_card(folder, PUBLISHED)
    if language is not None:
        check_known(language, card.languages, card.name)
    check_defaults(CONTROLS, card, folder)
    codec_folder = find_codec(folder, codec, CODEC)
    sound = DacCodec(load_strictly(DacModel, codec_folder, device=device))
    model = load_strictly(SeededDia, folder, dtype, device)
    model.generation_config = GenerationConfig()  # what holds is decided by our options alone
    audio = model.config.decoder_config
    check_books(sound, audio.num_channels, audio.eos_token_id, folder)
    return FixedRateSpeech(DiaEngine(model, sound, replace(card, family="dia"), codec_folder), folder)
