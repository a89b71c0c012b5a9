"""Enrol fifty drawn drugs that no training saw in a run's models, all at once, from a few photographs each.

    python benchmarks/enrol.py                                    # of results/stage4; minutes
    python benchmarks/enrol.py --stage results/stage4 --real ../shared/data/pushin-pill --limit 5 10
                                                                  # and four trainings, each as long as the stage's own
    python benchmarks/enrol.py --drugs 5 --photos 6 --out /tmp/enrol      # to try it

Claim: with five photographs of each, at least 90 % of the other photographs are named right among all drugs, trained
ones lose at most half a point of top-1, and at least 99 % of the answers that are `known` are right.

Method: drugs of another seed than the run's and than the one by which rules were chosen are photographed, one pill a
photograph, each from a view of its own; those whose K-codes the run's models have are left out. Some photographs of
each, drawn anew ten times, enrol it, the others are answered, and so is the run's test part: the measurement of rule
`measure_references`, on more drugs. *By features alone* are the rules for models without a reader, on the same pills.
With `--real`, the products of a labelled folder of real photographs are enrolled likewise, and measured for themselves;
nothing is chosen on them.

With `--limit`, the stage's classifier is trained anew with the new drugs beside the stage's own: by the configuration's
recipe and seed, on the stage's training crops and one crop of each photograph of the first draw; its epoch is chosen on
the stage's validation crops. It names the pills that are answered where the same photographs enrol, and those of the
test part. It names them by their crops alone: nothing is read of them, and none is `unknown`. A new drug has no
crop by its labelled box, and none in validation.
"""

import argparse
import datetime
import io
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import enrol_page
import numpy as np
from enrol_limit import Cut, Limit, cut_pills

from pillsnap.answers.calibration import Calibration
from pillsnap.config.load import read_config
from pillsnap.enrol.measure_references import (
    DRAWS,
    NUMBERS,
    Found,
    find_trained,
    measure_enrolled,
    of_trained,
)
from pillsnap.evaluate.labelled_folder import index_folder
from pillsnap.files import write_json, write_text
from pillsnap.manifest.archive_photos import ArchivePhoto, each_photo, labelled_box, photos_with_pills
from pillsnap.pictures.decode import PictureError, encode_jpeg, photo_size
from pillsnap.predict.model import PillSnap
from pillsnap.progress import progress
from pillsnap.sources.synthetic.catalogue import key_rng, make_catalogue
from pillsnap.sources.synthetic.scene import render_photo
from pillsnap.sources.synthetic.views import Photo, single_photos
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions

SEED = 2911
QUALITY = 90
"""Of the photographs' JPEGs."""

