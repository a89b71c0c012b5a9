"""One table of defects over all kinds of source: each reason is found in each kind, or it is said why it cannot be."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from pillsnap.config.data import Plan, Stage
from pillsnap.files import read_json
from pillsnap.manifest.plan_stage import plan_stage
from pillsnap.pictures.box_finder import BoxFinder
from pillsnap.sources.registry import KINDS, get_kind
from pillsnap.tables.files import read_table, read_tables, write_table
from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED
from pillsnap.tables.schemas import ISSUES, OVERLAPS, PILLS, PLAN
from tests.support.archives import BOXES, HEIGHT, LENIENT, WIDTH, DataRun, index_source, photo_png, prepare_planned
from tests.support.costly_bytes import progressive_jpeg
from tests.support.defects import BLUE, LOST, RARE, RED, TESTED, WORLDS, Label, World
from tests.support.picture_bytes import promising_png, stored

Plant = Callable[[World], None]
Cell = Plant | str
"""How the defect is made, or why it cannot be."""

AIHUB_NAME = f"{RED}_0_2_0_0_75_{{}}_200"
PAIR = f"{RED}-{BLUE.removeprefix('K-')}_0_2_0_2_70_000_200"
SAME = photo_png(seed=990), photo_png(seed=991), photo_png(seed=993)
HALF = photo_png(seed=992)[:300]
SIDEWAYS = stored(Image.new("RGB", (WIDTH, HEIGHT)), orientation=6, kind="PNG")
ON_ITS_SIDE = {"image": {"width": HEIGHT, "height": WIDTH}}


def plant(stem: str, *labels: Label, **options: Any) -> Plant:
    return lambda world: world.add(stem, *labels, **options)


def all_of(*plants: Plant) -> Plant:
    def each(world: World) -> None:
        for one in plants:
            one(world)

    return each


def changed(reason: str, **changes: Any) -> Plant:
    """A photograph of the reason's name, whose one label is changed."""
    return plant(reason, Label(changes=changes))


def boxed(reason: str, *box: float) -> Plant:
    return plant(reason, Label(box=box))


def empty(stem: str, **options: Any) -> Plant:
    """A photograph that is labelled as showing no pill."""
    return plant(stem, Label(changes={"line": "", "background": True}), **options)


def linked(world: World) -> None:
    """A photograph that is a link to a file outside, which `Linked` makes once all is written."""
    world.add("link_outside", Label())


ONE_FILE = "one file holds all labels; it is read in any encoding, or the run stops"
NO_JSON = "a line of numbers has no such field"
NO_NAME = "a label names no photograph: its own name, or a number, does"
NO_CODE = "classes have names of any text; a table of class names is checked when it is read"
ONE_BOX = "a label is one box: a line, or an annotation"
FOLDER = "its archives are folders: one that is not there stops the run before the first job"
NO_BACKGROUND = "a label of AIHub is of a pill: one without a box is bbox_missing"
BOXED = "its labels have boxes: no detector looks for them"
BOXES_ONLY = "labels of AIHub hold boxes"

EVERY: dict[str, Plant] = {
    "name_unsafe": plant("name_unsafe\x07", Label()),
    "link_outside": linked,
    "photo_empty": plant("photo_empty", Label(), picture=b""),
    "photo_truncated": plant("photo_truncated", Label(), picture=HALF),
    "photo_unreadable": plant("photo_unreadable", Label(), picture=b"no picture at all"),
    "photo_too_large": plant("photo_too_large", Label(), picture=promising_png(60_000, 60_000)),
    "photo_too_costly": plant("photo_too_costly", Label(), picture=progressive_jpeg(300, WIDTH, HEIGHT)),
    "photo_missing": plant("photo_missing", Label()),
    "photo_without_label": plant("photo_without_label"),
    "photo_without_usable_label": boxed("photo_without_usable_label", 500, 10, 20, 20),
    "photo_identical_other_drug": all_of(
        plant("photo_identical_other_drug_1", Label(RED), picture=SAME[0]),
        plant("photo_identical_other_drug_2", Label(BLUE), picture=SAME[0]),
    ),
    "photo_identical": all_of(
        plant("photo_identical_1", Label(), picture=SAME[1]), plant("photo_identical_2", Label(), picture=SAME[1])
    ),
    "photo_duplicated": all_of(
        plant("photo_duplicated", Label()), plant("photo_duplicated", Label(), ending=".jpg", picture=SAME[1])
    ),
    "apple_double": plant("._apple_double", picture=b"side file"),
    "label_without_photo": plant("label_without_photo", Label(), picture=None),
    "label_of_quarantined_photo": plant("label_of_quarantined_photo", Label(), picture=b""),
    "k_code_not_in_name": plant(AIHUB_NAME.format(1), Label(BLUE)),
    "bbox_zero_size": boxed("bbox_zero_size", 10, 10, 0, 20),
    "bbox_too_small": boxed("bbox_too_small", 10, 10, 3, 20),
    "bbox_outside": boxed("bbox_outside", WIDTH - 10, 10, 20, 20),
    "bbox_whole_photo": boxed("bbox_whole_photo", 0, 0, WIDTH, HEIGHT),
    "bbox_clipped": boxed("bbox_clipped", WIDTH - 20, 10, 21, 20),
    "bbox_shared": plant("bbox_shared", Label(RED), Label(BLUE)),
    "bbox_ambiguous": plant(AIHUB_NAME.format(2), Label(), Label(box=BOXES[1])),
    "label_duplicated": plant("label_duplicated", Label(), Label(box=(8.3, 12, 31, 24))),
    "class_only_in_test_part": plant("class_only_in_test_part", Label(TESTED), part="test"),
    "class_too_small": plant("class_too_small", Label(RARE)),
    "photo_in_later_source": lambda world: None,  # this and the next two in a second plan
    "class_not_in_stage": lambda world: None,
    "over_budget": lambda world: None,
}
"""Defects that every kind of source with labels can have."""

