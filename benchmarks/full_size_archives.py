"""Build label archives of AIHub's full size without a pixel: names of photographs and real labels in real zips."""

import json
import multiprocessing
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pillsnap.sources.synthetic.catalogue import Drug, make_catalogue
from pillsnap.sources.synthetic.make_synthetic_archive import label_json
from pillsnap.sources.synthetic.scene import Shot

VIEWS = list(product(range(3), range(2), range(3), (60, 70, 75, 90)))
"""Background, side, light, latitude: the capture groups of a drug."""
TEST_VIEWS = 4
"""Capture groups of each drug that the validation part has."""
COMBO_PILLS = 3


@dataclass(frozen=True)
class Plan:
    """How much is built: pairs of archives by kind, drugs, and labels in all."""

    labels: int
    drugs: int
    single: int
    single_validation: int
    combo: int
    combo_validation: int
    combo_labels: int

    @property
    def pairs(self) -> int:
        """Pairs of a photo archive and a label archive."""
        return self.single + self.single_validation + self.combo + self.combo_validation


FULL = Plan(2_630_000, 4523, 181, 10, 8, 1, 30_000)
"""2,630,000 labels of 4,523 drugs in 200 pairs of archives; 30,000 labels on 10,000 photographs of combinations."""


def build_archives(root: Path, plan: Plan, processes: int) -> None:
    """Write all archives of a plan below `root`."""
    drugs = make_catalogue(drugs=plan.drugs, seed=576)
    jobs = [*_single_jobs(plan), *_combo_jobs(plan)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_remember, initargs=(drugs,)) as pool:
        for _ in tqdm(pool.map(partial(_write_pair, root), jobs), total=len(jobs), unit="pair", disable=None):
            pass


_Photo = tuple[tuple[int, ...], tuple[int, int, int, int], int]
"""Places of its drugs in the catalogue, its view, its longitude."""
_Job = tuple[str, str, Sequence[_Photo]]
_catalogue: list[Drug] = []


def _remember(drugs: list[Drug]) -> None:
    _catalogue[:] = drugs


def _single_jobs(plan: Plan) -> Iterator[_Job]:
    count = plan.labels - plan.combo_labels
    of_drug = -(-count // plan.drugs)
    photos = [
        ((drug,), VIEWS[number % len(VIEWS)], number // len(VIEWS) * 20)
        for drug in range(plan.drugs)
        for number in range(of_drug)
    ][:count]
    test = set(VIEWS[-TEST_VIEWS:])
    parts = {"T": [photo for photo in photos if photo[1] not in test], "V": [p for p in photos if p[1] in test]}
    for part, archives in (("T", plan.single), ("V", plan.single_validation)):
        yield from ((part, f"{number}_단일", some) for number, some in _shared_out(parts[part], archives))


def _combo_jobs(plan: Plan) -> Iterator[_Job]:
    rng = np.random.default_rng(576)
    folders = plan.combo_labels // (COMBO_PILLS * 3)
    drawn = [tuple(sorted(int(drug) for drug in rng.choice(plan.drugs, COMBO_PILLS, False))) for _ in range(folders)]
    photos = [(drugs, (2, 0, 2, latitude), 0) for drugs in dict.fromkeys(drawn) for latitude in (70, 75, 90)]
    cut = 3 * (len(photos) // 3 // (plan.combo + plan.combo_validation) * plan.combo)
    for part, some, archives in (("T", photos[:cut], plan.combo), ("V", photos[cut:], plan.combo_validation)):
        yield from ((part, f"{number}_조합", few) for number, few in _shared_out(some, archives))


def _shared_out(photos: Sequence[_Photo], archives: int) -> Iterator[tuple[int, Sequence[_Photo]]]:
    edges = np.linspace(0, len(photos), archives + 1).astype(int)
    return ((number + 1, photos[edges[number] : edges[number + 1]]) for number in range(archives))


def _write_pair(root: Path, job: _Job) -> None:
    part, name, photos = job
    folder = root / ("1.Training" if part == "T" else "2.Validation")
    paths = [
        folder / kind / f"{part}{letter}_{name}.zip" for kind, letter in (("원천데이터", "S"), ("라벨링데이터", "L"))
    ]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(paths[0], "w") as photo_zip, zipfile.ZipFile(paths[1], "w") as label_zip:
        for places, (background, side, light, latitude), longitude in photos:
            drugs = [_catalogue[place] for place in places]
            folder_name = "K-" + "-".join(drug.k_code[2:] for drug in drugs)
            stem = f"{folder_name}_0_{background}_{side}_{light}_{latitude}_{longitude:03d}_200"
            photo_zip.writestr(zipfile.ZipInfo(f"{folder_name}/{stem}.png"), b"")
            shot = Shot(background, light, latitude, longitude)
            for number, drug in enumerate(drugs):
                label = label_json(drug, side, stem, shot, [120 + 250 * number, 400 + longitude, 210, 180])
                below = f"/{drug.k_code}" if len(drugs) > 1 else ""
                data = json.dumps(label, ensure_ascii=False).encode()
                info = zipfile.ZipInfo(f"{folder_name}_json{below}/{stem}.json")
                label_zip.writestr(info, data, compress_type=zipfile.ZIP_DEFLATED, compresslevel=1)
