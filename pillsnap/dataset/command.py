"""The commands `pillsnap data …`: look at a stage's data in the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pillsnap.cli_streams import print_json, stop

if TYPE_CHECKING:
    import numpy as np

app = typer.Typer(help="Look at a folder of photographs, or at the data of a stage.", no_args_is_help=True)

StageName = Annotated[str, typer.Option("--stage", help="stage1 to stage4")]
Results = Annotated[Path, typer.Option("--results", help="Folder of results, where the stages lie")]


@app.command()
def check(
    path: Annotated[
        str, typer.Argument(help="Folder of photographs with their labels, here or at s3://; or the course's zip")
    ],
    write: Annotated[Path | None, typer.Option(help="Write the overlay here; an existing file is kept")] = None,
) -> None:
    """Look at a folder before any configuration is written: its kind, what would be kept and why not the rest.

    Prints the overlay to use. Exits with status 2 where the folder is not recognised, no stage can be made of it, or
    the overlay cannot be written.
    """
    from pillsnap.dataset.check import check_source
    from pillsnap.dataset.check_view import overlay_text, print_check
    from pillsnap.sources.archives import SourceError
    from pillsnap.sources.containers.s3 import S3Error, place_of

    folder = place_of(path)
    try:
        if write and write.exists():
            raise FileExistsError
        checked = check_source(folder)
        print_check(folder, checked, write)
        if checked.problem:
            as_it_is = " `pillsnap evaluate` measures models on it as it is." if checked.photos else ""
            stop(f"{folder}: no stage can be made of it. {checked.problem}{as_it_is}")
        if write:
            with write.open("x", encoding="utf-8") as file:
                file.write(overlay_text(checked))
            print(f"\nWritten: {write}")
    except FileExistsError:
        stop(f"{write}: exists, and was kept. Give --write another name.")
    except (SourceError, S3Error, OSError) as error:
        stop(error)


@app.command()
def summary(
    stage: StageName = "stage4",
    results: Results = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")] = False,
) -> None:
    """Print counts by part, domain and view, boxes, class balance and quarantine of a stage.

    Exits with status 2 where the stage's manifest is not made, or cannot be read.
    """
    from pillsnap.dataset.stage_data import DataError, kinds_of, stage_data_of
    from pillsnap.dataset.summary import summarise
    from pillsnap.dataset.terminal import print_summary

    try:
        found = summarise(stage_data_of(results, stage), stage=stage, kinds=kinds_of(results, stage))
    except (DataError, OSError) as error:
        stop(error)
    if as_json:
        print_json(found)
    else:
        print_summary(found)


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="K-code, a part of the drug's name, or a photograph's name")],
    stage: StageName = "stage4",
    results: Results = Path("results"),
    picture: Annotated[
        Path | None, typer.Option(help="Write some of the drug's pills, or the photograph with its boxes, here (.jpg)")
    ] = None,
) -> None:
    """Print what a stage holds of one drug, or of one photograph, kept or quarantined, and write a picture.

    Exits with status 2 where the drug or photograph, or the stage's manifest, is not found or cannot be read, or the
    picture cannot be written.
    """
    from functools import partial

    from pillsnap.dataset.drug import crop_sheet, drug_facts
    from pillsnap.dataset.lookup import find_drug
    from pillsnap.dataset.quarantine import find_photo, photo_with_boxes
    from pillsnap.dataset.stage_data import DataError, kinds_of, stage_data_of, stage_plan_of
    from pillsnap.dataset.terminal import print_drug, print_photo

    try:
        if picture and picture.suffix.lower() not in (".jpg", ".jpeg"):
            raise DataError(f"--picture {picture}: the ending must be .jpg or .jpeg.")
        data, kinds = stage_data_of(results, stage), kinds_of(results, stage)
        if photo := find_photo(data, what):
            draw, tell = partial(photo_with_boxes, photo, results), partial(print_photo, photo)
        else:
            drug = find_drug(data.classes, what, data.plan)
            facts = drug_facts(data, drug, stage_plan_of(results, stage))
            draw, tell = partial(crop_sheet, data, drug, results / stage / "prepared"), partial(print_drug, facts)
        if picture:
            _write_jpeg(picture, draw())
    except (DataError, OSError) as error:
        stop(error)
    tell(stage=stage, kinds=kinds)
    if picture:
        print(f"Picture: {picture}")


def _write_jpeg(path: Path, picture: "np.ndarray") -> None:
    from pillsnap.files import replacing
    from pillsnap.pictures.decode import encode_jpeg

    try:
        with replacing(path) as temporary:
            temporary.write_bytes(encode_jpeg(picture, 90))
    except OSError as error:
        # the cure of a `DiskError` is for results
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        why = reason.strerror or reason
        stop(f"--picture {path}: cannot be written ({why}). Name a file in a folder that may be written to.")