SOME: dict[str, dict[str, Cell]] = {
    "pill_not_found": {"aihub": BOXED, "yolo": BOXED, "coco": BOXED},
    "several_pills_found": {"aihub": BOXED, "yolo": BOXED, "coco": BOXED},
    "archive_unreadable": {"aihub": lambda world: None, "yolo": FOLDER, "coco": FOLDER},
    "archive_pair_unreadable": {"aihub": lambda world: None, "yolo": FOLDER, "coco": FOLDER},
    "encrypted": {"aihub": lambda world: None, "yolo": FOLDER, "coco": FOLDER},
    "name_repeated": {"aihub": lambda world: None, "yolo": FOLDER, "coco": FOLDER},
    "file_too_large": {
        "aihub": changed("file_too_large", bytes=b" " * (2**20 + 1)),
        "yolo": changed("file_too_large", line=" " * (2**20 + 1)),
        "coco": ONE_FILE,
    },
    "label_unparsable": {
        "aihub": changed("label_unparsable", bytes=b"{not json"),
        "yolo": changed("label_unparsable", line="0 a b c d"),
        "coco": changed("label_unparsable", unparsable=True),
    },
    "class_out_of_range": {
        "aihub": "a label names its drug by K-code: k_code_malformed",
        "yolo": changed("class_out_of_range", line="-1 0.5 0.5 0.2 0.2"),
        "coco": changed("class_out_of_range", category_id=99),
    },
    "label_field_missing": {
        "aihub": changed("label_field_missing", image={"dl_mapping_code": None, "drug_N": None}),
        "yolo": NO_JSON,
        "coco": changed("label_field_missing", without="image_id"),
    },
    "label_of_several_pills": {
        "aihub": changed("label_of_several_pills", annotations=[{}, {}]),
        "yolo": ONE_BOX,
        "coco": ONE_BOX,
    },
    "label_names_other_photo": {
        "aihub": all_of(
            plant("label_names_other_photo"),
            plant("other", Label(), Label(changes={"own_name": "label_names_other_photo"})),
        ),
        "yolo": NO_NAME,
        "coco": NO_NAME,
    },
    "k_code_malformed": {
        "aihub": changed("k_code_malformed", image={"dl_mapping_code": "K-1"}),
        "yolo": NO_CODE,
        "coco": NO_CODE,
    },
    "bbox_missing": {
        "aihub": changed("bbox_missing", bbox=[]),
        "yolo": changed("bbox_missing", line="0"),
        "coco": changed("bbox_missing", bbox=[]),
    },
    "bbox_malformed": {
        "aihub": changed("bbox_malformed", bbox=[1, 2, 3]),
        "yolo": changed("bbox_malformed", line="0 0.5 0.5 0.2"),
        "coco": changed("bbox_malformed", bbox=[1, 2, 3]),
    },
    "class_without_training_pill": dict.fromkeys(
        ("aihub", "yolo", "coco"),
        all_of(
            *(
                plant(f"class_without_training_pill_{part}_{shot}", Label(LOST), part=part)
                for part in ("train", "val")
                for shot in range(6)
            )
        ),
    ),
    "group_held_out": {
        "aihub": all_of(plant(AIHUB_NAME.format(3), Label()), plant(AIHUB_NAME.format(4), Label(), part="test")),
        **dict.fromkeys(
            ("yolo", "coco"),
            all_of(
                plant("group_held_out.rf.1", Label()),
                plant("group_held_out.rf.2", Label(), part="test"),
            ),
        ),
    },
    "index_picture": {
        "aihub": plant("index_picture_index"),
        "yolo": "AIHub's own overviews of its combinations",
        "coco": "AIHub's own overviews of its combinations",
    },
    "photo_of_test_images": {
        "aihub": lambda world: None,
        "yolo": "a folder of the course on AIHub's data",
        "coco": "a folder of the course on AIHub's data",
    },
    "background_labelled": {
        "aihub": NO_BACKGROUND,
        **dict.fromkeys(
            ("yolo", "coco"),
            all_of(
                plant("labelled", Label(), picture=SAME[2]),
                empty("background_labelled", picture=SAME[2]),
            ),
        ),
    },
    "group_on_other_side": {
        "aihub": NO_BACKGROUND,
        **dict.fromkeys(
            ("yolo", "coco"),
            all_of(
                plant("group_on_other_side.rf.1", Label()),
                empty("group_on_other_side.rf.2", part="val"),
            ),
        ),
    },
    "background_over_limit": {
        "aihub": NO_BACKGROUND,
        **dict.fromkeys(
            ("yolo", "coco"),
            all_of(*(empty(f"background_over_limit_{number}", part="test") for number in range(20))),
        ),
    },
    "photo_not_listed": {
        "aihub": "its archives are listed by no file",
        "yolo": "text files in place of folders list photographs for the whole data set; see test_yolo.py",
        "coco": "a photograph that no file names has no label: photo_without_label",
    },
    "label_is_proposal": {
        "aihub": "proposals of the label audit are in its coco.json",
        "yolo": "proposals of the label audit are in its coco.json",
        "coco": changed("label_is_proposal", category_id=5),
    },
    "photo_listed_again": {
        "aihub": "each label is a file of its own",
        "yolo": "a photograph's labels are one file",
        "coco": all_of(
            plant("photo_listed_again", Label()),
            plant("photo_listed_again", Label(BLUE, box=BOXES[1]), picture=None),
        ),
    },
    "label_cp949": {
        "aihub": changed("label_cp949", encoding="cp949"),
        "yolo": "digits are the same bytes in CP949 and UTF-8",
        "coco": ONE_FILE,
    },
    "label_cp1252": {
        "aihub": "its labels are Korean, for which Windows-1252 has no letters",
        "yolo": "digits are the same bytes in Windows-1252 and UTF-8",
        "coco": ONE_FILE,
    },
    "label_utf16": {
        "aihub": changed("label_utf16", encoding="utf-16"),
        "yolo": changed("label_utf16", encoding="utf-16"),
        "coco": ONE_FILE,
    },
    "file_name_missing": {
        "aihub": changed("file_name_missing", image={"file_name": ""}),
        "yolo": NO_NAME,
        "coco": NO_NAME,
    },
    "k_code_normalised": {
        "aihub": changed("k_code_normalised", image={"dl_mapping_code": f" {RED.lower()}\n"}),
        "yolo": NO_CODE,
        "coco": NO_CODE,
    },
    "edi_code_dropped": {
        "aihub": changed("edi_code_dropped", image={"di_edi_code": "643303740, ?"}),
        "yolo": NO_CODE,
        "coco": NO_CODE,
    },
    "text_cleaned": {
        "aihub": changed("text_cleaned", image={"dl_name": "시험\x00정\n"}),
        "yolo": "names belong to the list of classes, not to a label",
        "coco": "names belong to the list of classes, not to a label",
    },
    "iscrowd_ignored": {
        "aihub": changed("iscrowd_ignored", annotations=[{"bbox": list(BOXES[0]), "iscrowd": 58548}]),
        "yolo": NO_JSON,
        "coco": changed("iscrowd_ignored", iscrowd=58548),
    },
    "bbox_from_polygon": {
        "aihub": BOXES_ONLY,
        "yolo": changed("bbox_from_polygon", line="0 0.1 0.1 0.4 0.1 0.4 0.4"),
        "coco": changed("bbox_from_polygon", bbox=[], segmentation=[[10, 10, 40, 10, 40, 40]]),
    },
    "keypoints_ignored": {
        "aihub": BOXES_ONLY,
        "yolo": "`kpt_shape` of data.yaml says so for the whole data set; see test_yolo.py",
        "coco": "an annotation has its keypoints apart from its box",
    },
    "confidence_ignored": {
        "aihub": BOXES_ONLY,
        "yolo": changed("confidence_ignored", line="0 0.5 0.5 0.2 0.2 0.9"),
        "coco": "an annotation's further fields are not looked at",
    },
    "box_scaled": {
        "aihub": changed("box_scaled", bbox=[20, 40, 60, 40], image={"width": 2 * WIDTH, "height": 2 * HEIGHT}),
        "yolo": "the size is the photograph's own: boxes are fractions of it",
        "coco": changed("box_scaled", bbox=[20, 40, 60, 40], image={"width": 2 * WIDTH, "height": 2 * HEIGHT}),
    },
    "box_turned": {
        "aihub": plant("box_turned", Label(changes=ON_ITS_SIDE), picture=SIDEWAYS),
        "yolo": "the size is the photograph's own: boxes are fractions of it",
        "coco": plant("box_turned", Label(changes=ON_ITS_SIDE), picture=SIDEWAYS),
    },
    "size_corrected": {
        "aihub": changed("size_corrected", image={"width": 96}),
        "yolo": "the size is the photograph's own: boxes are fractions of it",
        "coco": changed("size_corrected", image={"width": 96}),
    },
}
"""Defects by kind of source, or why a kind cannot have them."""

