"""The command line: one thin function a command. What they print and how they fail is in `console`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from unisono import console
from unisono.lab_commands import lab
from unisono.options import (
    AccelerateOption,
    AsrOption,
    AssistantOption,
    BeamsOption,
    BestOfOption,
    CodecOption,
    DeviceOption,
    DtypeOption,
    LanguageOption,
    LatentOption,
    LevelOption,
    ModelOption,
    PlotOption,
    QuantizeOption,
    Recording,
    Said,
    ScriptOption,
    SeedOption,
    SoundOption,
    TokenizerOption,
    Transcript,
    VerifierOption,
    VoicesOption,
    WordsOption,
    dialogue_voices,
    given,
    given_script,
    latent,
    load_model,
    search_options,
)
from unisono.serve_command import server
from unisono.voice_commands import voices

SENTENCE = "Every token of text carries exactly one piece of speech, so that text and sound move in unison."

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Text-aligned speech language models: run, train and measure them.",
)
app.add_typer(voices, name="voice")


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Print help when no command is given."""
    if version:
        import unisono

        print(f"unisono {unisono.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
@console.with_controls
def say(
    text: Annotated[list[str] | None, typer.Argument(help='Text; "-" is standard input, none is a sentence.')] = None,
    output: SoundOption = "out.wav",
    model: ModelOption = None,
    voice: Annotated[
        str | None,
        typer.Option(help="Name of a voice (see voice list), voice file, or a recording with --voice-text or --asr."),
    ] = None,
    voice_text: Annotated[str | None, typer.Option(help="What the recording given as --voice says.")] = None,
    asr: AsrOption = None,
    language: LanguageOption = None,
    script: ScriptOption = None,
    voices: VoicesOption = None,
    level: LevelOption = None,
    words: WordsOption = None,
    plot: PlotOption = None,
    seed: SeedOption = 0,
    best_of: BestOfOption = None,
    beams: BeamsOption = None,
    verifier: VerifierOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    quantize: QuantizeOption = None,
    codec: CodecOption = None,
    tokenizer: TokenizerOption = None,
    assistant: AssistantOption = None,
    accelerate: AccelerateOption = None,
    **controls: Any,
) -> None:
    """Speak a text, or the dialogue of a script. A model's card may have defaults of its own."""
    from unisono import align, speak

    console.check_outputs(
        (output, console.check_sound_path), (words, align.check_words_path), (plot, console.check_picture_path)
    )
    spoken_text, turns = console.given_text(text, SENTENCE), given_script(script, text, voices, level)
    how = search_options(best_of, beams, verifier)
    parts = dict(codec=codec, tokenizer=tokenizer, language=language, assistant=assistant)
    tts, folder = load_model(model, device, dtype, quantize, **parts)
    speak.check_words(tts, words)
    chosen = speak.find_voice(tts, folder, voice, voice_text, asr)
    if asr is not None and voice_text is None:
        console.report_transcript(chosen.tokens.text, console.report_stream(output, words))
    heard = chosen or getattr(tts, "default_voice", None)
    pace = console.pace_of(heard, controls.get("speed", 1.0)) if output != "-" else 0.0
    controls |= given(accelerate=accelerate, voices=dialogue_voices(tts, folder, turns, voices))
    with console.progress_bar("token", pace) as progress, console.writing(output, words, plot) as (sink, finish):
        asked = dict(turns=turns, level=level is not False, how=how, keep=plot is not None, voice=chosen, seed=seed)
        spoken, found = speak.say_request(tts, spoken_text, sink, progress=progress, **asked, **controls)
        finish(spoken.speech)
    console.report_spoken(spoken, output, console.report_stream(output, words))
    for line in () if found is None else found.lines():
        print(line, file=console.report_stream(output, words))


@app.command("continue")
@console.with_controls
def continue_(
    recording: Recording,
    text: Said,
    tokens: Annotated[int, typer.Option(min=1, max=2000, help="Make up at most so many tokens of text.")] = 40,
    output: SoundOption = "out.wav",
    with_prompt: Annotated[bool, typer.Option("--with-prompt", help="Put the recording before it.")] = False,
    words: WordsOption = None,
    plot: PlotOption = None,
    model: ModelOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    quantize: QuantizeOption = None,
    codec: CodecOption = None,
    tokenizer: TokenizerOption = None,
    **controls: Any,
) -> None:
    """Speak on from a recording, text and sound made up.

    It ends where the model ends its turn, or with the last whole word within --tokens.
    """
    from unisono import align, speak

    console.check_outputs(
        (output, console.check_sound_path), (words, align.check_words_path), (plot, console.check_picture_path)
    )
    tts, _ = load_model(model, device, dtype, quantize, codec=codec, tokenizer=tokenizer)
    with console.progress_bar("token") as progress:
        spoken = speak.continue_(
            tts, recording, text, tokens, with_prompt=with_prompt, seed=seed, progress=progress, **controls
        )
    speech = spoken.speech
    console.write_outputs((output, speech.save), (words, speech.save_words), (plot, speech.plot))
    console.report_spoken(spoken, output, console.report_stream(output, words))


@app.command()
def align(
    recording: Recording,
    text: Transcript = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", help="Word times (.json .srt .vtt .TextGrid .csv); none prints them."),
    ] = None,
    plot: PlotOption = None,
    asr: AsrOption = None,
    language: LanguageOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    codec: CodecOption = None,
    tokenizer: TokenizerOption = None,
) -> None:
    """When each word of a recording is spoken."""
    from unisono import align as alignment
    from unisono import speak

    console.check_outputs((output, alignment.check_words_path), (plot, console.check_picture_path))
    tts, _ = load_model(model, device, dtype, codec=codec, tokenizer=tokenizer, language=language)
    sound, said = speak.find_text(tts, recording, text, asr)
    if text is None:
        console.report_transcript(said, console.report_stream(output))
    speech = speak.align(tts, sound, said)
    console.write_outputs((output, speech.save_words), (plot, speech.plot))
    if output is None:
        console.report_words(speech, console.report_stream())


