"""The command `pillsnap enrol`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pillsnap.cli_streams import stop, warn
from pillsnap.predict.command import DeviceChoice

if TYPE_CHECKING:
    from pillsnap.enrol.enrol import Photo


def enrol(
    photos: Annotated[
        list[str] | None, typer.Argument(help="Photographs of one pill each; folders, globs; - is standard input")
    ] = None,
    models: Annotated[Path, typer.Option(help="Folder of export_onnx, or of this command")] = Path(
        "results/stage4/onnx"
    ),
    out: Annotated[Path | None, typer.Option(help="The new model folder")] = None,
    k_code: Annotated[str | None, typer.Option(help="The drug's K-code, such as K-012345")] = None,
    name: Annotated[str | None, typer.Option(help="The drug's name")] = None,
    edi: Annotated[list[str] | None, typer.Option(help="An EDI code of the drug; may be repeated")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also a drug that looks like one that is there")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the enrolled drugs")] = False,
    remove: Annotated[str | None, typer.Option(help="K-code of an enrolled drug that the new folder lacks")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the models, at most the available cores")] = 2,
    device: Annotated[DeviceChoice, typer.Option(help="auto: a GPU where one works")] = DeviceChoice.auto,
) -> None:
    """Write a model folder that names a new drug, from a few photographs of it and without training.

    Exits with status 2 where a photograph, a folder, a code or the models cannot be used; then nothing is written.
    """
    from pillsnap.enrol.enrol import EnrolError, LikenessError
    from pillsnap.enrol.enrol import enrol as enrol_drug
    from pillsnap.enrol.enrol import remove as remove_drug
    from pillsnap.hardware import HardwareError
    from pillsnap.predict.sessions import ModelError

    if sum((listed, remove is not None, bool(photos))) != 1:
        stop("Name photographs to enrol, or --list, or --remove K-CODE: one of them.")
    try:
        if listed:
            _list(models)
            return
        if out is None:
            stop("--out: name the new model folder. The one of --models is never changed.")
        if remove is not None:
            remove_drug(models, remove, out=out)
            typer.echo(f"{out}: written without {remove}")
            return
        if k_code is None or name is None:
            stop("--k-code and --name: tell which drug the photographs show.")
        drug = enrol_drug(
            models, _read(photos or []), k_code=k_code, name=name, edi_codes=edi or [], out=out,
            force=force, threads=threads, device=device.value,
        )  # fmt: skip
    except LikenessError as error:
        stop(f"{error} If it is another drug all the same, enrol it with --force: answers will often list both.")
    except (EnrolError, ModelError, HardwareError, OSError) as error:
        stop(error)
    count = f"{drug.references} photograph{'' if drug.references == 1 else 's'}"
    typer.echo(f"{out}: written; names {drug.k_code} {drug.name}, which rests on {count}")


def _list(models: Path) -> None:
    """Print the enrolled drugs, one a line: K-code, number of photographs, EDI codes and name, separated by tabs."""
    from pillsnap.predict.model import PillSnap

    drugs = PillSnap.load(models, device="cpu").references.drugs
    if not drugs:
        typer.echo(f"{models}: no drug is enrolled", err=True)
    for drug in drugs:
        typer.echo("\t".join((drug.k_code, str(drug.references), ",".join(drug.edi_codes) or "-", drug.name)))


def _read(arguments: list[str]) -> "list[Photo]":
    """Read the photographs; raises `EnrolError` where one cannot be read."""
    from pillsnap.enrol.enrol import EnrolError, Photo
    from pillsnap.pictures.decode import PictureError
    from pillsnap.predict.photo_paths import find_photos, read_photo

    photos, problems = [], []
    for photo in find_photos(arguments, warn=warn):
        try:
            if photo.problem:
                problems.append(f"{photo.shown}: {photo.problem.message}")
            else:
                photos.append(Photo(photo.shown, read_photo(photo)))
        except PictureError as error:
            problems.append(f"{photo.shown}: {error.detail}. Check the path and who may read it.")
    if problems:
        raise EnrolError("\n".join(problems))
    return photos
