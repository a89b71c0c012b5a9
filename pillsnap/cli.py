"""The command `pillsnap`."""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table

from pillsnap import data_commands, serve_command

if TYPE_CHECKING:
    import numpy as np

    from pillsnap.answers import Answer

PICTURE_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
"""Endings that `--annotated` may have."""

app = typer.Typer(help="PillSnap: name pills in photographs, and look after the pipeline.", no_args_is_help=True)
app.add_typer(data_commands.app, name="data")
app.command()(serve_command.serve)


class ModeChoice(StrEnum):
    """What the photograph shows, as the person who took it says."""

    single = "single"
    combo = "combo"


@app.callback()
def main() -> None:
    """PillSnap: name pills in photographs, and look after the pipeline."""


@app.command()
def predict(
    photo: Annotated[Path, typer.Argument(help="Photograph: PNG, JPEG or any format that Pillow reads")],
    models: Annotated[Path, typer.Option(help="Folder of export_onnx")] = Path("results/stage4/onnx"),
    mode: Annotated[ModeChoice, typer.Option(help="single: one pill; combo: several")] = ModeChoice.single,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
    annotated: Annotated[
        Path | None, typer.Option(help="Write the photograph with boxes and names here (.jpg, .png)")
    ] = None,
) -> None:
    """Print K-code, EDI codes, name and confidence of the pill or pills in a photograph.

    Exits with status 2 where the photograph or the models cannot be used.
    """
    from pillsnap.identify import ModelError, PillSnap
    from pillsnap.pictures import PictureError, decode_photo

    if annotated and annotated.suffix.lower() not in PICTURE_FORMATS:
        _stop(f"--annotated {annotated}: the ending must be one of {', '.join(PICTURE_FORMATS)}")
    try:
        snap = PillSnap.load(models)
        picture = decode_photo(photo.read_bytes())
        answer = snap.identify(picture, mode.value)
        if annotated:
            _write_annotated(picture, answer, annotated)
    except PictureError as error:
        _stop(f"{photo}: no usable photograph ({error})")
    except (ModelError, OSError) as error:
        _stop(str(error))
    if as_json:
        print(json.dumps({"photo": str(photo), **asdict(answer)}, ensure_ascii=False, indent=2))
    else:
        _print_answer(photo, answer)


def _stop(message: str) -> NoReturn:
    """Say what is wrong on standard error and exit with status 2."""
    typer.echo(message, err=True)
    raise typer.Exit(2)


def _print_answer(photo: Path, answer: "Answer") -> None:
    if not answer.pills:
        print(f"{photo}: no pill was found")
        return
    table = Table("pill", "K-code", "EDI codes", "name", "confidence", title=str(photo))
    for number, pill in enumerate(answer.pills, start=1):
        best = pill.candidates[0]
        table.add_row(str(number), best.k_code, ", ".join(best.edi_codes) or "-", best.name, f"{best.confidence:.1%}")
    Console().print(table)


def _write_annotated(picture: "np.ndarray", answer: "Answer", path: Path) -> None:
    from PIL import Image

    from pillsnap.draw import Caption, draw_boxes
    from pillsnap.files import replacing

    captions = [
        Caption(pill.box, f"{pill.candidates[0].k_code} {pill.candidates[0].confidence:.0%}") for pill in answer.pills
    ]
    with replacing(path) as temporary:
        Image.fromarray(draw_boxes(picture, captions)).save(temporary, format=PICTURE_FORMATS[path.suffix.lower()])


@app.command()
def doctor(
    stage: Annotated[str, typer.Option(help="stage1 to stage4")] = "stage4",
    config: Annotated[list[Path] | None, typer.Option(help="Configuration files, later ones win")] = None,
) -> None:
    """Say what hardware, disk and versions are here, and whether a stage would fit.

    Exits with status 1 where something would stop the stage, and with 2 where the configuration cannot be used.
    """
    from pillsnap.doctor import Verdict, examine
    from pillsnap.load_config import ConfigError, read_config

    try:
        findings = examine(read_config(*(config or [Path("config.yaml")])), stage)
    except ConfigError as error:
        _stop(str(error))
    table = Table("", "what", Column("found", overflow="fold"), Column("what to do", overflow="fold"))
    for finding in findings:
        table.add_row(finding.verdict.value, finding.what, finding.found, finding.cure)
    Console(file=sys.stdout).print(table)
    if any(finding.verdict is Verdict.refused for finding in findings):
        raise typer.Exit(1)


@app.command()
def monitor(
    stage: Annotated[str, typer.Option(help="stage1 to stage4")] = "stage4",
    work: Annotated[Path | None, typer.Option(help="Folder of the trainings' states; pathvars.work by default")] = None,
    config: Annotated[list[Path] | None, typer.Option(help="Configuration files, later ones win")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the view once; so it is where no terminal is")] = False,
) -> None:
    """Show how a stage's trainings run, live, until Ctrl-C; also before and after they run.

    Exits with status 2 where there is no such stage, nothing of it has begun, or the configuration cannot be used.
    """
    from pillsnap.load_config import ConfigError, read_config
    from pillsnap.monitor import StageError
    from pillsnap.monitor_view import show_stage

    try:
        settings = read_config(*(config or [Path("config.yaml")]))
        show_stage(stage, settings, work=work, live=not once and sys.stdout.isatty())
    except (ConfigError, StageError) as error:
        _stop(str(error))


if __name__ == "__main__":
    app()
