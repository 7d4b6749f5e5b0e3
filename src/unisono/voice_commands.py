"""`unisono voice ...`: one thin function a command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unisono import console
from unisono.options import (
    AsrOption,
    DeviceOption,
    LanguageOption,
    LatentOption,
    ModelOption,
    Transcript,
    latent,
    load_model,
)

if TYPE_CHECKING:
    from unisono.interface import Voice

voices = typer.Typer(rich_markup_mode=None, help="Voices: those of a model, those that you add, and voice files.")


@voices.command("add")
def voice_add(
    name: Annotated[str, typer.Argument(help="Of the new voice: letters and digits, with - _ . between them.")],
    source: Annotated[str, typer.Argument(help='Recording ("-" is standard input), or a voice file to take in.')],
    text: Transcript = None,
    asr: AsrOption = None,
    consent: Annotated[
        str | None,
        typer.Option(
            metavar="NOTE",
            help="Who allowed the use of this voice, and for what. Optional; recorded in the voice file.",
        ),
    ] = None,
    language: LanguageOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a voice of that name.")] = False,
    sample_latent: LatentOption = False,
    seed: Annotated[int, typer.Option(help="Of the noise of --sample-latent.")] = 0,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Learn a voice from a recording (9 to 15 s of clean speech serve best) and keep it under a name.

    Silence before the first and after the last sound is cut to 0.1 s and 0.3 s, for a model copies it; longer
    recordings than 30 s go through windows. Make voices only of people who allow it; --consent records what they said.
    """
    from unisono import files, hub, speak

    name = files.check_new_voice(hub.model_folder(model), name, force)
    tts, folder = load_model(model, device, None, language=language)
    voice = speak.find_voice(tts, folder, source, text, asr, text_option="--text", **latent(sample_latent, seed))
    if asr is not None and text is None:
        console.report_transcript(voice.tokens.text)
    voice.name, voice.consent = name, voice.consent if consent is None else consent
    path = files.store_voice(voice)
    print(f"{name}: {len(voice.tokens.text_ids)} tokens, {_seconds(voice)} s, in {path}")


@voices.command("list")
def voice_list(model: ModelOption = None) -> None:
    """The voices of a model, and those that were added."""
    from unisono import files, hub

    console.print_table(_table(files.ready_voices(hub.model_folder(model)), files.stored_voices()))


@voices.command("show")
def voice_show(
    name: Annotated[str, typer.Argument(help="Name of a voice, or voice file.")], model: ModelOption = None
) -> None:
    """What a voice is made of."""
    console.print_table(_rows(_named_voice(name, model)))


@voices.command("export")
def voice_export(
    name: Annotated[str, typer.Argument(help="Name of a voice.")],
    output: Annotated[str, typer.Argument(help="Voice file (.safetensors).")],
    model: ModelOption = None,
) -> None:
    """Write a voice to a file."""
    console.check_outputs((output, console.check_tensor_path))
    _named_voice(name, model).save(output)
    print(f"{output}: voice {name}")


@voices.command("remove")
def voice_remove(
    name: Annotated[str, typer.Argument(help="Name of a voice that was added.")], model: ModelOption = None
) -> None:
    """Delete a voice that was added."""
    from unisono import files, hub

    print(f"removed {files.remove_voice(hub.model_folder(model), name)}")


def _named_voice(name: str, model: str | None) -> Any:
    """A voice by name or file."""
    from unisono import hub, speak

    folder = hub.model_folder(model)
    voice = speak.read_voice(folder, name)
    if voice is None:
        raise speak.unknown_voice(folder, name)
    return voice


def _table(ready: Mapping[str, Path], stored: Mapping[str, Path]) -> list[tuple[str, ...]]:
    """Voices by name as rows of a table with a head; one that is damaged says so."""
    rows = [("voice", "from", "made by", "language", "seconds", "says")]
    for origin, voices in (("model", ready), ("added", stored)):
        rows += [_voice_row(name, origin, path) for name, path in voices.items()]
    return rows


def _voice_row(name: str, origin: str, path: Path) -> tuple[str, ...]:
    from unisono.errors import CheckpointError
    from unisono.files import load_voice

    try:
        voice = load_voice(path)
    except CheckpointError:
        return name, origin, "?", "?", "?", f"({path} is damaged)"
    tokens = voice.tokens
    return name, origin, tokens.model, voice.language, _seconds(voice), " ".join(tokens.text.split())[:60]


def _seconds(voice: Voice) -> str:
    """Length of a voice's recording."""
    return f"{voice.tokens.samples / voice.tokens.sample_rate:.1f}"


def _rows(voice: Voice) -> list[tuple[str, str]]:
    """What a voice is made of, as rows of a table."""
    tokens = voice.tokens
    rows = [
        ("name", voice.name),
        ("language", voice.language),
        ("speaker", voice.speaker),
        ("model", f"{tokens.model} ({tokens.family})"),
        ("seconds", f"{tokens.samples / tokens.sample_rate:.2f}"),
        ("tokens", str(len(tokens.text_ids))),
        ("sample rate", str(tokens.sample_rate)),
        ("created", voice.created),
        ("consent", voice.consent),
        ("text", " ".join(tokens.text.split())),
    ]
    return [(name, value) for name, value in rows if value]