IN_FOLDERS = {
    "name_unsafe", "link_outside", "photo_empty", "photo_truncated", "photo_unreadable", "photo_too_large",
    "photo_too_costly", "photo_missing", "photo_without_label", "photo_identical_other_drug", "photo_identical",
    "photo_duplicated", "apple_double", "k_code_not_in_name", "class_only_in_test_part", "class_too_small",
    "photo_in_later_source", "class_not_in_stage", "over_budget", "label_of_quarantined_photo",
}  # fmt: skip
"""Those of them that photographs in folders of classes can have, whose labels are the folders' names."""
NO_LABEL = "a photograph's folder is its label, which has no file and no box"
ZIPS = "zips of such folders are read as well: tests/sources/test_folders.py"
DETECTED = "with whole photographs as boxes: tests/manifest/test_boxes_of_folders.py has those of a detector"
FOLDERS: dict[str, Cell] = {
    **{reason: EVERY[reason] if reason in IN_FOLDERS else NO_LABEL for reason in EVERY},
    **dict.fromkeys(SOME, NO_LABEL),
    **dict.fromkeys(("archive_unreadable", "encrypted", "name_repeated"), ZIPS),
    **dict.fromkeys(("pill_not_found", "several_pills_found"), DETECTED),
    **{reason: SOME[reason]["yolo"] for reason in ("class_without_training_pill", "group_held_out")},
    "photo_without_usable_label": lambda world: None,  # of a class without training pills
}

