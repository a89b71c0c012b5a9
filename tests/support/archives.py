"""Raw data for the tests of the data side, and the rules up to the manifest run on it.

`hand_made` gives archives of AIHub's shape with tiny photographs, quick to write and easy to damage; `draw_source`
the synthetic ones in full size, at a tenth of a second a photograph.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from pillsnap.config.data import Manifest, Plan, Prepare, Stage
from pillsnap.files import read_json
from pillsnap.manifest.build_manifest import build_manifest
from pillsnap.manifest.index_archive import index_archive
from pillsnap.manifest.plan_stage import plan_stage
from pillsnap.manifest.prepare_archive import prepare_archive
from pillsnap.pictures.box_finder import BoxFinder
from pillsnap.sources.archives import Archive
from pillsnap.sources.registry import list_all_archives
from pillsnap.sources.settings import Source, SyntheticSource
from pillsnap.sources.synthetic.archives import list_synthetic_archives
from pillsnap.sources.synthetic.make_synthetic_archive import make_synthetic_archive
from pillsnap.tables.files import read_split
from pillsnap.tables.schemas import UNSEEN
from tests.support.aihub_files import label, write_zip

WIDTH, HEIGHT = 97, 128
BOXES = ((8, 12, 31, 24), (52, 20, 27, 38), (20, 78, 41, 33))
"""Where the first, second and third pill of a hand-made photograph lie: x, y, w, h."""
DRUGS = ("K-000001", "K-000002", "K-000003")
LENIENT = Manifest(max_quarantined_fraction=1)
ZIP_OF = {
    f"{part}S_1_{domain}": f"{part}S_1_{word}"
    for part in "TV"
    for domain, word in (("single", "단일"), ("combo", "조합"))
}
"""The hand-made zip of each archive's name."""


