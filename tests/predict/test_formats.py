"""Answers as tables, JSON, JSON lines and CSV, and drawn into photographs."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillsnap.answers.answer import Answer, Candidate, Pill, Verdict
from pillsnap.pictures.decode import decode_photo
from pillsnap.predict.annotate import TargetError, picture_paths, write_answer_picture
from pillsnap.predict.formats import CSV_COLUMNS, no_formula, writer_of
from pillsnap.predict.photo_paths import Photo, Problem
from pillsnap.predict.stream import Answered, Outcome, Unusable
from tests.support.odd_pictures import ODD_PICTURES

DRUGS = tuple(Candidate(f"K-00000{n}", (f"64330374{n}",) * (n % 3), f"약{n}정", 0.5**n) for n in range(1, 9))


def pill(verdict: Verdict, possible: int = 1) -> Pill:
    return Pill((1.5, 2.0, 30.25, 20.0), 0.875, verdict, DRUGS[:5], DRUGS[:possible])


def outcome(name: str, *pills: Pill) -> Outcome:
    return Answered(Photo(name), Answer("combo", 60, 40, pills), np.zeros((40, 60, 3), np.uint8))


ANSWERED = outcome("b.jpg", pill("known"), pill("uncertain", 7), pill("unknown", 0))
EMPTY = outcome("=cmd|'!A1.jpg")
UNUSABLE = Unusable(Photo("c.jpg"), Problem("photo_empty", "no usable photograph. Take it again."))
ALL = (ANSWERED, EMPTY, UNUSABLE)


def written(name: str, *outcomes: Outcome, one: bool = False) -> str:
    stream = io.StringIO()
    writer = writer_of(name, stream, one=one)
    for each in outcomes:
        writer.write(each)
    writer.end()
    return stream.getvalue()


def test_json_is_an_object_for_one_and_a_list_for_several() -> None:
    alone = json.loads(written("json", ANSWERED, one=True))
    several = json.loads(written("json", *ALL))
    assert several[0] == alone
    assert [one["photo"] for one in several] == ["b.jpg", "=cmd|'!A1.jpg", "c.jpg"]
    assert (alone["pills"][1]["verdict"], len(alone["pills"][1]["prediction_set"])) == ("uncertain", 7)
    assert several[1]["pills"] == []
    assert several[2] == {
        "photo": "c.jpg",
        "error": {"reason": "photo_empty", "message": "no usable photograph. Take it again."},
    }


def test_json_lines_are_the_same_objects() -> None:
    lines = written("jsonl", *ALL).splitlines()
    assert [json.loads(line) for line in lines] == json.loads(written("json", *ALL))


def test_csv_has_a_row_a_pill_and_loses_no_photograph() -> None:
    text = written("csv", *ALL)
    assert text.startswith("\ufeffphoto,")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert list(rows[0]) == list(CSV_COLUMNS)
    assert [(row["photo"], row["pill"], row["verdict"]) for row in rows] == [
        ("b.jpg", "1", "known"),
        ("b.jpg", "2", "uncertain"),
        ("b.jpg", "3", "unknown"),
        ("'=cmd|'!A1.jpg", "", ""),
        ("c.jpg", "", ""),
    ]
    known, uncertain, unknown, empty, unusable = rows
    assert (known["k_code"], known["prediction_set"], known["confidence"]) == ("K-000001", "K-000001", "0.5")
    assert (known["x"], known["w"], known["score"]) == ("1.5", "30.25", "0.875")
    assert uncertain["prediction_set"].split(",") == [drug.k_code for drug in DRUGS[:7]]
    assert (unknown["k_code"], unknown["name"], unknown["looks_like"]) == ("", "", "K-000001")
    assert (empty["width"], empty["height"], empty["error"]) == ("60", "40", "")
    assert unusable["error"] == "photo_empty: no usable photograph. Take it again."


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert no_formula(f"{start}1+1") == f"'{start}1+1"
    assert (no_formula(-1.5), no_formula("약=1"), no_formula("")) == (-1.5, "약=1", "")


def test_table_has_the_verdict_and_what_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = [line.split("│") for line in written("table", *ALL).splitlines()]
    rows = [[cell.strip() for cell in cells[1:-1]] for cells in lines if len(cells) > 2]
    assert rows[0] == ["1", "known", "K-000001", "643303741", "약1정", "50.0%"]
    assert [row[:3] for row in rows[1:6]] == [
        ["2", "uncertain", "K-000001"], *(["", "or", f"K-00000{n}"] for n in (2, 3, 4, 5))
    ]  # fmt: skip
    assert rows[6] == ["", "or", "", "", "one of 2 more", ""]
    assert rows[7] == ["3", "unknown", "-", "-", "looks most like K-000001 약1정", "-"]
    assert len(rows) == 8
    assert "=cmd|'!A1.jpg: no pill was found\n" in written("table", *ALL)
    assert "c.jpg" not in written("table", *ALL)


def test_names_do_not_steer_the_terminal() -> None:
    text = written(
        "table", replace(ANSWERED, photo=Photo("[red]\x1b[31m:pill:.jpg")), replace(EMPTY, photo=Photo("\a"))
    )
    assert "\x1b" not in text and "\a" not in text
    assert "[red]�[31m:pill:.jpg" in text


@pytest.mark.parametrize(
    ("target", "names", "paths"),
    [
        ("out.png", ["a.webp"], ["out.png"]),
        ("out", ["a.webp"], ["out/a.webp.jpg"]),
        (
            "out", ["x/a.jpg", "y/a.jpg", "x/a.png", "-"],
            ["out/x/a.jpg.jpg", "out/y/a.jpg.jpg", "out/x/a.png.jpg", "out/stdin.jpg"],
        ),
        ("out", ["x/../y/a.jpg", "b.jpg"], ["out/y/a.jpg.jpg", "out/b.jpg.jpg"]),
        ("out", ["../a.jpg", "x/a.jpg"], None),
        ("out.jpg", ["-"], ["out.jpg"]),
    ],
)  # fmt: skip
def test_each_photograph_has_a_picture_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, names: list[str], paths: list[str] | None
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = [Photo(name) for name in names]
    found = picture_paths(Path(target), photos)
    assert len({path.absolute() for path in found.values()}) == len(names)
    assert paths is None or [found[photo.path] for photo in photos] == [Path(path) for path in paths]
    for path in found.values():
        assert path.resolve().is_relative_to(tmp_path / target)


@pytest.mark.parametrize(
    ("target", "names", "said"),
    [
        ("out.gif", ["a.jpg"], "must be one of .jpg, .jpeg, .png, or none: a folder"),
        ("out.jpg", ["a.jpg", "b.jpg"], "2 photographs need a folder"),
        ("a.jpg", ["a.jpg"], "a.jpg is one of the photographs"),
        (".", ["a.jpg", "a.jpg.jpg"], "a.jpg.jpg is one of the photographs"),
        ("out", ["stdin", "-"], "standard input and a photograph named stdin"),
    ],
)
def test_no_picture_overwrites_another_or_a_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, names: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError, match=said):
        picture_paths(Path(target), [Photo(name) for name in names])


@pytest.mark.parametrize(
    "name", ["JPEG of 1 x 1 pixels", "JPEG of 1 x 30000 pixels", "PNG of 30000 x 1 pixels", "noise"]
)
def test_answers_are_drawn_into_any_photograph(tmp_path: Path, name: str) -> None:
    picture = decode_photo(next(odd for odd in ODD_PICTURES if odd.name == name).data)
    height, width = picture.shape[:2]
    box = (0.0, 0.0, float(width), float(height))
    pills = tuple(replace(pill(verdict), box=box) for verdict in ("known", "uncertain", "unknown"))
    write_answer_picture(picture, Answer("combo", width, height, pills), tmp_path / "sub" / "drawn.png")
    with Image.open(tmp_path / "sub" / "drawn.png") as drawn:
        assert drawn.size == (width, height)
        assert not np.array_equal(np.asarray(drawn), picture)
