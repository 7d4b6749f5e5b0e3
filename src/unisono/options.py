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
    typer.Option(help="int8, half or none: packed weights on a CPU; default is what the model's card says."),
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
WordsOption = Annotated[str | None, typer.Option(help="Word times (.json .vtt .TextGrid .csv), or subtitles (.srt).")]
SeedOption = Annotated[int, typer.Option(help="Same seed, same bytes on a CPU.")]
PlotOption = Annotated[
    str | None, typer.Option(help="Picture of waveform, spectrum, marks and words (.png .svg .pdf).")
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        help="Of text and recording, one that the model speaks: en ar zh de es fr it ja pl pt; default the model's."
    ),
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

ScriptOption = Annotated[
    str | None, typer.Option(help="Dialogue in place of a text: a file with lines such as 'Anna: Hello there.'")
]
VoicesOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VOICE", help="Voice of a speaker of the script; may be repeated. Default: ready voices."
    ),
]
LevelOption = Annotated[
    bool | None,
    typer.Option(
        "--level/--no-level",
        show_default=False,
        help="Bring the speakers of a script to the same loudness (default), unless the model speaks all itself (Dia).",
    ),
]
BestOfOption = Annotated[
    int | None, typer.Option(help="Speak so many times, keep what the verifiers like best; never worse than fewer.")
]
BeamsOption = Annotated[
    int | None,
    typer.Option(
        help="Search step by step (TADA, TASTE: sentences, Llasa: windows of codes, Dia: pieces of the text): at most "
        "so many beginnings stay. Never worse than fewer beams, or none."
    ),
]
VerifierOption = Annotated[
    list[str] | None,
    typer.Option(help="Judge of a search: wer, similarity or duration, :0.5 is a weight; may be repeated."),
]
AccelerateOption = Annotated[
    str | None, typer.Option(help="Llasa: none, lookup or assistant (both exact), or group (approximate).")
]
AssistantOption = Annotated[str | None, typer.Option(help="Llasa: folder of a smaller model that drafts codes.")]


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


def given_script(
    script: str | None, text: list[str] | None, voices: list[str] | None, level: bool | None
) -> list[Any] | None:
    """The turns of a script, or None. Raises InputError for a text beside it, or what belongs to one without it."""
    from unisono.errors import InputError
    from unisono.speak import read_dialogue_file

    if script is None:
        if voices:
            raise InputError("--voices belongs to a dialogue: name its file with --script, or a voice with --voice")
        if level is not None:
            raise InputError("--level and --no-level belong to a dialogue: name its file with --script")
        return None
    if text:
        raise InputError("a script stands in place of a text: leave one of the two away")
    return read_dialogue_file(script)


def dialogue_voices(model: Any, folder: Path, turns: list[Any] | None, given_voices: list[str] | None) -> Any:
    """Voices of a dialogue's speakers; None without one, and for models that speak dialogues themselves."""
    from unisono.errors import InputError
    from unisono.speak import find_voices, speakers

    if turns is None:
        return None
    if getattr(model, "can_dialogue", False):
        if given_voices:
            raise InputError(
                f"model {model.name} speaks both sides itself: give a recording of both as --voice, or none"
            )
        return None
    return find_voices(model, folder, speakers(turns), given_voices)


def search_options(best_of: int | None, beams: int | None, verifier: list[str] | None) -> Any:
    """The search that a user asked for, or None. Raises InputError for verifiers without a search, or two searches."""
    from unisono.errors import InputError
    from unisono.speak import Search

    if best_of is None and beams is None:
        if verifier:
            raise InputError("a verifier judges a search: add --best-of N or --beams N")
        return None
    how = Search(best_of, beams, **given(verifiers=verifier))
    how.check()
    return how


def latent(sample: bool, seed: int) -> dict[str, Any]:
    """Options for the noise of a voice or tokens, where it was asked for."""
    return {"sample_latent": True, "seed": seed} if sample else {}
