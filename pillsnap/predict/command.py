"""The command `pillsnap predict`."""

import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pillsnap.cli_errors import stop

if TYPE_CHECKING:
    from pillsnap.predict.formats import Writer
    from pillsnap.predict.photo_paths import Photo, Problem
    from pillsnap.predict.stream import Outcome

MANY = 10
"""Photographs from which on a terminal shows how far they are."""

ANSWERED, SOME_UNUSABLE, NOTHING_DONE, BROKEN_PIPE = 0, 1, 2, 141


class ModeChoice(StrEnum):
    """What the photograph shows, as the person who took it says."""

    single = "single"
    combo = "combo"


class FormatChoice(StrEnum):
    """How answers are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class DeviceChoice(StrEnum):
    """What the models run on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def predict(
    photos: Annotated[list[str], typer.Argument(help="Photographs, folders, globs; - is standard input")],
    models: Annotated[Path, typer.Option(help="Of export_onnx: folder or pipeline")] = Path("results/stage4/onnx"),
    mode: Annotated[ModeChoice, typer.Option(help="single: one pill; combo: several")] = ModeChoice.single,
    format: Annotated[FormatChoice | None, typer.Option(help="How answers are printed; table by default")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
    annotated: Annotated[
        Path | None, typer.Option(help="Write photographs with boxes and names: a folder, or a .jpg or .png for one")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the models, at most the cores that are there")] = 2,
    device: Annotated[DeviceChoice, typer.Option(help="auto: a GPU where one works")] = DeviceChoice.auto,
) -> None:
    """Print K-code, EDI codes, name, confidence and verdict of the pills in photographs.

    Exits with status 1 where some photographs could not be used, and with 2 where none could, or the models or options
    cannot.
    """
    from pillsnap.hardware import HardwareError
    from pillsnap.predict.annotate import TargetError, picture_paths
    from pillsnap.predict.model import ModelError, PillSnap
    from pillsnap.predict.photo_paths import find_photos, names_one
    from pillsnap.predict.stream import predict as answers_to

    # Pillow's warnings of odd metadata would stand between the answers
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if as_json and format not in (None, FormatChoice.json):
        stop(f"--json --format {format}: name one format")
    wanted = find_photos(photos)
    named = [photo for photo in wanted if not photo.problem]
    if not named:
        for photo in wanted:
            _tell(photo, photo.problem)
        raise typer.Exit(NOTHING_DONE)
    try:
        pictures = picture_paths(annotated, named) if annotated else {}
        snap = PillSnap.load(models, threads=threads, device=device.value)
    except TargetError as error:
        stop(f"--annotated {annotated}: {error}")
    except (ModelError, HardwareError) as error:
        stop(str(error))
    name = "json" if as_json else (format or FormatChoice.table).value
    outcomes = _counted(answers_to(snap, wanted, mode.value), len(wanted))
    raise typer.Exit(_write_all(outcomes, name, names_one(photos), pictures))


def _write_all(outcomes: "Iterable[Outcome]", format: str, one: bool, pictures: Mapping[str, Path]) -> int:
    """Write what comes, each at once; returns the exit status."""
    from pillsnap.predict.formats import writer_of

    usable = []
    try:
        writer = writer_of(format, sys.stdout, one=one)
        for outcome in outcomes:
            _write(outcome, writer, pictures)
            usable.append(outcome.problem is None)
        writer.end()
        sys.stdout.flush()
    except BrokenPipeError:
        # nobody reads any more, as with `| head`; what Python still holds goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        stop(f"the answers cannot be written: {error}")
    return ANSWERED if all(usable) else SOME_UNUSABLE if any(usable) else NOTHING_DONE


def _write(outcome: "Outcome", writer: "Writer", pictures: Mapping[str, Path]) -> None:
    if outcome.problem:
        _tell(outcome.photo, outcome.problem)
    elif pictures:
        from pillsnap.predict.annotate import write_answer_picture

        write_answer_picture(outcome.picture, outcome.answer, pictures[outcome.photo.place])
    writer.write(outcome)
    sys.stdout.flush()


def _counted(outcomes: "Iterable[Outcome]", total: int) -> "Iterable[Outcome]":
    """The outcomes, with a bar on standard error where many are waited for at a terminal."""
    if total < MANY or not sys.stderr.isatty():
        return outcomes
    from pillsnap.progress import progress

    return progress(outcomes, total=total, title="predict")


def _tell(photo: "Photo", problem: "Problem") -> None:
    from pillsnap.predict.formats import printable

    typer.echo(f"{printable(photo.shown)}: {problem.message}", err=True)