@app.command()
def encode(
    recording: Recording,
    output: Annotated[str, typer.Option("-o", "--output", help="Token file (.safetensors).")],
    text: Transcript = None,
    asr: AsrOption = None,
    language: LanguageOption = None,
    sample_latent: LatentOption = False,
    seed: Annotated[int, typer.Option(help="Of the noise of --sample-latent.")] = 0,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    codec: CodecOption = None,
    tokenizer: TokenizerOption = None,
) -> None:
    """One piece of speech per token of the transcript."""
    from unisono import files, speak

    console.check_outputs((output, console.check_tensor_path))
    tts, _ = load_model(model, device, dtype, codec=codec, tokenizer=tokenizer, language=language)
    sound, said = speak.find_text(tts, recording, text, asr)
    if text is None:
        console.report_transcript(said)
    tokens = speak.encode(tts, sound, said, **latent(sample_latent, seed))
    files.save_tokens(output, tokens)
    rate = getattr(tts, "bits_per_second", None)  # of families with codes
    amount = "" if rate is None else f", {rate(tokens):.0f} bits per second"
    print(f"{output}: {len(tokens.text_ids)} tokens, {tokens.samples / tokens.sample_rate:.2f} s{amount}")


@app.command()
def decode(
    tokens: Annotated[str, typer.Argument(help="Token or voice file (.safetensors).")],
    output: SoundOption = "out.wav",
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    codec: CodecOption = None,
    tokenizer: TokenizerOption = None,
) -> None:
    """Sound from a token file; without --model by the one that made it, where that comes with the package."""
    from unisono import files, speak
    from unisono.hub import is_packaged

    console.check_outputs((output, console.check_sound_path))
    pieces = files.load_tokens(tokens)
    if model is None and is_packaged(pieces.model):
        model = pieces.model
    tts, _ = load_model(model, device, dtype, codec=codec, tokenizer=tokenizer)
    spoken = speak.decode(tts, pieces)
    console.write_outputs((output, spoken.speech.save))
    console.report_spoken(spoken, output, console.report_stream(output))


@app.command()
def edit(
    recording: Recording,
    text: Said,
    replace: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help='Other words in their place; "word#2" is the second.')
    ] = None,
    delete: Annotated[list[str] | None, typer.Option(metavar="WORDS", help="Words to leave out.")] = None,
    insert_after: Annotated[
        list[str] | None, typer.Option(metavar="WORDS=NEW", help="Words to add behind others.")
    ] = None,
    output: SoundOption = "out.wav",
    words: WordsOption = None,
    tokens: Annotated[str | None, typer.Option(help="Token file of the result (.safetensors).")] = None,
    plot: PlotOption = None,
    seed: SeedOption = 0,
    steps: Annotated[int | None, typer.Option(help="Solver steps a token, 1 to 1000.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Strength of guidance, 0 to 10; 1 is none.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Scale of the noise sound starts from, 0 to 2.")] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    quantize: QuantizeOption = None,
    codec: CodecOption = None,
    tokenizer: TokenizerOption = None,
) -> None:
    """Replace, delete or add words of a recording, in its own voice. Each option may be given several times."""
    from unisono import align, files, speak

    console.check_outputs(
        (output, console.check_sound_path),
        (words, align.check_words_path),
        (plot, console.check_picture_path),
        (tokens, console.check_tensor_path),
    )
    edits = speak.read_edits(text, replace, delete, insert_after)
    tts, _ = load_model(model, device, dtype, quantize, codec=codec, tokenizer=tokenizer)
    options = given(steps=steps, guidance=guidance, temperature=temperature)
    with console.progress_bar("token") as progress:
        spoken, pieces = speak.edit(tts, recording, text, edits, seed=seed, progress=progress, **options)
    speech = spoken.speech
    console.write_outputs(
        (output, speech.save),
        (words, speech.save_words),
        (plot, speech.plot),
        (tokens, lambda path: files.save_tokens(path, pieces)),
    )
    console.report_spoken(spoken, output, console.report_stream(output, words))


@app.command()
def models(
    table: Annotated[bool, typer.Option("--table", help="Compare the families instead (Markdown).")] = False,
) -> None:
    """What is built in, cached and known."""
    from unisono import hub

    if table:
        from unisono.families.facts import table_lines

        print("\n".join(table_lines()))
        return
    console.print_table([("model", "family", "state", "about"), *hub.list_models()])


app.add_typer(lab)
app.add_typer(server)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 with one line on stderr."""
    return console.run(app, argv)