SHARED_READER = {"synthetic": "aihub"}
"""Kinds that are read by the code of another one."""
REASONS = (*QUARANTINED, *SKIPPED, *REPAIRED)
TOLD = {
    ("coco", "label_unparsable"): "at place",
    ("coco", "label_field_missing"): "image_id",
    ("folders", "photo_without_usable_label"): "class_without_training_pill",
}
"""What tells of a defect where the photograph has not the reason's name."""


def cell(reason: str, kind: str) -> Cell:
    if kind == "folders":
        return FOLDERS[reason]
    return EVERY[reason] if reason in EVERY else SOME[reason][kind]


@pytest.fixture(scope="module", params=WORLDS)
def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, DataRun, pd.DataFrame]:
    """The kind, its run, and everything that was noted with the reason and the names that tell of what."""
    folder, world = tmp_path_factory.mktemp(request.param), WORLDS[request.param]()
    for reason in REASONS:
        if callable(made := cell(reason, request.param)):
            made(world)
    decomposed = unicodedata.normalize("NFD", "알약")
    world.add(decomposed, Label(), named="알약")
    world.add(PAIR, Label(RED), Label(BLUE, box=(20, 12, 31, 24)))
    source = world.write(folder / "raw")
    (link,) = (folder / "raw").rglob("link_outside.png")
    link.unlink()
    link.symlink_to(folder / "outside.png")
    (folder / "outside.png").write_bytes(SAME[0])
    run = index_source(source, folder / "results")
    noted = [*_planned(run, folder / "small")]
    finder = BoxFinder() if request.param == "folders" else None  # whole photographs
    prepare_planned(run, spoil=lambda: _spoil(run, folder / "raw"), box_finder=finder)
    run.build_manifest(LENIENT)
    prepared = [path / "issues.parquet" for path in run.prepared]
    issues = read_tables([*run.issues, *prepared, run.folder / "plan.issues.parquet"], ISSUES)
    listed = run.quarantine().assign(outcome="quarantined")
    skipped = [reason for reasons in (run.summary()["photos"]["skipped"],) for reason in reasons]
    rows = pd.concat([issues, listed, pd.DataFrame({"reason": [*noted, *skipped], "detail": [*noted, *skipped]})])
    return request.param, run, rows.fillna("")


