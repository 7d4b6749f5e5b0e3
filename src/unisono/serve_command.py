"""The command that starts a server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from unisono.options import (
    CodecOption,
    DeviceOption,
    DtypeOption,
    LanguageOption,
    ModelOption,
    QuantizeOption,
    TokenizerOption,
    given,
)

server = typer.Typer(rich_markup_mode=None)


@server.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    model: ModelOption = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(help="Key that clients must send; may be repeated; also in UNISONO_API_KEY, with commas between."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes, each with a model of its own.")] = 1,
    queue: Annotated[int, typer.Option(help="Requests that may wait; more get 503.")] = 128,
    max_per_client: Annotated[int, typer.Option(help="Requests of one client that may wait; more get 429.")] = 128,
    slots: Annotated[int, typer.Option(help="Requests that are spoken at a time.")] = 16,
    cors: Annotated[list[str] | None, typer.Option(help="Origin whose pages may call; may be repeated.")] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name that clients may call this server by; may be repeated; * is any.")
    ] = None,
    grace: Annotated[int, typer.Option(help="Seconds that requests get to end when the server is stopped.")] = 30,
    log_text: Annotated[bool, typer.Option("--log-text", help="Write what is spoken into the log.")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="Serve on Ray, with replicas; see docs/serving.md.")] = False,
    replicas: Annotated[int, typer.Option(help="With --ray: most replicas.")] = 2,
    language: LanguageOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    quantize: QuantizeOption = None,
    codec: CodecOption = None,
    tokenizer: TokenizerOption = None,
) -> None:
    """Serve OpenAI's speech API and a page over HTTP."""
    from unisono.serve.run import check_packages
    from unisono.serve.settings import KEY_ENVIRONMENT, Settings

    check_packages()
    keys = [*(api_key or ()), *filter(None, os.environ.get(KEY_ENVIRONMENT, "").split(","))]
    settings = Settings(
        host=host,
        port=port,
        model=model,
        loading=given(
            language=language, device=device, dtype=dtype, quantize=quantize, codec=codec, tokenizer=tokenizer
        ),
        api_keys=tuple(keys),
        cors=tuple(cors or ()),
        hosts=tuple(allow_host or ()),
        workers=workers,
        queue=queue,
        per_client=max_per_client,
        slots=slots,
        grace=grace,
        log_text=log_text,
    )
    if ray:
        from unisono.serve.on_ray import serve_on_ray

        serve_on_ray(settings, replicas)
    else:
        from unisono.serve.run import serve as run

        run(settings)