Find = Callable[..., list[Cut]]
"""Takes a photograph, mode, boxes and drugs, as `find_pills` does."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--stage", type=Path, default=Path("results/stage4"), help="a stage that is made")
    parser.add_argument("--drugs", type=int, default=50, help="to enrol")
    parser.add_argument("--photos", type=int, default=14, help="of each; no number of references beyond is measured")
    parser.add_argument("--real", type=Path, help="labelled folder of real photographs, as `pillsnap evaluate` takes")
    parser.add_argument("--min-iou", type=float, default=0.5, help="from which a box is the pill")
    parser.add_argument("--threads", type=int, default=1, help="test photographs at a time, and of trainings")
    parser.add_argument("--limit", type=int, nargs="+", default=[], help="train with so many photographs, too")
    parser.add_argument("--config", type=Path, nargs="+", default=[Path("config.yaml")], help="and overlays, of these")
    parser.add_argument("--work", type=Path, default=Path("work/enrol"), help="keeps trainings, which go on there")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/enrol"), help=".json and .md are added")
    words = parser.parse_args()
    if max(words.limit, default=0) >= words.photos:
        parser.error(f"--limit {max(words.limit)} leaves none of {words.photos} photographs to be answered")
    snap = PillSnap.load(words.stage / "onnx", threads=1, device="cpu")
    config = read_config(*words.config)
    find = partial(cut_pills, snap, config.crops, words.min_iou)
    photos = list(drawn_photos(snap, words.drugs, words.photos))
    shown = progress(photos, total=len(photos), title="new drugs")
    new = [pill for photo in shown for pill in take(photo, find)]
    prepared, test = sorted((words.stage / "prepared").iterdir()), words.stage / "manifest/test.csv"
    trained = find_trained(snap, test, prepared, find, threads=words.threads)
    limit = Limit(words.stage, config, snap, trained, words.work, words.threads, SEED)
    result = {
        "command": shlex.join(["python", "benchmarks/enrol.py", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "device": describe_device("cpu"),
        "commit": git_commit(),
        "versions": package_versions(),
        "drugs": words.drugs,
        "trained_drugs": len(snap.classes),
        "photos": len(photos),
        "found": len(new),
        "draws": DRAWS,
        "trained": of_trained(trained, [pill.pill for pill in trained]),
        "read": measure(new, trained, snap.calibration),
        "features": measure(new, trained, replace(snap.calibration, reading=None)),
        "limit": measure_limit(limit, "drawn", new, words.limit),
        "real": measure_real(snap, words.real, find, limit, words.limit) if words.real else None,
    }
    write_json(words.out.with_suffix(".json"), result)
    write_text(words.out.with_suffix(".md"), enrol_page.page(result))
    print(enrol_page.page(result))


def drawn_photos(snap: PillSnap, drugs: int, photos: int) -> Iterator[Photo]:
    """Views of drugs whose K-codes the models do not have, so many of each, no two of one capture group."""
    known = {drug.k_code for drug in snap.classes}
    catalogue = make_catalogue(drugs=drugs + len(known), seed=SEED)
    for drug in [drug for drug in catalogue if drug.k_code not in known][:drugs]:
        yield from single_photos(drug, "validation", 1, photos, SEED)


def take(photo: Photo, find: Find) -> list[Cut]:
    """Take a photograph, and find its pill."""
    picture, boxes = render_photo(photo.pills, photo.shot, scale=photo.scale, rng=key_rng(SEED, "photo", photo.stem))
    drugs = [(drug.k_code, photo.stem) for drug, _ in photo.pills]
    return find(encode_jpeg(picture, QUALITY), "single", np.array(boxes, float), drugs)


def measure_real(snap: PillSnap, folder: Path, find: Find, limit: Limit, numbers: Sequence[int]) -> dict[str, Any]:
    """Figures of the products of a labelled folder, all enrolled together from some of their photographs."""
    labelled = index_folder(folder)

    def look(raw: bytes | PictureError, photo: ArchivePhoto) -> list[Cut]:
        if isinstance(raw, PictureError):
            raise raw
        width, height = photo_size(io.BytesIO(raw))
        boxes = [labelled_box(pill, width, height, raw)[0] for pill in photo.pills]
        drugs = [(pill.k_code, photo.row.group) for pill in photo.pills]
        return find(raw, "combo", np.array(boxes, float), drugs)

    found: list[Cut] = []
    for name, archive in labelled.archives.items():
        photos = photos_with_pills(labelled.pills[labelled.pills["archive"] == name])
        found += chain.from_iterable(pills for _, pills in each_photo(archive, photos, look, threads=1))
    counts = {"name": folder.name, "photos": labelled.read["photos"], "pills": len(labelled.pills), "found": len(found)}
    read, features = (measure(found, [], one) for one in (snap.calibration, replace(snap.calibration, reading=None)))
    beside = measure_limit(limit, folder.name, found, numbers)
    return counts | {"drugs": labelled.pills["k_code"].nunique(), "read": read, "features": features, "limit": beside}


def measure_limit(limit: Limit, title: str, new: Sequence[Cut], numbers: Sequence[int]) -> dict[str, Any] | None:
    """Figures of trainings with so many photographs of each new drug; `before` without them."""
    return (
        {"before": limit.before(), "numbers": [limit.measure(title, new, one) for one in numbers]} if numbers else None
    )


def measure(new: Sequence[Found], trained: Sequence[Found], calibration: Calibration) -> list[dict[str, Any]]:
    """Figures of `measure_enrolled` for each number of photographs for which a drug has more."""
    found = [measure_enrolled(new, trained, calibration, number, SEED) for number in NUMBERS]
    return [one for one in found if one["drugs"]]


if __name__ == "__main__":
    main()
