"""The command line: one thin function a command. What they print and how they fail is in `console`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from unisono import console

SENTENCE = "Every token of text carries exactly one piece of speech, so that text and sound move in unison."

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Text-aligned speech language models: run, train and measure them.",
)
voices = typer.Typer(rich_markup_mode=None, help="Ready voices and voice files.")
app.add_typer(voices, name="voice")

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Folder or hub name; default is the built-in model.")
]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; default is the best there is.")]
DtypeOption = Annotated[
    str | None, typer.Option(help="float32, bfloat16 or float16; default is float32 on a CPU, else bfloat16.")
]
QuantizeOption = Annotated[
    str | None,
    typer.Option(help="int8, blocked or none: packed weights on a CPU; default is what the model's card says."),
]
PlotOption = Annotated[
    str | None, typer.Option(help="Picture of waveform, spectrum, marks and words (.png .svg .pdf).")
]
Recording = Annotated[str, typer.Argument(help='Sound file of any rate, or "-" for standard input.')]
Transcript = Annotated[str, typer.Option("--text", help="What the recording says.")]


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
def say(
    text: Annotated[list[str] | None, typer.Argument(help='Text; "-" is standard input, none is a sentence.')] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", help='Sound file (.wav .flac .ogg .opus .mp3); "-" is WAV on stdout.')
    ] = "out.wav",
    model: ModelOption = None,
    voice: Annotated[
        str | None, typer.Option(help="Ready voice, voice file, or a recording together with --voice-text.")
    ] = None,
    voice_text: Annotated[str | None, typer.Option(help="What the recording given as --voice says.")] = None,
    words: Annotated[str | None, typer.Option(help="Word times (.json .srt .vtt .TextGrid .csv).")] = None,
    plot: PlotOption = None,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes on a CPU.")] = 0,
    speed: Annotated[float | None, typer.Option(help="Speaking rate, 0.25 to 4; 1 is the model's own.")] = None,
    steps: Annotated[int | None, typer.Option(help="Solver steps a token, 1 to 1000.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Strength of guidance, 0 to 10; 1 is none.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Scale of the noise sound starts from, 0 to 2.")] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    quantize: QuantizeOption = None,
) -> None:
    """Speak a text."""
    from unisono import align, speak

    console.check_outputs(
        (output, console.check_sound_path), (words, align.check_words_path), (plot, console.check_picture_path)
    )
    spoken_text = console.given_text(text, SENTENCE)
    tts, folder = _load(model, device, dtype, quantize)
    chosen = speak.find_voice(tts, folder, voice, voice_text)
    options = _given(speed=speed, steps=steps, guidance=guidance, temperature=temperature)
    with console.progress_bar("token") as progress:
        spoken = speak.say(tts, spoken_text, voice=chosen, seed=seed, progress=progress, **options)
    speech = spoken.speech
    console.write_outputs((output, speech.save), (words, speech.save_words), (plot, speech.plot))
    console.report_spoken(spoken, output, console.report_stream(output, words))


@app.command()
def align(
    recording: Recording,
    text: Transcript,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", help="Word times (.json .srt .vtt .TextGrid .csv); none prints them."),
    ] = None,
    plot: PlotOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """When each word of a recording is spoken."""
    from unisono import align as alignment
    from unisono import speak

    console.check_outputs((output, alignment.check_words_path), (plot, console.check_picture_path))
    tts, _ = _load(model, device, dtype)
    speech = speak.align(tts, recording, text)
    console.write_outputs((output, speech.save_words), (plot, speech.plot))
    if output is None:
        console.report_words(speech, console.report_stream())


@app.command()
def encode(
    recording: Recording,
    text: Transcript,
    output: Annotated[str, typer.Option("-o", "--output", help="Token file (.safetensors).")],
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """One piece of speech per token of the transcript."""
    from unisono import files, speak

    console.check_outputs((output, console.check_tensor_path))
    tts, _ = _load(model, device, dtype)
    tokens = speak.encode(tts, recording, text)
    files.save_tokens(output, tokens)
    print(f"{output}: {len(tokens.text_ids)} tokens, {tokens.samples / tokens.sample_rate:.2f} s")


@app.command()
def decode(
    tokens: Annotated[str, typer.Argument(help="Token or voice file (.safetensors).")],
    output: Annotated[
        str, typer.Option("-o", "--output", help='Sound file (.wav .flac .ogg .opus .mp3); "-" is WAV on stdout.')
    ] = "out.wav",
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Sound from a token file."""
    from unisono import files, speak

    console.check_outputs((output, console.check_sound_path))
    pieces = files.load_tokens(tokens)
    tts, _ = _load(model, device, dtype)
    spoken = speak.decode(tts, pieces)
    console.write_outputs((output, spoken.speech.save))
    console.report_spoken(spoken, output, console.report_stream(output))


