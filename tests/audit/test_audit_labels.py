"""The label audit: what is planted is found, in the right order, and labelling tools can read it."""

import io
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO

from pillsnap.audit.audit_labels import audit_labels
from pillsnap.audit.coco import coco_dataset
from pillsnap.audit.findings import DETECTION, LABEL, find_findings, missing_k_codes
from pillsnap.config.config import Detector
from pillsnap.config.data import Audit, Prepare, Yolo
from pillsnap.config.training import Steering, Trainings
from pillsnap.detector.build_yolo_dataset import build_yolo_dataset
from pillsnap.detector.detect_pills import detect_pills
from pillsnap.detector.train_detector import train_detector
from pillsnap.files import read_json, sha256_of
from pillsnap.manifest.index_archive import index_archive
from pillsnap.pictures.boxes import iou_matrix
from pillsnap.pictures.decode import decode_jpeg
from pillsnap.sources.aihub_name import counted_drugs
from pillsnap.sources.registry import list_archives
from pillsnap.sources.settings import SyntheticSource
from pillsnap.tables.classes import UNLABELLED
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import DETECTIONS, MANIFEST, MANIFEST_BACKGROUNDS, PILLS
from tests.support.archives import BOXES, DRUGS, DataRun, draw_source, hand_made, prepare_source
from tests.support.models import DRUGS as CLASSES
from tests.support.models import tiny_stage

SETTINGS = Audit(min_score=0.6, max_iou=0.3, pictures=2)
ONE, TWO, THREE = (tuple(map(float, box)) for box in BOXES)
Box = tuple[float, float, float, float]


def moved(box: Box, x: float, y: float = 0) -> Box:
    return box[0] + x, box[1] + y, box[2], box[3]


def labels(
    *boxes: Box, fully_labelled: bool = True, image_id: str = "A.K-000001-000002-000003_0_2_0_2_70_000_200"
) -> pd.DataFrame:
    """Manifest rows of one combo with the first drugs of `DRUGS`."""
    archive, stem = image_id.split(".")
    photo = {"image_id": image_id, "archive": archive, "member": f"folder/{stem}.png", "domain": "combo"}
    photo |= {"edi_codes": "", "split": "train", "group": "", "width": 97, "height": 128, "sha256": "", "drug_name": ""}
    rows = [
        photo
        | {"label_member": f"{stem}/{place}.json", "k_code": DRUGS[place], "class_index": place}
        | {"fully_labelled": fully_labelled}
        | dict(zip("xywh", box, strict=True))
        for place, box in enumerate(boxes)
    ]
    return make_table(rows, MANIFEST)


def seen(*found: tuple[Box, float], image_id: str = "A.K-000001-000002-000003_0_2_0_2_70_000_200") -> pd.DataFrame:
    """Detections in one photograph."""
    rows = [
        {"image_id": image_id, "split": "train", "score": score, **dict(zip("xywh", box, strict=True))}
        for box, score in found
    ]
    return make_table(rows, DETECTIONS)


