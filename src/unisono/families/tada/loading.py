"""A TADA model from its files: language model, codec and tokenizer, each from where it is to be had."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from unisono.errors import CheckpointError
from unisono.families.languages import check_known
from unisono.families.tada.card import read_card
from unisono.families.tada.decoder import Decoder
from unisono.families.tada.model import TadaForCausalLM
from unisono.families.tada.recordings import CODEC
from unisono.families.tada.speaker import AcousticSpkrVerf
from unisono.families.tada.speech import TadaSpeech
from unisono.files import find_folder
from unisono.interface import Tokenizer
from unisono.text import load_tokenizer, normalize

CODEC_FOLDER = Path(CODEC).name  # its name on disk, in or beside a model's folder
SCORER = "spkr-verf"  # subfolder of the codec with the speaker network
TOKENIZER_FILE = "tokenizer.json"
# Who has the tokenizer of Llama 3.2: its gated owner, for those who were let in, then copies that everyone may fetch.
GATED_TOKENIZER = "meta-llama/Llama-3.2-1B"
TOKENIZER_MIRRORS = ("unsloth/Llama-3.2-1B", "unsloth/Llama-3.2-3B", "unsloth/Llama-3.2-1B-Instruct")


def load(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    tokenizer: str | Path | None = None,
    codec: str | Path | None = None,
    quantize: str | None = None,
    language: str | None = None,
) -> TadaSpeech:
    """Load a model folder: language model, decoder and tokenizer now, all else when it is first needed.

    Args:
        device: of all parts. dtype: of the language model; the codec stays in float32.
        tokenizer: folder, `tokenizer.json` or hub name of a tokenizer in place of the model's own.
        codec: folder or hub name of a codec in place of the model's own, see `find_codec`.
        quantize: "int8", "half" (CPU, float32) or "none"; None = what the card says, where it can be done.
        language: of texts and recordings, which picks the aligner: en ar zh de es fr it ja pl pt; None = the card's.

    Raises:
        CheckpointError: anything that does not fit.
        InputError: a packing that cannot be done, or a language that the model does not speak.
    """
    card = read_card(folder)
    if language is not None:
        card = replace(card, language=check_known(language, card.languages, card.name))
    codec = find_codec(folder, codec)
    words = find_tokenizer(folder, tokenizer)
    decoder_folder = find_folder(codec, "decoder")  # that it is missing shall be said before gigabytes are read
    model = TadaForCausalLM.from_pretrained(folder, dtype=dtype, device=device)
    model.origin = None  # all of its parts are given below
    if words.vocab_size > model.config.vocab_size:
        raise CheckpointError(
            f"the tokenizer has {words.vocab_size} tokens, the model in {folder} {model.config.vocab_size}: "
            "they belong to different models"
        )
    decoder = Decoder.from_pretrained(decoder_folder, device=device)
    if decoder.config.embed_dim != model.config.acoustic_dim:
        raise CheckpointError(
            f"the decoder takes vectors of {decoder.config.embed_dim} numbers, the language model in {folder} makes "
            f"{model.config.acoustic_dim}: they belong to different models"
        )
    packable = model.device.type == "cpu" and model.dtype == torch.float32
    model.quantize(quantize or (card.quantize if packable else "none"))

    def speaker_scorer() -> AcousticSpkrVerf:
        return AcousticSpkrVerf.from_pretrained(codec, subfolder=SCORER, device=device)

    # What a hub name holds is known when it is asked for; the published codec has one.
    scored = not codec.is_dir() or (codec / SCORER).is_dir()
    model.attach(tokenizer=words, decoder=decoder, speaker_scorer=speaker_scorer if scored else None)
    if packable:  # so that the first sentence takes as long as any other
        model.runner()
        model.flow_head()
        normalize("a", style=card.style, language=card.language)
    return TadaSpeech(model, card, folder, codec)


def find_codec(folder: Path, codec: str | Path | None = None) -> Path:
    """The folder or hub name under which a model's codec is found, with subfolders encoder, decoder, aligner, ...

    That is the one given, else the model's folder itself, a folder `tada-codec` in or beside it, or the published
    codec on the hub. Subfolders of a hub name are fetched one by one, when they are needed.

    Raises:
        CheckpointError: the one given has no decoder.
    """
    if codec is not None:
        if not str(codec).strip():
            raise CheckpointError(f"the codec's name is empty: give a folder or a hub name such as {CODEC}")
        find_folder(codec, "decoder")
        return Path(codec).expanduser()
    beside = (folder, folder / CODEC_FOLDER, folder.parent / CODEC_FOLDER)
    return next((place for place in beside if (place / "decoder").is_dir()), Path(CODEC))


def find_tokenizer(folder: Path, tokenizer: str | Path | None = None) -> Tokenizer:
    """The tokenizer of `tokenizer_folder`, loaded. Raises CheckpointError when it is not to be had or damaged."""
    return load_tokenizer(tokenizer_folder(folder, tokenizer))


def tokenizer_folder(folder: Path, tokenizer: str | Path | None = None, offline: bool = False) -> Path:
    """Where the tokenizer given is, else the model's own, else one of Llama 3.2 from the cache, else a mirror's.

    Args:
        offline: never fetch what the cache lacks.

    Raises:
        CheckpointError: none is to be had; the sentence names those that serve.
    """
    if tokenizer is not None:
        return _named_tokenizer(tokenizer, offline)
    if (folder / "tokenizer").is_dir():
        return folder / "tokenizer"
    if (folder / TOKENIZER_FILE).exists():
        return folder
    for name in (GATED_TOKENIZER, *TOKENIZER_MIRRORS):
        with suppress(CheckpointError):
            return find_folder(name, holding=TOKENIZER_FILE, offline=True)
    try:
        return find_folder(TOKENIZER_MIRRORS[0], holding=TOKENIZER_FILE, offline=offline)
    except CheckpointError as problem:
        raise CheckpointError(
            f"{folder} brings no tokenizer, and that of Llama 3.2, which it wants, is gated at its owner: put "
            f"{TOKENIZER_FILE} into that folder, name one with --tokenizer (tokenizer=), or run `hf download "
            f"{TOKENIZER_MIRRORS[0]} {TOKENIZER_FILE}` where there is a network; {', '.join(TOKENIZER_MIRRORS)} "
            f"and, with a licence, {GATED_TOKENIZER} serve"
        ) from problem


def _named_tokenizer(name: str | Path, offline: bool) -> Path:
    """The folder of a tokenizer that a user named. Raises CheckpointError when there is none."""
    path = Path(name).expanduser()
    if path.name == TOKENIZER_FILE and path.is_file():
        return path.parent
    if str(name).strip() and path.is_dir():
        within = path / "tokenizer"
        return within if (within / TOKENIZER_FILE).exists() and not (path / TOKENIZER_FILE).exists() else path
    if path.is_file():
        raise CheckpointError(f"{path} is no tokenizer: name a folder that holds {TOKENIZER_FILE}, or that file")
    try:
        return find_folder(name, holding=TOKENIZER_FILE, offline=offline)
    except CheckpointError as problem:
        raise CheckpointError(
            f"there is no tokenizer {str(name)[:200]!r}: name a folder with {TOKENIZER_FILE} or a hub name, of which "
            f"{', '.join(TOKENIZER_MIRRORS)} serve for models on Llama 3.2 ({problem})"
        ) from problem