def _planned(run: DataRun, folder: Path) -> dict[str, int]:
    """Plan a stage of two drugs and thirty photographs, of this source and a later one that has the same; returns the
    skipped photographs by reason."""
    folder.mkdir()
    paths = {name: folder / name for name in ("plan", "backgrounds", "issues", "summary", "refused")}
    pills = [run.folder / f"{name}.parquet" for name in run.archives]
    table = read_tables(pills, PILLS)
    write_table(table.assign(image_id="later." + table["image_id"]), folder / "later.parquet", PILLS)
    plan_stage(
        pills=[*pills, folder / "later.parquet"],
        index_backgrounds=[run.folder / f"{name}.backgrounds.parquet" for name in run.archives],
        index_issues=[run.folder / f"{name}.issues.parquet" for name in run.archives],
        **paths,
        stage=Stage(images=30, classes=2),
        settings=Plan(),
        seed=1,
        sources=["first"] * len(pills) + ["later"],
    )
    return read_json(folder / "summary")["skipped"]["photos"]


def _spoil(run: DataRun, root: Path) -> None:
    """After the plan: a photograph goes, and a drug's training photographs are emptied."""
    plan = read_table(run.plan, PLAN)
    trained = plan[(plan["k_code"] == LOST) & (plan["split"] == "train")]
    assert len(trained) >= 2
    for member in trained["member"]:
        (file,) = root.rglob(Path(member).name)
        file.write_bytes(b"")
    (gone,) = root.rglob("photo_missing.png")
    gone.unlink()


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_is_found(found, reason) -> None:
    kind, _, rows = found
    made = cell(reason, kind)
    if isinstance(made, str):
        assert len(made.split()) > 3, "the reason why not"
        assert reason not in set(rows["reason"]), f"{kind} sources have it: plant it in the table"
        return
    about = rows.loc[rows["reason"] == reason, ["archive", "member", "label_member", "detail"]].agg(" ".join, axis=1)
    told = (reason, TOLD.get((kind, reason), reason))
    named = {"k_code_not_in_name": "_75_1_200", "bbox_ambiguous": "_75_2_200"}.get(reason)
    unnamed = {"archive_unreadable", "archive_pair_unreadable", "encrypted", "group_held_out"}
    assert len(about)
    assert reason in unnamed or about.str.contains("|".join([*told, *filter(None, [named])])).any(), about.tolist()


def test_nothing_else_is_found(found) -> None:
    """Photographs without a defect are kept, and the account of all others balances (`build_manifest` checks it)."""
    _, run, _ = found
    kept = set(run.pills()["member"].map(lambda member: Path(member).stem))
    good = {f"good_{drug}_{part}_0" for drug in (RED, BLUE) for part in ("train", "test")}
    assert good <= kept


def test_names_meet_in_any_unicode_form(found) -> None:
    _, run, _ = found
    members = run.pills()["member"].map(lambda member: unicodedata.normalize("NFC", Path(member).stem))
    assert "알약" in set(members)


def test_labels_of_two_drugs_that_overlap_are_kept_and_listed(found) -> None:
    kind, run, _ = found
    listed = read_table(run.folder / "manifest/overlapping_labels.csv", OVERLAPS)
    if kind == "folders":
        assert listed.empty, "a folder labels one pill"
        return
    assert list(listed["member"].map(lambda member: Path(member).stem)) == [PAIR]
    assert {listed["first_k_code"][0], listed["second_k_code"][0]} == {RED, BLUE}
    assert listed["iou"][0] == pytest.approx(19 / 43, abs=1e-4)
    assert run.summary()["overlapping_labels"] == {"pairs": 1, "photos": 1}
    assert set(listed["image_id"]) <= set(run.pills()["image_id"])


@pytest.mark.parametrize("reason", REASONS)
def test_the_table_names_every_reason_for_every_kind(reason) -> None:
    assert (reason in EVERY) != (reason in SOME), "in one of the two tables"
    if reason in SOME:
        assert set(SOME[reason]) | {"folders"} == set(WORLDS)


def test_the_table_has_every_kind() -> None:
    assert {*WORLDS, *SHARED_READER} == set(KINDS)
    for kind, other in SHARED_READER.items():
        assert get_kind(kind).read_labels is get_kind(other).read_labels