@app.command()
def prepare(
    source: Annotated[list[str], typer.Argument(help="Folders with metadata.csv, or CSV or JSONL manifests.")],
    output: Annotated[str, typer.Option("-o", "--output", help="New folder of shards.")],
) -> None:
    """Recordings and texts to shards for training."""
    from unisono import train

    summary = train.prepare(source, output)
    print(f"{output}: {summary['clips']} clips, {summary['hours']} hours, {summary['held_out']} held out")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Recipe (.yaml).")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    max_steps: Annotated[int | None, typer.Option(help="At most this many steps a stage.")] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="Folder of the run.")] = None,
) -> None:
    """Run the stages of a recipe."""
    from unisono import train as training

    folder = training.run(recipe, resume=resume, max_steps=max_steps, output=output)
    print(f"the run is in {folder}")


@app.command("eval")
def evaluate(
    data: Annotated[str, typer.Option(help="Folder with metadata.csv, or shards, whose held-out part is used.")],
    output: Annotated[str, typer.Option("-o", "--output", help="Folder for report.json and index.html.")] = "report",
    model: ModelOption = None,
    voice: Annotated[str | None, typer.Option(help="Ready voice or voice file; default is the model's own.")] = None,
    task: Annotated[str, typer.Option(help="say, resynthesis (decode what was encoded) or both.")] = "both",
    speaker: Annotated[list[str] | None, typer.Option(help="Only recordings of this speaker; may be repeated.")] = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="More sentences for the judge's language model; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many sentences.")] = None,
    seed: Annotated[int, typer.Option(help="Of every sentence.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that listen and measure.")] = 1,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Measure a model against recordings."""
    from unisono import evaluate as evaluation
    from unisono import hub

    hub.limit_threads(hub.model_folder(model))
    report = evaluation.evaluate(
        model,
        data,
        output,
        voice=voice,
        task=task,
        speakers=speaker or (),
        domain=domain or (),
        limit=limit,
        seed=seed,
        workers=workers,
        device=device,
        dtype=dtype,
    )
    console.report_evaluation(report, output)


@app.command()
def bench(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="builtin, folder, hub name, random:tada-1b or random:tada-3b."),
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    quantize: QuantizeOption = None,
    text: Annotated[str | None, typer.Option(help="What every row says; default is a sentence.")] = None,
    batch: Annotated[int, typer.Option(help="Rows of one call, 1 to 4096.")] = 1,
    stream: Annotated[bool, typer.Option("--stream", help="Speak through stream().")] = False,
    steps: Annotated[int | None, typer.Option(help="Solver steps a token, 1 to 1000; default is the model's.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default is one for small models.")] = None,
    against: Annotated[
        str | None,
        typer.Option(help="reference (the published loop), reference-separate (two head calls a step) or single."),
    ] = None,
    reference_steps: Annotated[
        int | None, typer.Option(help="Solver steps of the reference; default: as ours.")
    ] = None,
    runs: Annotated[int | None, typer.Option(help="Of each side; default is what takes a minute, at least 3.")] = None,
    json: Annotated[str | None, typer.Option("--json", help='All figures (.json); "-" is standard output.')] = None,
) -> None:
    """Measure speed, first audio and memory, and what bounds them."""
    from unisono import bench as benchmark

    settings = benchmark.Settings(
        model=model,
        device=device,
        dtype=dtype,
        quantize=quantize,
        text=text,
        batch=batch,
        stream=stream,
        steps=steps,
        threads=threads,
        against=against,
        reference_steps=reference_steps,
        runs=runs,
    )
    settings.check()
    console.check_outputs((json, console.check_json_path))
    with console.status_line() as progress:
        report = benchmark.measure(settings, progress)
    console.write_outputs((json, console.json_writer(report)))
    console.print_table(benchmark.table(report), console.report_stream(json))


@app.command()
def models() -> None:
    """What is built in, cached and known."""
    from unisono import hub

    console.print_table([("model", "family", "state", "about"), *hub.list_models()])


@voices.command("list")
def voice_list(model: ModelOption = None) -> None:
    """The ready voices of a model."""
    from unisono import files, hub, speak

    rows = [("voice", "language", "seconds", "says")]
    for name, path in speak.ready_voices(hub.model_folder(model)).items():
        tokens = files.load_voice(path)
        seconds = f"{tokens.tokens.samples / tokens.tokens.sample_rate:.1f}"
        rows.append((name, tokens.language, seconds, tokens.tokens.text.strip()[:60]))
    console.print_table(rows)


@voices.command("show")
def voice_show(
    name: Annotated[str, typer.Argument(help="Ready voice or voice file.")], model: ModelOption = None
) -> None:
    """What a voice is made of."""
    from unisono import hub, speak

    folder = hub.model_folder(model)
    voice = speak.read_voice(folder, name)
    if voice is None:
        raise speak.unknown_voice(folder, name)
    console.print_table(console.voice_rows(voice))


def _load(model: str | None, device: str | None, dtype: str | None, quantize: str | None = None) -> tuple[Any, Path]:
    """The model and the folder it was loaded from."""
    from unisono import hub

    folder = hub.model_folder(model)
    hub.limit_threads(folder)
    return hub.load(folder, device=device, dtype=dtype, **_given(quantize=quantize)), folder


def _given(**options: Any) -> dict[str, Any]:
    """The options that a user gave."""
    return {name: value for name, value in options.items() if value is not None}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, or 2 with one line on stderr."""
    return console.run(app, argv)
