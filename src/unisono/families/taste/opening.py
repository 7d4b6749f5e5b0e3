"""A TASTE model folder becomes a speech model: model, tokenizer and what makes sound of units."""

from __future__ import annotations

from pathlib import Path

from unisono.errors import CheckpointError
from unisono.families.checks import check_unpacked
from unisono.families.languages import check_known
from unisono.families.taste.card import read_card
from unisono.families.taste.loading import load_model
from unisono.families.taste.slots import part_folder
from unisono.families.taste.sound.load import load_sound
from unisono.families.taste.speech import TasteSpeech
from unisono.families.taste.vocabulary import own_vocabulary
from unisono.text import load_tokenizer


def load(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    tokenizer: str | Path | None = None,
    codec: str | Path | None = None,
    quantize: str | None = None,
    language: str | None = None,
) -> TasteSpeech:
    """Load a model folder ready to speak: model, tokenizer and what makes sound of units.

    Args:
        device: of all parts. dtype: None or "float32" on a CPU. tokenizer: folder in place of the model's own.
        codec: folder with the parts that make sound, in place of the model's own.
        quantize: "none" or None: TASTE's weights are not packed. language: the card's, or None.

    Raises:
        CheckpointError: anything that does not fit. InputError: an option that TASTE has not got.
    """
    card = read_card(folder)
    check_unpacked(quantize, "taste")
    if language is not None:
        check_known(language, [card.language], card.name)
    if not any((place / "tokenizer").is_dir() for place in (folder, folder.parent)) and tokenizer is None:
        raise CheckpointError(
            f"{folder} has no tokenizer/ for both sides: a published TASTE model is used through "
            "unisono.families.taste.TasteForCausalLM and TasteProcessor"
        )
    words = load_tokenizer(Path(tokenizer) if tokenizer is not None else part_folder(folder, "tokenizer"))
    model = load_model(folder, dtype=dtype, device=device)
    known = min(model.config.units.text_token_size, model.config.text["vocab_size"])
    if words.vocab_size > known:
        raise CheckpointError(f"the tokenizer has {words.vocab_size} tokens, the model in {folder} knows {known}")
    model.attach(words, words, own_vocabulary(words))
    return TasteSpeech(model, card, folder, words, load_sound(Path(codec) if codec else folder, device))