def photo_png(pills: int = 1, seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A PNG with so many bright ellipses that fill `BOXES`, on a smooth dark background."""
    picture = np.full((height, width, 3), 40 + seed % 40, np.uint8)
    for number, (x, y, w, h) in enumerate(BOXES[:pills]):
        axes = ((x + (w - 1) / 2, y + (h - 1) / 2), (w - 1, h - 1), 0)
        cv2.ellipse(picture, axes, (250 - 60 * number, 200, 120 + 50 * number), -1)
    picture[-1, -1] = seed % 256, seed // 256 % 256, 0  # no two photographs are the same
    return cv2.imencode(".png", picture)[1].tobytes()


def labels_of(member: str) -> list[str]:
    """Label members that a photograph should have, by its name."""
    folder, stem = member.removesuffix(".png").split("/")
    drugs = [f"K-{number}" for number in folder.split("-")[1:]]
    if len(drugs) == 1:
        return [f"{folder}_json/{stem}.json"]
    return [f"{folder}_json/{drug}/{stem}.json" for drug in drugs]


@dataclass
class HandMade:
    """Photo and label members of AIHub-shaped archives by archive (`TS_1_단일`) and member; change them, then write."""

    photos: dict[str, dict[str, bytes]]
    labels: dict[str, dict[str, bytes]]

    def add_single(self, archive: str, k_code: str, view: str) -> str:
        """Add a single-pill photograph with its label; returns its member name."""
        stem = f"{k_code}_0_{view}_200"
        member = f"{k_code}/{stem}.png"
        self.photos[archive][member] = photo_png(1, seed=self._count())
        self.labels[archive][f"{k_code}_json/{stem}.json"] = label(f"{stem}.png", k_code, BOXES[0])
        return member

    def add_combo(self, archive: str, k_codes: Sequence[str], latitude: int) -> str:
        """Add a photograph of several pills with their labels; returns its member name."""
        folder = "K-" + "-".join(k_code.removeprefix("K-") for k_code in k_codes)
        stem = f"{folder}_0_2_0_2_{latitude}_000_200"
        member = f"{folder}/{stem}.png"
        self.photos[archive][member] = photo_png(len(k_codes), seed=self._count())
        for k_code, box in zip(k_codes, BOXES, strict=False):
            self.labels[archive][f"{folder}_json/{k_code}/{stem}.json"] = label(f"{stem}.png", k_code, box)
        return member

    def _count(self) -> int:
        return sum(map(len, self.photos.values()))

    def only(self, *archives: str) -> "HandMade":
        """The same without the other archives."""
        photos, labels = ({name: members[name] for name in archives} for members in (self.photos, self.labels))
        return HandMade(photos, labels)

    def write(self, root: Path) -> Source:
        """Write the pairs of zips below `root`."""
        for archive, members in self.photos.items():
            folder = root / ("1.Training" if archive.startswith("T") else "2.Validation")
            write_zip(folder / "원천데이터" / f"{archive}.zip", members)
            write_zip(folder / "라벨링데이터" / f"{archive.replace('S_', 'L_')}.zip", self.labels[archive])
        return Source(kind="aihub", root=str(root))


def hand_made() -> HandMade:
    """Three drugs with five capture groups of two photographs each, their pairs as combos, a validation part."""
    raw = HandMade({name: {} for name in ZIP_OF.values()}, {name: {} for name in ZIP_OF.values()})
    for k_code in DRUGS:
        for group in range(5):
            for longitude in ("000", "180"):
                raw.add_single("TS_1_단일", k_code, f"0_0_{group}_75_{longitude}")
        raw.add_single("VS_1_단일", k_code, "2_1_0_90_040")
    for pair in combinations(DRUGS, 2):
        for latitude in (70, 75, 90):
            raw.add_combo("TS_1_조합", pair, latitude)
    raw.add_combo("VS_1_조합", DRUGS, 70)
    return raw


def course_files(raw: HandMade) -> dict[str, bytes]:
    """The edition of a course: all photographs in one folder, some without labels in another."""
    files = {f"test_images/{number}.png": data for number, data in enumerate(raw.photos["VS_1_단일"].values(), 1)}
    for archive in ("TS_1_단일", "TS_1_조합"):
        files |= {f"train_images/{Path(name).name}": data for name, data in raw.photos[archive].items()}
        for name, data in raw.labels[archive].items():
            folder, *_, stem = Path(name).parts
            drug = Path(name).parts[1] if archive == "TS_1_조합" else folder.removesuffix("_json")
            files[f"train_annotations/{folder}/{drug}/{stem}"] = data
    return files


def draw_source(root: Path, settings: SyntheticSource, seed: int = 576) -> Source:
    """Draw every archive of a synthetic source below `root`, each with `<zip's name>.planted.csv` beside its photos."""
    counts = {"single_archives": settings.single_archives, "combo_archives": settings.combo_archives}
    for archive in list_synthetic_archives(**counts):
        photos = root / archive.photos
        make_synthetic_archive(
            archive=archive,
            photos_zip=photos,
            labels_zip=root / archive.labels,
            planted_csv=photos.with_suffix(".planted.csv"),
            seed=seed,
            **settings.model_dump(),
        )
    return Source(kind="synthetic", root=str(root), synthetic=settings)


@dataclass(frozen=True)
class DataRun:
    """The files of the data rules of one source and stage, below `folder`."""

    folder: Path
    archives: dict[str, Archive]
    shared_groups: str = "hold_out"

    @property
    def plan(self) -> Path:
        return self.folder / "plan.parquet"

    @property
    def backgrounds(self) -> Path:
        return self.folder / "plan.backgrounds.parquet"

    @property
    def prepared(self) -> list[Path]:
        return [self.folder / "prepared" / name for name in self.archives]

    @property
    def issues(self) -> list[Path]:
        return [self.folder / f"{name}.issues.parquet" for name in self.archives]

    def manifest(self, *splits: str) -> dict[str, Path]:
        """The manifest's files by split, those of the stage or those named."""
        files = {split: split for split in ("train", "val", "test")} | dict.fromkeys(UNSEEN, "unseen")
        return {split: self.folder / "manifest" / f"{files[split]}.csv" for split in splits or ("train", "val", "test")}

    def pills(self, *splits: str) -> pd.DataFrame:
        """The manifest's rows, of the stage's splits or those named."""
        tables = [read_split(path, split) for split, path in self.manifest(*splits).items()]
        return pd.concat(tables, ignore_index=True)

    def quarantine(self) -> pd.DataFrame:
        """The quarantine as pandas opens it, empty texts kept."""
        return pd.read_csv(self.folder / "manifest/quarantine.csv", keep_default_na=False)

    def summary(self) -> dict[str, Any]:
        return read_json(self.folder / "manifest/summary.json")

    def build_manifest(self, settings: Manifest = LENIENT) -> None:
        """Run `build_manifest` on what is there."""
        build_manifest(
            plan=self.plan,
            plan_backgrounds=self.backgrounds,
            plan_issues=self.folder / "plan.issues.parquet",
            plan_summary=self.folder / "plan.json",
            counts=[self.folder / f"{name}.counts.json" for name in self.archives],
            issues=self.issues,
            looks=[self.folder / f"{name}.looks.parquet" for name in self.archives],
            prepared=self.prepared,
            manifest=self.manifest(),
            unseen=self.folder / "manifest/unseen.csv",
            backgrounds=self.folder / "manifest/backgrounds.csv",
            quarantine=self.folder / "manifest/quarantine.csv",
            near_duplicates=self.folder / "manifest/near_duplicates.csv",
            overlapping_labels=self.folder / "manifest/overlapping_labels.csv",
            classes=self.folder / "manifest/classes.json",
            drugs=self.folder / "manifest/drugs.csv",
            summary=self.folder / "manifest/summary.json",
            refused=self.folder / "refused.csv",
            settings=settings,
            shared_groups=self.shared_groups,
            source_of={name: archive.source for name, archive in self.archives.items()},
        )


def index_source(source: Source, folder: Path, shared_groups: str = "hold_out") -> DataRun:
    """Run `index_archive` for every archive of a source."""
    return index_sources({source.kind: source}, folder, shared_groups)


def index_sources(sources: Mapping[str, Source], folder: Path, shared_groups: str = "hold_out") -> DataRun:
    """Run `index_archive` for every archive of several sources, by their names."""
    run = DataRun(folder, list_all_archives(sources), shared_groups)
    for name, archive in run.archives.items():
        tables = {kind: f"{kind}.parquet" for kind in ("backgrounds", "looks", "issues")}
        outputs = tables | {"pills": "parquet", "counts": "counts.json"}
        paths = {kind: folder / f"{name}.{ending}" for kind, ending in outputs.items()}
        index_archive(kind=sources[archive.source].kind, archive=archive, **paths)
    return run


def prepare_planned(
    run: DataRun,
    *,
    prepare: Prepare | None = None,
    images: int = 10**6,
    unseen_drugs: int = 0,
    threads: int = 1,
    spoil: Callable[[], None] = lambda: None,
    box_finder: BoxFinder | None = None,
) -> None:
    """Run `plan_stage`, and `prepare_archive` for every archive; `spoil` is called between them."""
    plan_stage(
        pills=[run.folder / f"{name}.parquet" for name in run.archives],
        index_backgrounds=[run.folder / f"{name}.backgrounds.parquet" for name in run.archives],
        index_issues=[run.folder / f"{name}.issues.parquet" for name in run.archives],
        refused=run.folder / "refused.csv",
        plan=run.plan,
        backgrounds=run.backgrounds,
        issues=run.folder / "plan.issues.parquet",
        summary=run.folder / "plan.json",
        stage=Stage(images=images, classes=100),
        settings=Plan(shared_groups=run.shared_groups, unseen_drugs=unseen_drugs, unseen_share=1),
        seed=1,
        sources=[archive.source for archive in run.archives.values()],
    )
    spoil()
    for (name, archive), path in zip(run.archives.items(), run.prepared, strict=True):
        words = {"settings": prepare or Prepare(photo_size=64), "counts": run.folder / f"{name}.counts.json"}
        words["backgrounds"] = run.backgrounds
        prepare_archive(archive=archive, plan=run.plan, prepared=path, threads=threads, box_finder=box_finder, **words)


def prepare_source(source: Source, folder: Path, *, shared_groups: str = "hold_out", **options: Any) -> DataRun:
    """Run the rules from `index_archive` to `prepare_archive`; `options` are those of `prepare_planned`."""
    run = index_source(source, folder, shared_groups)
    prepare_planned(run, **options)
    return run


def run_by_hand(folder: Path) -> DataRun:
    """The rules from `index_archive` to `build_manifest` on what `hand_made` makes."""
    run = prepare_source(hand_made().write(folder / "raw"), folder / "results")
    run.build_manifest()
    return run
