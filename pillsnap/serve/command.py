"""The command `pillsnap serve`."""

from pathlib import Path
from typing import Annotated

import typer

from pillsnap.cli_streams import stop
from pillsnap.predict.command import DeviceChoice
from pillsnap.serve.limits import Limits


def serve(
    models: Annotated[Path, typer.Option(help="Folder of export_onnx")] = Path("results/stage4/onnx"),
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback an API key is needed")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one, which is printed")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the API key; by default the variable PILLSNAP_API_KEY")
    ] = None,
    no_api_key: Annotated[
        bool, typer.Option("--no-api-key", help="Let other machines send requests without a key")
    ] = False,
    metrics: Annotated[
        Path | None,
        typer.Option(help="Metrics for the model card; by default metrics.json beside the models folder"),
    ] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Largest photograph, bytes of its file")] = Limits.max_bytes,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest photograph, width x height")] = Limits.max_pixels,
    time_limit: Annotated[
        float, typer.Option(min=0.01, help="Seconds for a request, upload and queueing included")
    ] = Limits.seconds,
    queue: Annotated[
        int, typer.Option(min=0, help="Requests that may wait; further ones get status 429")
    ] = Limits.waiting,
    workers: Annotated[int, typer.Option(min=1, help="Photographs processed at a time")] = Limits.workers,
    stop_limit: Annotated[
        float, typer.Option(min=0, help="Seconds for photographs under way once it is told to stop")
    ] = Limits.stop_seconds,
    root_path: Annotated[str, typer.Option(help="Path below which a proxy offers the service")] = "",
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address or network of a proxy whose X-Forwarded headers count; may be repeated"),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Keep photographs and answers in this folder, and people's corrections as a COCO source"),
    ] = None,
    keep_limit: Annotated[float, typer.Option(min=0.001, help="GB in that folder; then nothing more is kept")] = 10,
    enrol: Annotated[
        Path | None,
        typer.Option(help="Take new drugs by POST /v1/references; the models with them are written to this folder"),
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(help="Look up pills that are not recognised in this file of pillsnap catalogue import"),
    ] = None,
    device: Annotated[DeviceChoice, typer.Option(help="auto: a GPU where one works")] = DeviceChoice.auto,
) -> None:
    """Answer photographs over HTTP until SIGTERM or Ctrl-C.

    Exits with status 0 when it was stopped, and with 2 where models, key, address, metrics or folder
    cannot be used.
    """
    from pillsnap.catalogue.search import Catalogue
    from pillsnap.enrol.enrol import check_features
    from pillsnap.hardware import HardwareError
    from pillsnap.predict.model import ModelError
    from pillsnap.serve.auth import KeySetupError, check_exposure, read_key
    from pillsnap.serve.enrolment import Enrolment
    from pillsnap.serve.http.proxy import Proxy
    from pillsnap.serve.kept import Kept
    from pillsnap.serve.server import load_models, open_socket, read_measured, run

    limits = Limits(max_bytes, max_pixels, time_limit, queue, workers, stop_limit)
    try:
        before = Proxy.of(root_path, proxy or ())
        key = read_key(api_key_file)
        check_exposure(host, key, open_to_all=no_api_key)
        measured = read_measured(models, metrics)
        if enrol and not key:
            raise KeySetupError(f"--enrol {enrol}: needs an API key. Set PILLSNAP_API_KEY or --api-key-file.")
        looks = Catalogue(catalogue) if catalogue else None
        enrolment = Enrolment(models, enrol, limits.max_pixels) if enrol else None
        snap = load_models(enrol or models, limits, device.value)
        if enrol:
            check_features(snap)
        listener = open_socket(host, port)
        kept = Kept(keep, keep_limit * 1e9) if keep else None
    except (KeySetupError, ModelError, HardwareError, OSError, ValueError) as error:
        stop(error)
    run(
        snap, listener, limits=limits, key=key, measured=measured,
        kept=kept, enrolment=enrolment, catalogue=looks, proxy=before,
    )  # fmt: skip