def said(findings: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Kind, K-code and left side of each finding, in order."""
    return [(row.kind, row.k_code, row.x) for row in findings.itertuples()]


@pytest.mark.parametrize(
    ("pills", "found", "expected"),
    [
        pytest.param(labels(ONE, TWO), seen((ONE, 0.9), (TWO, 0.9)), [], id="they agree"),
        pytest.param(labels(ONE), seen((ONE, 0.9), (TWO, 0.8)), [(DETECTION, "", TWO[0])], id="a pill without label"),
        pytest.param(labels(ONE), seen((ONE, 0.9), (TWO, 0.59)), [], id="a weak detection is no finding"),
        pytest.param(
            labels(ONE, TWO), seen((ONE, 0.9)), [(LABEL, DRUGS[1], TWO[0])], id="a label without any detection"
        ),
        pytest.param(labels(ONE), seen((ONE, 0.05)), [], id="even a weak detection finds a label"),
        pytest.param(labels(ONE), seen(), [(LABEL, DRUGS[0], ONE[0])], id="a photograph without any detection"),
        pytest.param(
            labels(ONE),
            seen((ONE, 0.9), (TWO, 0.7), (moved(TWO, 3), 0.8), (moved(TWO, 0, 4), 0.65)),
            [(DETECTION, "", TWO[0] + 3)],
            id="of duplicates the best one",
        ),
        pytest.param(labels(ONE), seen((ONE, 0.9), (moved(ONE, 4), 0.8)), [], id="a duplicate on a label"),
        pytest.param(
            labels(ONE, moved(ONE, 5)), seen((ONE, 0.9)), [(LABEL, DRUGS[1], ONE[0] + 5)], id="two labels on one pill"
        ),
        pytest.param(
            labels(moved(ONE, 40)),
            seen((ONE, 0.9)),
            [(LABEL, DRUGS[0], ONE[0] + 40), (DETECTION, "", ONE[0])],
            id="a label in the wrong place",
        ),
        pytest.param(
            labels(moved(ONE, 14)), seen((ONE, 0.9)), [(LABEL, DRUGS[0], ONE[0] + 14)], id="a label that is half off"
        ),
        pytest.param(labels(), seen(), [], id="empty tables"),
        pytest.param(labels(), seen((ONE, 0.9)), [], id="a photograph that is not in the manifest"),
    ],
)
def test_findings(pills: pd.DataFrame, found: pd.DataFrame, expected: list) -> None:
    assert said(find_findings(pills, found, SETTINGS, min_iou=0.5)) == expected


def test_a_finding_tells_score_and_nearest_box() -> None:
    half = moved(ONE, 14)
    found = find_findings(labels(half, THREE), seen((ONE, 0.4), (TWO, 0.81234)), SETTINGS, min_iou=0.5)
    by_place = {(row.kind, row.x): row for row in found.itertuples()}
    shared = (31 - 14) / (31 + 14)
    assert by_place[LABEL, half[0]].best_iou == pytest.approx(shared, abs=1e-4)
    assert by_place[LABEL, half[0]].score == 0.4
    assert by_place[LABEL, half[0]].label_member.endswith("/0.json")
    assert by_place[LABEL, THREE[0]].best_iou == 0
    assert np.isnan(by_place[LABEL, THREE[0]].score)
    assert by_place[DETECTION, TWO[0]].score == 0.8123
    assert (by_place[DETECTION, TWO[0]].y, by_place[DETECTION, TWO[0]].h) == (TWO[1], TWO[3])


def test_what_is_certain_comes_first_then_the_clearest() -> None:
    pills = pd.concat([
        labels(ONE, fully_labelled=False, image_id="A.partly"),
        labels(ONE, image_id="A.b"),
        labels(moved(ONE, 14), image_id="A.c"),
        labels(ONE, image_id="A.d"),
    ])  # fmt: skip
    found = pd.concat([
        seen((ONE, 0.9), (TWO, 0.61), (THREE, 0.7), image_id="A.partly"),
        seen((ONE, 0.9), (TWO, 0.95), image_id="A.b"),
        seen((ONE, 0.9), image_id="A.c"),
    ])  # fmt: skip
    findings = find_findings(pills, found, SETTINGS, min_iou=0.5)
    order = [(row.image_id, row.kind) for row in findings.itertuples()]
    assert order == [
        ("A.partly", DETECTION),
        ("A.partly", DETECTION),
        ("A.d", LABEL),
        ("A.b", DETECTION),
        ("A.c", LABEL),
    ]
    assert list(findings["score"].iloc[:2]) == [0.7, 0.61]
    again = find_findings(pills.sample(frac=1, random_state=3), found, SETTINGS, min_iou=0.5)
    pd.testing.assert_frame_equal(again, findings)


@pytest.mark.parametrize(
    ("stem", "codes"),
    [
        ("K-000001-000002_0_2_0_2_70_000_200", ("K-000001", "K-000002")),
        ("K-000001-000001-000007_0_2_0_2_70_000_200", ("K-000001", "K-000001", "K-000007")),
        ("K-000001_0_2_0_0_75_260_200", ()),
        ("photo-1-2", ()),
        ("K-000001-000002x", ()),
    ],
)
def test_k_codes_of_a_name(stem: str, codes: tuple[str, ...]) -> None:
    assert counted_drugs(stem) == codes


def test_k_codes_are_suggested_only_where_the_name_counts_them() -> None:
    partly = labels(ONE, fully_labelled=False)
    assert missing_k_codes(partly) == ["K-000002", "K-000003"]
    assert missing_k_codes(partly.assign(fully_labelled=True)) == []
    assert missing_k_codes(partly.assign(domain="single")) == []
    assert missing_k_codes(partly.assign(member="images/photo.rf.1.jpg")) == []
    assert missing_k_codes(partly.assign(k_code="K-000009")) == ["K-000001", "K-000002", "K-000003"]
    findings = find_findings(partly, seen((TWO, 0.9)), SETTINGS, min_iou=0.5)
    assert dict(zip(findings["kind"], findings["suggested_k_codes"], strict=True)) == {
        DETECTION: "K-000002,K-000003",
        LABEL: "",
    }


def read_coco(path: Path) -> COCO:
    with redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_coco_numbers_its_parts_without_gaps_and_names_its_categories() -> None:
    pills = pd.concat([labels(ONE, image_id="A.a"), labels(ONE, TWO, image_id="A.b"), labels(ONE, image_id="A.c")])
    found = pd.concat([seen((ONE, 0.9), (THREE, 0.7), image_id="A.a"), seen((ONE, 0.9), image_id="A.b")])
    findings = find_findings(pills[pills["image_id"] != "A.c"], found, SETTINGS, min_iou=0.5)
    dataset = coco_dataset(pills, findings, CLASSES)
    assert [image["file_name"] for image in dataset["images"]] == ["folder/b.png", "folder/a.png"]
    assert [(one["id"], one["name"]) for one in dataset["categories"]] == [
        *((drug.index + 1, drug.k_code) for drug in CLASSES),
        (4, UNLABELLED),
    ]
    assert [one["id"] for one in dataset["annotations"]] == [1, 2, 3, 4]
    assert [(one["image_id"], one["category_id"]) for one in dataset["annotations"]] == [(1, 1), (1, 2), (2, 1), (2, 4)]
    assert [one["attributes"].get("detected") for one in dataset["annotations"]] == [True, False, True, None]
    assert [one.get("score") for one in dataset["annotations"]] == [None, None, None, 0.7]
    assert dataset["annotations"][3]["bbox"] == list(THREE)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> DataRun:
    """Hand-made archives in which combos of training and validation have lost labels."""
    folder, raw = tmp_path_factory.mktemp("run"), hand_made()
    combos = sorted(raw.labels["TS_1_조합"])
    for member in (combos[0], combos[-1]):
        del raw.labels["TS_1_조합"][member]
    run = prepare_source(raw.write(folder / "raw"), folder / "results")
    run.build_manifest()
    return run


def perfect(pills: pd.DataFrame) -> pd.DataFrame:
    """What a detector finds that knows where the pills of hand-made photographs lie, whatever their labels say."""
    rows = []
    for image_id, labelled in pills.groupby("image_id"):
        photo = labelled.iloc[0]
        count = len(counted_drugs(Path(photo["member"]).stem)) or 1
        for place, box in enumerate(BOXES[:count]):
            facts = {"image_id": image_id, "split": photo["split"], "score": 0.95 - place / 10}
            rows.append(facts | dict(zip("xywh", map(float, box), strict=True)))
    return make_table(rows, DETECTIONS)


def audit(run: DataRun, folder: Path, detections: pd.DataFrame, settings: Audit = SETTINGS) -> Path:
    write_table(detections, folder / "detections.parquet", DETECTIONS)
    audit_labels(
        manifest=run.manifest("train", "val"),
        backgrounds=run.folder / "manifest/backgrounds.csv",
        detections=folder / "detections.parquet",
        classes=run.folder / "manifest/classes.json",
        prepared=run.prepared,
        label_audit=folder / "label_audit",
        settings=settings,
        min_iou=0.5,
    )
    return folder / "label_audit"


def listed(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "findings.csv", keep_default_na=False)


def test_the_planted_labels_are_listed_and_nothing_else(run, tmp_path) -> None:
    pills = run.pills("train", "val")
    partly = pills[~pills["fully_labelled"]]
    folder = audit(run, tmp_path, perfect(pills))
    findings = listed(folder)
    assert (folder / "findings.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert set(findings["kind"]) == {DETECTION}
    assert sorted(findings["image_id"]) == sorted(partly["image_id"]) and len(partly) == 2
    for row in findings.itertuples():
        labelled = partly.set_index("image_id").loc[row.image_id]
        counted = counted_drugs(Path(row.member).stem)
        assert row.suggested_k_codes == next(code for code in counted if code != labelled["k_code"])
        assert [row.x, row.y, row.w, row.h] == pytest.approx(BOXES[counted.index(row.suggested_k_codes)])
    facts = read_json(folder / "summary.json")
    assert facts["photos"] == pills["image_id"].nunique()
    assert facts["labels"] == len(pills)
    assert (facts["partly_labelled_photos"], facts["photos_with_findings"]) == (2, 2)
    counts = facts["findings"][DETECTION]
    assert (counts["all"], counts["partly_labelled"], counts["fully_labelled"]) == (2, 2, 0)
    assert sum(counts["split"].values()) == sum(counts["domain"].values()) == 2
    assert facts["findings"][LABEL]["all"] == 0
    assert facts["thresholds"] == {"lowest_score": 0.05, "min_score": 0.6, "max_iou": 0.3, "min_iou": 0.5}


def test_coco_of_a_run_is_valid_and_holds_labels_and_proposals(run, tmp_path) -> None:
    pills = run.pills("train", "val")
    detections = perfect(pills)
    folder = audit(run, tmp_path, detections[~detections["image_id"].str.contains("K-000002_")])
    findings, coco = listed(folder), read_coco(folder / "coco.json")
    photos = pills[pills["image_id"].isin(findings["image_id"])]
    assert sorted(one["file_name"] for one in coco.imgs.values()) == sorted(set(photos["member"]))
    assert {(one["width"], one["height"]) for one in coco.imgs.values()} == {(97, 128)}
    by_source = {"label": [], "proposal": []}
    for one in coco.anns.values():
        x, y, w, h = one["bbox"]
        assert 0 <= x < x + w <= 97 and 0 <= y < y + h <= 128
        assert one["area"] == pytest.approx(w * h, abs=0.01) and one["iscrowd"] == 0
        assert one["image_id"] in coco.imgs and one["category_id"] in coco.cats
        by_source[one["attributes"]["source"]].append(one)
    assert len(by_source["label"]) == len(photos)
    named = sorted(coco.cats[one["category_id"]]["name"] for one in by_source["label"])
    assert named == sorted(photos["k_code"])
    missed = [one for one in by_source["label"] if not one["attributes"]["detected"]]
    assert len(missed) == (findings["kind"] == LABEL).sum() > 0
    assert len(by_source["proposal"]) == (findings["kind"] == DETECTION).sum() > 0
    assert {coco.cats[one["category_id"]]["name"] for one in by_source["proposal"]} == {UNLABELLED}
    assert all(0.6 <= one["score"] <= 1 for one in by_source["proposal"])


def test_pictures_show_findings_in_red_up_to_the_limit(run, tmp_path) -> None:
    detections = perfect(run.pills("train", "val"))
    folder = audit(run, tmp_path, detections[~detections["image_id"].str.contains("K-000002_")])
    findings = listed(folder)
    assert set(findings["kind"]) == {DETECTION, LABEL}
    for kind, rows in findings.groupby("kind"):
        photos = rows.groupby("image_id", sort=False)["picture"].agg(lambda names: "".join(sorted(set(names))))
        assert len(photos) >= 2
        assert list(photos) == [f"pictures/{kind}_00.jpg", f"pictures/{kind}_01.jpg"] + [""] * (len(photos) - 2)
    drawn = sorted(path.relative_to(folder).as_posix() for path in (folder / "pictures").iterdir())
    assert drawn == sorted(set(findings["picture"]) - {""})
    for name in drawn:
        picture = decode_jpeg((folder / name).read_bytes()).astype(int)
        assert max(picture.shape) == 64
        assert (picture[..., 0] - picture[..., 1:].max(axis=2)).max() > 90, "no red box"


def test_no_pictures_and_no_findings(run, tmp_path) -> None:
    folder = audit(run, tmp_path, make_table([], DETECTIONS), Audit(pictures=0))
    assert set(listed(folder)["kind"]) == {LABEL}
    assert list((folder / "pictures").iterdir()) == []
    pills = run.pills("train", "val")
    exact = pills[["image_id", "split", *"xywh"]].assign(score=0.9)[list(DETECTIONS.columns)]
    folder = audit(run, tmp_path, exact)
    assert len(listed(folder)) == 0
    assert read_json(folder / "summary.json")["photos_with_findings"] == 0
    assert read_coco(folder / "coco.json").imgs == {}


def test_the_same_input_gives_the_same_bytes_in_place_of_old_ones(run, tmp_path) -> None:
    detections = perfect(run.pills("train", "val")).iloc[::2]
    first = sha256_of(audit(run, tmp_path, detections))
    shutil.rmtree(tmp_path / "label_audit/pictures")
    (tmp_path / "label_audit/old.txt").write_text("old")
    assert sha256_of(audit(run, tmp_path, detections)) == first


def test_a_yolo_like_stage_with_names_that_are_no_k_codes(tmp_path, base: Path) -> None:
    stage = tiny_stage(base)
    manifest = {split: stage.manifest[split] for split in ("train", "val")}
    pills = pd.concat([read_table(path, MANIFEST) for path in manifest.values()])
    for split in manifest:
        rows = pills[pills["split"] == split].assign(k_code="알약 1", fully_labelled=False)
        write_table(rows, tmp_path / f"{split}.csv", MANIFEST)
    write_table(make_table([], DETECTIONS), tmp_path / "detections.parquet", DETECTIONS)
    write_table(make_table([], MANIFEST_BACKGROUNDS), tmp_path / "backgrounds.csv", MANIFEST_BACKGROUNDS)
    audit_labels(
        manifest={split: tmp_path / f"{split}.csv" for split in manifest},
        backgrounds=tmp_path / "backgrounds.csv",
        detections=tmp_path / "detections.parquet",
        classes=stage.classes,
        prepared=[stage.prepared],
        label_audit=tmp_path / "label_audit",
        settings=SETTINGS,
        min_iou=0.5,
    )
    findings = listed(tmp_path / "label_audit")
    assert len(findings) == len(pills)
    assert set(findings["suggested_k_codes"]) == {""}


TINY = SyntheticSource(
    drugs=6, photos_per_drug=6, validation_photos_per_drug=1, combos=50, validation_combos=1, single_archives=1,
    combo_archives=1, defects=1,
)  # fmt: skip


def detections_of_a_brief_training(run: DataRun, folder: Path) -> pd.DataFrame:
    manifest = run.manifest("train", "val")
    build_yolo_dataset(
        manifest=manifest, prepared=run.prepared, dataset=folder / "yolo", settings=Yolo(max_single_photos=20), seed=1
    )
    train_detector(
        dataset=folder / "yolo", best=folder / "best.pt", weights=folder / "best.safetensors",
        history=folder / "history.csv", events=folder / "events.json", resources=folder / "resources.json",
        work=folder / "work",
        settings=Detector(image_size=160, epochs=12, batch=4, learning_rate=2e-3, warmup_epochs=0.5, patience=12),
        steering=Steering(), training=Trainings(), seed=576, device="cpu", threads=1,
    )  # fmt: skip
    detect_pills(
        manifest=manifest, backgrounds=run.folder / "manifest/backgrounds.csv", prepared=run.prepared,
        detector=folder / "best.safetensors",
        detections=folder / "found.parquet", work=folder / "work/detect", image_size=160, lowest_score=0.05,
        nms_iou=0.5, device="cpu", threads=1,
    )  # fmt: skip
    return read_table(folder / "found.parquet", DETECTIONS)


def all_pills(folder: Path) -> pd.DataFrame:
    """Every label of the synthetic training combos, drawn once more without defects."""
    source = draw_source(folder / "clean", TINY.model_copy(update={"defects": 0}))
    archive = list_archives(source)["TS_1_combo"]
    names = {"pills": "clean.parquet", "looks": "l.parquet", "issues": "i.parquet", "counts": "c.json"}
    names["backgrounds"] = "b.parquet"
    paths = {kind: folder / name for kind, name in names.items()}
    index_archive(kind=source.kind, archive=archive, **paths)
    return read_table(paths["pills"], PILLS)


@pytest.mark.campaign
def test_a_trained_detector_finds_the_labels_that_the_synthetic_source_dropped(tmp_path) -> None:
    """Train briefly on synthetic photographs and audit: what is listed first lies on the very pills whose labels were
    planted as missing, in most of these photographs."""
    run = prepare_source(draw_source(tmp_path / "raw", TINY), tmp_path, prepare=Prepare(photo_size=256))
    run.build_manifest()
    partly = run.pills("train", "val").query("not fully_labelled")
    dropped = all_pills(tmp_path)
    dropped = dropped[
        dropped["image_id"].isin(partly["image_id"]) & ~dropped["label_member"].isin(partly["label_member"])
    ]
    folder = audit(run, tmp_path, detections_of_a_brief_training(run, tmp_path), Audit(min_score=0.4, pictures=4))
    findings = listed(folder).query(f"kind == '{DETECTION}'")
    certain = findings[findings["image_id"].isin(partly["image_id"])]
    assert dropped["image_id"].nunique() >= 4
    assert certain["image_id"].nunique() >= dropped["image_id"].nunique() / 2
    right = [
        iou_matrix([row.x, row.y, row.w, row.h], dropped.loc[dropped["image_id"] == row.image_id, list("xywh")]).max()
        for row in certain.itertuples()
    ]
    assert np.mean(np.array(right) >= 0.5) >= 0.8
    missing = dropped.groupby("image_id")["k_code"].agg(set)
    assert all(set(row.suggested_k_codes.split(",")) == missing[row.image_id] for row in certain.itertuples())
