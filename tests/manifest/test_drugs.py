"""What tells drugs apart: out of the labels into one table, the value of most of them, and safe to open."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from pillsnap.manifest.drugs import drug_table
from pillsnap.sources.aihub_json import parse_label
from pillsnap.sources.synthetic.catalogue import make_catalogue
from pillsnap.sources.synthetic.make_synthetic_archive import label_json
from pillsnap.sources.synthetic.scene import HEIGHT, WIDTH, Shot
from pillsnap.tables.classes import DrugClass
from pillsnap.tables.files import read_table, write_table
from pillsnap.tables.schemas import DRUGS, LOOKS
from tests.support import archives
from tests.support.archives import hand_made, prepare_source
from tests.support.dataset_runs import yolo_run

LOOK = {
    "form_code_name": "필름코팅정",
    "drug_shape": "원형",
    "color_class1": "하양",
    "color_class2": None,
    "print_front": "AB12",
    "print_back": "분할선",
}


def look_of(**image: object) -> tuple[str, ...]:
    facts = {"dl_mapping_code": "K-000001", **image}
    return parse_label(json.dumps({"images": [facts], "annotations": [{}]}).encode()).look()


@pytest.mark.parametrize(
    ("image", "look"),
    [
        (LOOK, ("필름코팅정", "원형", "하양", "AB12", "분할선")),
        (
            {"color_class1": "하양, 노랑", "color_class2": "노랑,파랑"},
            ("", "", "하양,노랑,파랑", "", ""),
        ),
        ({}, ("", "", "", "", "")),
        (dict.fromkeys(LOOK, None), ("", "", "", "", "")),
        (dict.fromkeys(LOOK, "None"), ("", "", "", "", "")),
        (LOOK | {"print_front": 12, "drug_shape": ["원형"]}, ("필름코팅정", "", "하양", "", "분할선")),
        (LOOK | {"print_front": " A\n1 "}, ("필름코팅정", "원형", "하양", "A 1", "분할선")),
    ],
)
def test_look_of_a_label(image: dict, look: tuple[str, ...]) -> None:
    assert look_of(**image) == look


def test_a_text_of_any_length_stays_short() -> None:
    assert look_of(print_front="A" * 10**6)[3] == "A" * 80


def test_a_table_of_hand_made_archives(tmp_path: Path) -> None:
    """K-000002 is told apart by most of its labels, K-000003 by none."""
    raw = hand_made()
    for archive, labels in raw.labels.items():
        for number, (name, data) in enumerate(sorted(labels.items())):
            value = json.loads(data)
            code = value["images"][0]["dl_mapping_code"]
            if code != "K-000003":
                value["images"][0] |= LOOK | {"print_front": "CD34" if code == "K-000002" and number % 4 else "AB12"}
            raw.labels[archive][name] = json.dumps(value).encode()
    run = prepare_source(raw.write(tmp_path / "raw"), tmp_path / "results")
    run.build_manifest()
    drugs, kept = read_table(run.folder / "manifest/drugs.csv", DRUGS), run.pills()
    assert list(drugs["k_code"]) == list(archives.DRUGS)
    assert list(drugs["class_index"]) == [0, 1, 2]
    assert list(drugs["imprint_front"]) == ["AB12", "CD34", ""]
    assert list(drugs["shape"]) == ["원형", "원형", ""]
    for split in ("train", "val", "test"):
        counted = kept[kept["split"] == split].groupby("k_code").size()
        assert list(drugs[f"{split}_pills"]) == [counted.get(code, 0) for code in archives.DRUGS]


def test_a_yolo_set_says_nothing_of_its_drugs(tmp_path: Path) -> None:
    run = yolo_run(tmp_path)
    run.build_manifest()
    drugs = read_table(run.folder / "manifest/drugs.csv", DRUGS)
    assert list(drugs["drug_name"]) == ["blue", "red"]
    assert set(drugs[["form", "shape", "colours", "imprint_front", "imprint_back"]].to_numpy().ravel()) == {""}


def looks(*rows: tuple[object, ...]) -> pd.DataFrame:
    return LOOKS.validate(pd.DataFrame(rows, columns=list(LOOKS.columns)))


KEPT = pd.DataFrame({"k_code": ["K-1", "K-1", "K-2"], "split": ["train", "test", "train"]})
CLASSES = [DrugClass(0, "K-1", ("643303740", "A01200351"), "하나"), DrugClass(1, "K-2", (), "")]


def test_each_value_is_that_of_most_labels_and_missing_ones_do_not_count() -> None:
    said = looks(
        ("K-1", "정", "원형", "", "AB", "", 5),
        ("K-1", "", "타원형", "하양", "AB", "", 6),
        ("K-1", "정", "", "", "CD", "", 9),
        ("K-2", "정", "원형", "노랑", "B", "", 1),
        ("K-2", "정", "원형", "노랑", "A", "", 1),
        ("K-9", "정", "원형", "노랑", "none of the classes", "", 1),
    )
    found = drug_table(CLASSES, KEPT, said).set_index("k_code")
    assert found.loc["K-1", ["form", "shape", "colours", "imprint_front"]].to_list() == ["정", "타원형", "하양", "AB"]
    assert found.loc["K-2", "imprint_front"] == "A", "the first by name where two tie"
    assert found.loc["K-1", ["train_pills", "val_pills", "test_pills"]].to_list() == [1, 0, 1]
    assert found.loc["K-1", "edi_codes"] == "643303740,A01200351"


@pytest.mark.parametrize("text", ["=1+1", "+A", "-", "@x", "'=A", "''-", "A=1", "'A", "분할선", '"=1",2', "a,b\u2028c"])
def test_no_cell_is_a_formula_and_every_text_comes_back(tmp_path: Path, text: str) -> None:
    table = drug_table([DrugClass(0, "K-1", (), text)], KEPT[:1], looks(("K-1", "", "", "", text, "", 1)))
    write_table(table, tmp_path / "drugs.csv", DRUGS)
    with (tmp_path / "drugs.csv").open(encoding="utf-8-sig", newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert not row["imprint_front"].startswith(("=", "+", "-", "@"))
    assert not row["drug_name"].startswith(("=", "+", "-", "@"))
    back = read_table(tmp_path / "drugs.csv", DRUGS)
    assert (back.loc[0, "imprint_front"], back.loc[0, "drug_name"]) == (text, text)


def test_synthetic_labels_tell_what_was_drawn() -> None:
    drug = make_catalogue(drugs=5, seed=576)[2]
    value = label_json(drug, 0, "K", Shot(0, 0, 75, 0), [1, 2, WIDTH // 2, HEIGHT // 2])
    form, shape, colours, front, _ = parse_label(json.dumps(value).encode()).look()
    assert (form, shape, front) == (drug.form_code_name, drug.drug_shape, drug.print_front)
    assert colours.split(",")[0] == drug.color_class1
