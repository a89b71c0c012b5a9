"""The command `pillsnap serve`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pillsnap.cli_errors import stop
from pillsnap.serve.limits import Limits


class Device(StrEnum):
    """Where the models run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def serve(
    models: Annotated[Path, typer.Option(help="Folder of export_onnx")] = Path("results/stage4/onnx"),
    host: Annotated[str, typer.Option(help="Address to listen at; beyond loopback an API key is needed")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free, which is printed")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File that holds the API key; else the variable PILLSNAP_API_KEY")
    ] = None,
    no_api_key: Annotated[bool, typer.Option("--no-api-key", help="Let other machines ask without a key")] = False,
    metrics: Annotated[
        Path | None,
        typer.Option(help="Measured figures for the model card; else metrics.json beside the models folder"),
    ] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest photograph, bytes of its file")] = Limits.max_bytes,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest photograph, width x height")] = Limits.max_pixels,
    time_limit: Annotated[
        float, typer.Option(min=0.01, help="Seconds for a request, upload and waiting included")
    ] = Limits.seconds,
    queue: Annotated[
        int, typer.Option(min=0, help="Requests that may wait; beyond them the answer is 429")
    ] = Limits.waiting,
    workers: Annotated[int, typer.Option(min=1, help="Photographs that are worked on at a time")] = Limits.workers,
    device: Annotated[Device, typer.Option(help="Where the models run")] = Device.auto,
) -> None:
    """Answer photographs over HTTP until SIGTERM or Ctrl-C.

    Exits with status 0 when it was stopped, and with 2 where models, key, address or figures cannot be used.
    """
    from pillsnap.hardware import HardwareError
    from pillsnap.predict.model import ModelError
    from pillsnap.serve.auth import KeySetupError, check_exposure, find_key
    from pillsnap.serve.server import load_models, open_socket, read_measured, run

    limits = Limits(max_bytes, max_pixels, time_limit, queue, workers)
    try:
        key = find_key(api_key_file)
        check_exposure(host, key, open_to_all=no_api_key)
        measured = read_measured(models, metrics)
        snap = load_models(models, limits, device.value)
        listener = open_socket(host, port)
    except (KeySetupError, ModelError, HardwareError, OSError, ValueError) as error:
        stop(str(error))
    run(snap, listener, limits=limits, key=key, measured=measured)
