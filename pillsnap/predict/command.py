"""The command `pillsnap predict`."""

import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pillsnap.answers.answer import PHOTOS_OF_ONE_PILL
from pillsnap.cli_streams import stop, utf8_output, warn

if TYPE_CHECKING:
    from pillsnap.predict.formats import Writer
    from pillsnap.predict.photo_paths import Photo
    from pillsnap.predict.stream import Outcome

PROGRESS_FROM = 10
"""Number of photographs from which a terminal shows a progress bar."""

UNCALIBRATED = (
    "holds no calibration for two photographs of one pill: no such answer is known, and nothing is promised of it. "
    "Export the models again."
)
"""What is said of models of older versions, and of those whose validation had no two photographs of a drug."""

ANSWERED, SOME_UNUSABLE, NOTHING_DONE, BROKEN_PIPE = 0, 1, 2, 141


class ModeChoice(StrEnum):
    """What the photograph shows, according to the person who took it."""

    single = "single"
    combo = "combo"


class FormatChoice(StrEnum):
    """Output format."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    submission = "submission"


class DeviceChoice(StrEnum):
    """Device of the models."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def predict(
    photos: Annotated[list[str], typer.Argument(help="Photographs, folders, globs; - is standard input")],
    models: Annotated[Path, typer.Option(help="Folder or pipeline of export_onnx")] = Path("results/stage4/onnx"),
    mode: Annotated[
        ModeChoice, typer.Option(help="single: one pill, the one with the best box; combo: each")
    ] = ModeChoice.single,
    same_pill: Annotated[
        bool, typer.Option("--same-pill", help="The two photographs show the front and the back of one pill")
    ] = False,
    format: Annotated[
        FormatChoice | None,
        typer.Option(help="Output format; table by default, submission for the course on AIHub's data"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
    annotated: Annotated[
        Path | None, typer.Option(help="Write photographs with boxes and names: a folder, or a .jpg or .png for one")
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option(help="List what looks like each unknown pill in a file of pillsnap catalogue import")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the models, at most the available cores")] = 2,
    device: Annotated[DeviceChoice, typer.Option(help="auto: a GPU where one works")] = DeviceChoice.auto,
) -> None:
    """Print K-code, EDI codes, name, confidence and verdict of the pills in photographs.

    Exits with status 1 where some photographs cannot be used or drawn, and with 2 where none can be used, or models or
    options cannot.
    """
    from pillsnap.catalogue.records import CatalogueError
    from pillsnap.catalogue.search import Catalogue
    from pillsnap.hardware import HardwareError
    from pillsnap.predict.annotate import TargetError, picture_paths
    from pillsnap.predict.look_up import looked_up
    from pillsnap.predict.model import ModelError, PillSnap
    from pillsnap.predict.photo_paths import find_photos, names_one
    from pillsnap.predict.stream import Unusable, predict_same_pill
    from pillsnap.predict.stream import predict as answers_to
    from pillsnap.predict.submission import SubmissionError, check_numbers

    # Pillow's warnings about odd metadata would mix with the answers
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if as_json and format not in (None, FormatChoice.json):
        stop(f"--json --format {format}: name one format")
    if catalogue and format in (FormatChoice.csv, FormatChoice.submission):
        stop(f"--catalogue --format {format}: that table has no place for what looks alike. Choose another format.")
    found = find_photos(photos, warn=warn)
    if same_pill:
        _check_same_pill(found, mode, format)
    usable = [photo for photo in found if not photo.problem]
    name = "json" if as_json else (format or FormatChoice.table).value
    if not usable:
        problems = [Unusable(photo, photo.problem) for photo in found if photo.problem]
        raise typer.Exit(_write_all(problems, name, names_one(photos), {}))
    try:
        pictures = picture_paths(annotated, usable) if annotated else {}
        rows = Catalogue(catalogue) if catalogue else None
        snap = PillSnap.load(models, threads=threads, device=device.value)
        if format is FormatChoice.submission:
            check_numbers(usable, snap.named)
    except SubmissionError as error:
        stop(f"--format submission: {error}")
    except TargetError as error:
        stop(f"--annotated {annotated}: {error}")
    except (CatalogueError, ModelError, HardwareError, OSError) as error:
        stop(error)
    if same_pill:
        if not snap.calibration.pairs:
            typer.echo(f"{models}: {UNCALIBRATED}", err=True)
        together = predict_same_pill(snap, *found)
        outcomes, one = iter(together), len(together) == 1
    else:
        outcomes = answers_to(snap, found, mode.value)
        one = names_one(photos)
    if rows:
        outcomes = (looked_up(outcome, rows) for outcome in outcomes)
    raise typer.Exit(_write_all(_with_progress_bar(outcomes, len(found)), name, one, pictures))


def _check_same_pill(found: "Sequence[Photo]", mode: ModeChoice, format: FormatChoice | None) -> None:
    """Check what --same-pill goes with; ends the command where it does not."""
    if mode is not ModeChoice.single:
        stop(f"--same-pill --mode {mode}: each of its photographs shows one pill. Leave --mode out.")
    if format is FormatChoice.submission:
        stop("--same-pill --format submission: that table has a row a photograph. Choose another format.")
    if len(found) != PHOTOS_OF_ONE_PILL:
        stop(
            "--same-pill takes two photographs of one pill, its front and its back; "
            f"given: {len(found)}, each path once."
        )


def _write_all(outcomes: "Iterable[Outcome]", format: str, one: bool, pictures: Mapping[str, Path]) -> int:
    """Write each outcome as it comes; returns the exit status."""
    from pillsnap.predict.formats import writer_of

    usable, all_drawn, empty = [], True, 0
    try:
        stream = sys.stdout if format == FormatChoice.table else utf8_output()
        writer = writer_of(format, stream, one=one)
        for outcome in outcomes:
            if pictures:
                all_drawn &= _draw(outcome, pictures)
            _write(outcome, writer)
            if format == FormatChoice.submission:
                _warn_of_more(outcome)
            usable.append(outcome.problem is None)
            empty += outcome.problem is None and not outcome.answer.pills
        writer.end()
        sys.stdout.flush()
        if empty:
            hint = "Is there ground on all sides of the pill? A close crop is not always found (docs/predict.md)."
            typer.echo(f"No pill was found in {empty} of {len(usable)}. {hint}", err=True)
    except BrokenPipeError:
        # the reader is gone, as with `| head`: discard what Python still buffers
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        stop(f"the answers cannot be written: {error}")
    return ANSWERED if all(usable) and all_drawn else SOME_UNUSABLE if any(usable) else NOTHING_DONE


def _draw(outcome: "Outcome", pictures: Mapping[str, Path]) -> bool:
    """Write the annotated photographs of an answer; tells which cannot be, and returns whether all could."""
    from pillsnap.files import DiskError
    from pillsnap.predict.annotate import write_answer_picture
    from pillsnap.predict.stream import Unusable

    drawn = True
    for photo, picture, answer in () if isinstance(outcome, Unusable) else outcome.by_photo():
        path = pictures[photo.path]
        try:
            write_answer_picture(picture, answer, path)
        except OSError as error:
            cure = "Name another place, or shorten the photograph's name."
            said = f"{path}: cannot be written ({error.strerror or error}). {cure}"
            _report(photo, str(error) if isinstance(error, DiskError) else said)
            drawn = False
    return drawn


def _write(outcome: "Outcome", writer: "Writer") -> None:
    from pillsnap.predict.stream import Unusable

    if isinstance(outcome, Unusable):
        _report(outcome.photo, outcome.problem.message)
    writer.write(outcome)
    sys.stdout.flush()


def _warn_of_more(outcome: "Outcome") -> None:
    """Say on standard error that a photograph shows pills for which the table has no row."""
    from pillsnap.predict.formats import printable
    from pillsnap.predict.stream import Unusable

    if not isinstance(outcome, Unusable) and outcome.answer.more_pills:
        said = "shows more pills, and only the one with the best box has a row. --mode combo gives each one"
        typer.echo(f"{printable(outcome.shown)}: {said}.", err=True)


def _with_progress_bar(outcomes: "Iterable[Outcome]", total: int) -> "Iterable[Outcome]":
    """Show a progress bar on standard error, if that is a terminal and there are many photographs."""
    if total < PROGRESS_FROM or not sys.stderr.isatty():
        return outcomes
    from pillsnap.progress import progress

    return progress(outcomes, total=total, title="predict")


def _report(photo: "Photo", message: str) -> None:
    from pillsnap.predict.formats import printable

    typer.echo(printable(f"{photo.shown}: {message}"), err=True)
