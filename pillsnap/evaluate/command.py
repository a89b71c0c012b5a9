"""The command `pillsnap evaluate`."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pillsnap.cli_streams import stop
from pillsnap.predict.command import DeviceChoice, ModeChoice

if TYPE_CHECKING:
    from collections.abc import Mapping


def evaluate(
    data: Annotated[Path, typer.Argument(help="Labelled photographs: YOLO, COCO, AIHub, folders of one class each")],
    models: Annotated[Path, typer.Option(help="Folder of export_onnx")] = Path("results/stage4/onnx"),
    out: Annotated[Path, typer.Option(help="Folder, written whole: evaluation.html, evaluation.json")] = Path(
        "evaluation"
    ),
    kind: Annotated[
        str | None, typer.Option(help="yolo, coco, aihub or folders, where the folder is not recognised: source.kind")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Table of the drugs that class names stand for: source.classes")
    ] = None,
    mode: Annotated[ModeChoice, typer.Option(help="single: one pill a photograph; combo: several")] = ModeChoice.combo,
    threads: Annotated[int, typer.Option(min=1, help="Photographs at a time, at most the available cores")] = 2,
    device: Annotated[DeviceChoice, typer.Option(help="auto: a GPU where one works")] = DeviceChoice.auto,
) -> None:
    """Measure a model on labelled photographs, without training: what it finds, and what it says of it.

    Prints a summary, and writes a page and JSON. Exits with status 2 where models, data or options cannot be used.
    """
    from pillsnap.evaluate.evaluate import OutError
    from pillsnap.evaluate.evaluate import evaluate as measure
    from pillsnap.hardware import HardwareError
    from pillsnap.predict.sessions import ModelError
    from pillsnap.sources.archives import SourceError
    from pillsnap.sources.containers.container import ContainerError

    warnings.filterwarnings("ignore", module=r"PIL\.")  # about odd metadata
    try:
        found = measure(
            data=data,
            models=models,
            out=out,
            kind=kind,
            classes=classes,
            mode=mode.value,
            device=device.value,
            threads=threads,
        )
    except (OutError, ModelError, HardwareError, SourceError, ContainerError, OSError) as error:
        stop(error)
    _print(found)
    typer.echo(f"\n{out / 'evaluation.html'}")


def _print(found: "Mapping[str, Any]") -> None:
    """Print the figures that the page has at its head."""
    from pillsnap.dataset.terminal import plain_console, print_table
    from pillsnap.evaluate.page import tiles
    from pillsnap.pages.formats import plural
    from pillsnap.pages.quarantine import reasons
    from pillsnap.sources.registry import get_kind

    console = plain_console()
    data, photos = found["data"], found["accounts"]["photos"]
    rows = [(one["title"], one["value"], one["note"]) for one in tiles(found)]
    if empty := found.get("backgrounds"):
        rows.append(("Without a pill", str(empty["boxes"]), f"false boxes on {empty['photos']} photographs"))
    measured = f"{photos['kept']} of {photos['read']} photographs"
    title = f"{data['name']}: {get_kind(data['kind']).title}, {measured}"
    print_table(console, title, ["", "#", ""], rows)
    if not (found["found"] or found["drugs"]):
        console.print("No label tells a box, or one of the model's drugs: whether answers are right was not measured.")
    if found["found"] and (partly := found["found"]["partly_labelled"]["photos"]):
        console.print(
            f"{plural(partly, 'photograph')} with fewer labels than pills: boxes without one do not count there"
        )
    for outcome in ("quarantined", "skipped"):
        for reason in reasons(found["accounts"], outcome):
            counts = (plural(reason.photos, "photograph"), plural(reason.labels, "label"))
            shown = " and ".join(words for words in counts if not words.startswith("0 "))
            console.print(f"{outcome}, {reason.name}: {shown}: {reason.meaning}")
