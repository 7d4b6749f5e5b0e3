"""Commands of the workshop: data in, models trained, measured and converted."""

from __future__ import annotations

from typing import Annotated

import typer

from unisono import console
from unisono.options import CodecOption, DeviceOption, DtypeOption, ModelOption, QuantizeOption, TokenizerOption

lab = typer.Typer(rich_markup_mode=None)


@lab.command()
def prepare(
    source: Annotated[list[str], typer.Argument(help="Folders with metadata.csv, or CSV or JSONL manifests.")],
    output: Annotated[str, typer.Option("-o", "--output", help="New folder of shards.")],
) -> None:
    """Recordings and texts to shards for training."""
    from unisono import train

    summary = train.prepare(source, output)
    print(f"{output}: {summary['clips']} clips, {summary['hours']} hours, {summary['held_out']} held out")


@lab.command()
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


@lab.command("eval")
def evaluate(
    data: Annotated[str, typer.Option(help="Folder with metadata.csv, or shards, whose held-out part is used.")],
    output: Annotated[str, typer.Option("-o", "--output", help="Folder for report.json and index.html.")] = "report",
    model: ModelOption = None,
    voice: Annotated[str | None, typer.Option(help="Ready voice or voice file; default is the model's own.")] = None,
    task: Annotated[str, typer.Option(help="say, resynthesis (decode what was encoded) or both.")] = "both",
    speaker: Annotated[list[str] | None, typer.Option(help="Only recordings of this speaker; may be repeated.")] = None,
    domain: Annotated[
        list[str] | None,
        typer.Option(
            help="Sentences for the judge's language model, beside those evaluated: a folder with metadata.csv, shards "
            "or a text file; may be repeated. Default: DATA's neighbours, for a lone folder the 1,111 of CMU ARCTIC."
        ),
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


@lab.command()
def convert(
    source: Annotated[str, typer.Argument(help='Model folder or hub name; "builtin" is the built-in model.')],
    output: Annotated[str, typer.Option("-o", "--output", help="New folder.")],
    to: Annotated[str | None, typer.Option(help="published or ours; default is the one that SOURCE has not.")] = None,
    codec: CodecOption = None,
    tokenizer: TokenizerOption = None,
) -> None:
    """Write a model in the published layout, or one of that in ours.

    Converted back, its bytes are identical. Ours is one folder: config.json and weights, unisono.json, and folders for
    the codec's parts, tokenizer and voices.

    Published is the language model's repository with the codec's in a folder tada-codec. Weights then hold rotary
    tables and masks, half precision is widened to float32, and unisono.json is in a folder unisono, which published
    code passes over. The built-in model gets that layout too, but has parts that published code does not know.
    """
    from unisono import hub

    done = hub.convert(source, output, to=to, codec=codec, tokenizer=tokenizer)
    for remark in done.remarks:
        typer.echo(f"unisono: {remark}", err=True)
    print(f"{output}: {len(done.files)} files in the layout {done.to!r}")


@lab.command()
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
