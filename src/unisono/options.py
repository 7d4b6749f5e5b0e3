"""Options that several commands of the command line share, and what they all do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="Folder or hub name (owner/name or owner/name@revision); default is the built-in model."
    ),
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; default is the best there is.")]
DtypeOption = Annotated[
    str | None, typer.Option(help="float32, bfloat16 or float16; default is float32 on a CPU, else bfloat16.")
]
QuantizeOption = Annotated[
    str | None,
    typer.Option(help="int8, blocked or none: packed weights on a CPU; default is what the model's card says."),
]
CodecOption = Annotated[
    str | None, typer.Option(help="Folder or hub name of a codec; default is the one in or beside the model's folder.")
]
TokenizerOption = Annotated[
    str | None, typer.Option(help="Folder, tokenizer.json or hub name of a tokenizer; default is the model's own.")
]
SoundOption = Annotated[
    str, typer.Option("-o", "--output", help='Sound file (.wav .flac .ogg .opus .mp3); "-" is WAV on stdout.')
]
WordsOption = Annotated[str | None, typer.Option(help="Word times (.json .srt .vtt .TextGrid .csv).")]
SeedOption = Annotated[int, typer.Option(help="Same seed, same bytes on a CPU.")]
PlotOption = Annotated[
    str | None, typer.Option(help="Picture of waveform, spectrum, marks and words (.png .svg .pdf).")
]
LanguageOption = Annotated[
    str | None,
    typer.Option(help="Of text and recording, picks the aligner: en ar zh de es fr it ja pl pt; default the model's."),
]
Recording = Annotated[str, typer.Argument(help='Sound file of any rate, or "-" for standard input.')]
Transcript = Annotated[str | None, typer.Option("--text", help="What the recording says; or see --asr.")]
Said = Annotated[str, typer.Option("--text", help="What the recording says, in its words.")]
AsrOption = Annotated[
    str | None,
    typer.Option(
        help="Speech recogniser that hears what the recording says: folder or hub name for transformers "
        "(published choice nvidia/parakeet-ctc-1.1b), or pocketsphinx (offline, English, errs often)."
    ),
]
LatentOption = Annotated[
    bool,
    typer.Option("--sample-latent", help="Draw the noise of training into the vectors, from --seed; default is none."),
]


def load_model(
    model: str | None, device: str | None, dtype: str | None, quantize: str | None = None, **parts: str | None
) -> tuple[Any, Path]:
    """The model and the folder it was loaded from; `parts` are further options of its loader, such as language."""
    from unisono import hub

    folder = hub.model_folder(model)
    hub.limit_threads(folder)
    return hub.load(folder, device=device, dtype=dtype, **given(quantize=quantize, **parts)), folder


def given(**options: Any) -> dict[str, Any]:
    """The options that a user gave."""
    return {name: value for name, value in options.items() if value is not None}


def latent(sample: bool, seed: int) -> dict[str, Any]:
    """Options for the noise of a voice or tokens, where it was asked for."""
    return {"sample_latent": True, "seed": seed} if sample else {}
