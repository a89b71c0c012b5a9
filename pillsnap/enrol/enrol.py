"""Enrol a drug from photographs: a model folder that names it, made from another one without training.

Runs on ONNX Runtime alone. The source folder is never changed; the new one is written whole or not at all.
"""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pillsnap.answers.answer import Reading
from pillsnap.files import check_writable, placing_folder
from pillsnap.pictures.decode import MAX_PIXELS, PictureError
from pillsnap.predict.model import NotOnePillError, PillSnap
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.references import (
    REFERENCES,
    EnrolledDrug,
    read_references,
    write_references,
)
from pillsnap.predict.sessions import ModelError
from pillsnap.tables.classes import is_k_code

LOOKS_LIKE = 0.85
"""Median distance of the photographs to a drug below which they look like it, as a multiple of `plain_from`.

Of the demo's trained drugs, enrolled again from 5 validation pills each, 88 % are noticed so, and from 1 pill 80 %; of
its held-out drugs 0 % and 2.5 % are taken for a trained one.
"""


class EnrolError(ValueError):
    """A drug that cannot be enrolled or removed; the message says why, and names the cure."""


class LikenessError(EnrolError):
    """Photographs that look like a drug that is there already; `force` enrols them all the same."""


@dataclass(frozen=True)
class Photo:
    """A photograph of a drug to enrol: what messages call it, and its file's bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class _Seen:
    """The pill of a photograph: its whitened features (D,), what was read of it (`None` without a reader), the drug
    that it is nearest to, and how near."""

    features: np.ndarray
    reading: Reading | None
    like: str
    distance: float


def enrol(
    models: Path,
    photos: Sequence[Photo],
    *,
    k_code: str,
    name: str,
    out: Path,
    edi_codes: Sequence[str] = (),
    force: bool = False,
    threads: int = 2,
    device: str = "auto",
) -> EnrolledDrug:
    """Write a model folder that also names a drug of which there are these photographs.

    Args:
        models: folder of `export_onnx`, or one that this function wrote.
        photos: each shows one pill of the drug.
        k_code, name, edi_codes: of the drug.
        out: the new folder.
        force: enrol a drug that looks like one that is there already.
        threads, device: as in `PillSnap.load`.

    Raises:
        EnrolError: a code, photograph or folder cannot be used.
        LikenessError: the drug looks like one that is there already, and `force` is not set.
        ModelError: the models cannot be used.
        DiskError: something was put at `out` meanwhile, or nothing can be written there.
        HardwareError: `cuda` was requested and does not work.
    """
    check_folders(models, out)
    snap = PillSnap.load(models, threads=threads, device=device)
    drug = new_drug(snap, photos, k_code=k_code, name=name, edi_codes=edi_codes, force=force)
    copy_models(models, out, (*snap.references.drugs, drug))
    return drug


def remove(models: Path, k_code: str, *, out: Path) -> None:
    """Write a model folder without an enrolled drug; raises `EnrolError`, `ModelError` or `DiskError`."""
    check_folders(models, out)
    enrolled = read_references(models).drugs
    kept = [drug for drug in enrolled if drug.k_code != k_code]
    if len(kept) == len(enrolled):
        codes = ", ".join(drug.k_code for drug in enrolled) or "none"
        raise EnrolError(f"{k_code}: is not enrolled in {models} (enrolled: {codes}). Trained drugs stay.")
    copy_models(models, out, kept)


def check_features(snap: PillSnap) -> None:
    """Check that drugs can be enrolled in models; raises `ModelError` where an older version exported them."""
    if not snap.gives_features:
        raise ModelError("These models give no features: an older version exported them. Make them again: export_onnx.")


def new_drug(
    snap: PillSnap,
    photos: Sequence[Photo],
    *,
    k_code: str,
    name: str,
    edi_codes: Sequence[str] = (),
    force: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> EnrolledDrug:
    """Make a drug of photographs, of at most `max_pixels`, that show one pill of it each; raises as `enrol`."""
    _check_words(snap, k_code, name, edi_codes)
    check_features(snap)
    if not photos:
        raise EnrolError("There is no photograph. Name at least one; five make better answers.")
    seen = _look_at_all(snap, photos, max_pixels)
    if not force:
        _, unknown_from = snap.calibration.plain_limits
        _check_likeness(seen, LOOKS_LIKE * unknown_from)
    features, readings = np.stack([one.features for one in seen]), [one.reading for one in seen]
    return EnrolledDrug.of_photographs(k_code, edi_codes, name, features, readings)


def _check_words(snap: PillSnap, k_code: str, name: str, edi_codes: Sequence[str]) -> None:
    if not is_k_code(k_code):
        raise EnrolError(f"{k_code!r} is no K-code: K- and six digits, such as K-012345.")
    if k_code in {drug.k_code for drug in snap.classes}:
        raise EnrolError(f"{k_code}: these models were trained on that drug. Give the new one a K-code of its own.")
    if k_code in {drug.k_code for drug in snap.references.drugs}:
        raise EnrolError(f"{k_code}: is enrolled already. Remove it first, or give the new drug another K-code.")
    for what, word in (("name", name), *(("EDI code", code) for code in edi_codes)):
        if not word.strip() or not word.isprintable() or len(word) > 200:
            raise EnrolError(f"{what} {word!r}: must be 1 to 200 characters that can be printed.")


def _look_at_all(snap: PillSnap, photos: Sequence[Photo], max_pixels: int) -> list[_Seen]:
    """Look at every photograph; raises `EnrolError` with all that is wrong with them."""
    seen: list[_Seen] = []
    problems: list[str] = []
    names: dict[bytes, str] = {}
    # in the order of their bytes: that in which they were named changes no bit of the mean
    for photo in sorted(photos, key=lambda photo: photo.data):
        try:
            if photo.data in names:
                raise EnrolError(f"is the same photograph as {names[photo.data]}. Name each once.")
            names[photo.data] = photo.name
            seen.append(_look(snap, photo.data, max_pixels))
        except EnrolError as error:
            problems.append(f"{photo.name}: {error}")
    if problems:
        raise EnrolError("\n".join(sorted(problems)))
    return seen


def _look(snap: PillSnap, data: bytes, max_pixels: int) -> _Seen:
    """Look at the only pill of a photograph; raises `EnrolError`."""
    try:
        photo = open_photo(data, snap.facts, max_pixels=max_pixels)
    except PictureError as error:
        raise EnrolError(f"no usable photograph ({error}). Take another one.") from error
    try:
        found = snap.look_at_one(photo)
    except NotOnePillError as error:
        raise EnrolError(str(error)) from error
    trained = snap.classes[int(found["all_probabilities"][0].argmax())]
    near = [(float(found["distances"][0]), f"{trained.k_code} {trained.name}")]
    apart = snap.references.distances(found["features"])[0].tolist()
    near += [(away, f"{drug.k_code} {drug.name}") for away, drug in zip(apart, snap.references.drugs, strict=True)]
    distance, like = min(near)
    return _Seen(found["features"][0], snap.readings(found)[0], like, distance)


def _check_likeness(seen: Sequence[_Seen], limit: float) -> None:
    median = float(np.median([one.distance for one in seen]))
    if median >= limit:
        return
    like, count = Counter(one.like for one in seen).most_common(1)[0]
    digits = next((digits for digits in range(1, 9) if f"{median:.{digits}f}" != f"{limit:.{digits}f}"), 9)
    raise LikenessError(
        f"The pills look like {like}, which these models name already: {count} of {len(seen)} are nearest to it, and "
        f"their median distance is {median:.{digits}f}, where a drug of its own has {limit:.{digits}f} or more."
    )


def check_folders(models: Path, out: Path) -> None:
    """Check that one folder can be made from another; raises `EnrolError`, `ModelError` or `DiskError`."""
    if models.is_file():
        raise ModelError(f"{models}: is a file. Name the folder that export_onnx wrote (results/stage4/onnx).")
    if not models.is_dir():
        raise ModelError(f"{models}: there is no such folder. Name one that export_onnx wrote (results/stage4/onnx).")
    if os.path.lexists(out):
        raise EnrolError(f"--out {out}: exists already. Name a new folder: models are never changed in place.")
    if out.resolve().is_relative_to(models.resolve()):
        raise EnrolError(f"--out {out}: lies in {models}, which is never changed. Name a folder outside.")
    check_writable(out.parent)


def copy_models(models: Path, out: Path, drugs: Sequence[EnrolledDrug]) -> None:
    """Copy a model folder's files, with these drugs enrolled in place of those that it has.

    Raises:
        DiskError: something is at `out`, or nothing can be written there.
    """
    with placing_folder(out) as folder:
        for file in sorted(models.iterdir()):
            if file.is_file() and file.name != REFERENCES and not file.name.startswith("."):
                shutil.copyfile(file, folder / file.name)
        write_references(folder, drugs)
