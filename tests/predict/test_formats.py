"""Answers as tables, JSON, JSON lines and CSV, and drawn into photographs."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillsnap.answers.answer import Answer, Candidate, Pill, Reading, SamePillAnswer, Verdict, View
from pillsnap.pictures.decode import decode_photo
from pillsnap.predict.annotate import TargetError, picture_paths, write_answer_picture
from pillsnap.predict.formats import CSV_COLUMNS, no_formula, read_words, writer_of
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
    rows = cells(written("table", *ALL))
    assert rows[0] == ["1", "known", "K-000001", "643303741", "약1정", "50.0%"]
    assert [row[:3] for row in rows[1:6]] == [
        ["2", "uncertain", "K-000001"], *(["", "or", f"K-00000{n}"] for n in (2, 3, 4, 5))
    ]  # fmt: skip
    assert rows[6] == ["", "or", "", "", "one of 2 more", ""]
    assert rows[7] == ["3", "unknown", "-", "-", "looks most like K-000001 약1정", "-"]
    assert len(rows) == 8
    assert "=cmd|'!A1.jpg: no pill was found\n" in written("table", *ALL)
    assert "c.jpg" not in written("table", *ALL)


SURE = Reading("IDG2", 0.9, "IDG2", "round", 0.97, ("white",), 0.95, False)


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (SURE, "white, round, IDG2"),
        (replace(SURE, colours=("red", "white")), "red, white, round, IDG2"),
        (replace(SURE, imprint="", characters=""), "white, round, no imprint"),
        (replace(SURE, imprint_confidence=0.49, characters="IG"), "white, round, imprint with I, G"),
        (replace(SURE, imprint_confidence=0.49, characters=""), "white, round"),
        (replace(SURE, shape_confidence=0.49), "white, IDG2"),
        (replace(SURE, colours_confidence=0.49), "round, IDG2"),
        (replace(SURE, imprint_confidence=0.5, shape_confidence=0.5, colours_confidence=0.5), "white, round, IDG2"),
        (Reading("IDG2", 0.1, "", "round", 0.2, ("white",), 0.3, False), "nothing for sure"),
    ],
)
def test_what_was_read_in_words(reading: Reading, words: str) -> None:
    assert read_words(reading) == words


def cells(text: str) -> list[list[str]]:
    """Cells of the rows of a table, without its head."""
    lines = [line.split("│") for line in text.splitlines()]
    return [[cell.strip() for cell in cells[1:-1]] for cells in lines if len(cells) > 2]


def both_sides(pill: Pill, *readings: Reading | None) -> Outcome:
    views = tuple(View(60, 40, pill.box, 0.9, reading) for reading in readings)
    together = SamePillAnswer("single", 60, 40, (pill,), views, True, True)
    return replace(ANSWERED, answer=together, second=(Photo("back.jpg"), ANSWERED.decoded))


@pytest.mark.parametrize(
    ("answered", "last"),
    [
        (outcome("a.jpg", replace(pill("known"), reading=SURE)), ["white, round, IDG2"]),
        (
            outcome("a.jpg", replace(pill("uncertain", 2), reading=replace(SURE, contradicts=True)), pill("known")),
            ["white, round, IDG2; the imprint contradicts it", "", ""],
        ),
        (
            outcome("a.jpg", replace(pill("unknown", 0), reading=replace(SURE, contradicts=True))),
            ["white, round, IDG2"],
        ),
        (both_sides(pill("known"), SURE, replace(SURE, imprint="")), ["white, round, IDG2 / white, round, no imprint"]),
        (
            both_sides(pill("uncertain"), replace(SURE, contradicts=True), replace(SURE, imprint="5")),
            ["white, round, IDG2 / white, round, 5; the imprint contradicts it"],
        ),
    ],
)
def test_table_shows_what_was_read_once_a_pill(
    monkeypatch: pytest.MonkeyPatch, answered: Outcome, last: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = written("table", answered)
    assert "┃ read" in text
    assert [row[-1] for row in cells(text)] == last
    assert all(len(row) == 7 for row in cells(text))


@pytest.mark.parametrize("answered", [ANSWERED, both_sides(pill("known"), None, None)])
def test_without_a_reader_nothing_is_read(monkeypatch: pytest.MonkeyPatch, answered: Outcome) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert all(len(row) == 6 for row in cells(written("table", answered)))
    (row, *_) = csv.DictReader(io.StringIO(written("csv", answered).removeprefix("\ufeff")))
    assert [row[name] for name in READ_COLUMNS] == [""] * 4
    assert json.loads(written("json", answered, one=True))["pills"][0]["reading"] is None


READ_COLUMNS = ("imprint", "imprint_confidence", "shape", "colours")


@pytest.mark.parametrize(
    ("answered", "row"),
    [
        (
            outcome("a.jpg", replace(pill("known"), reading=replace(SURE, colours=("red", "white")))),
            ["IDG2", "0.9", "round", "red,white"],
        ),
        (
            outcome(
                "a.jpg",
                replace(pill("unknown", 0), reading=replace(SURE, imprint_confidence=0.1, shape_confidence=0.1)),
            ),
            ["IDG2", "0.1", "", "white"],
        ),
        (
            both_sides(
                pill("known"), SURE, replace(SURE, imprint="5", imprint_confidence=0.75, colours_confidence=0.1)
            ),
            ["IDG2 + 5", "0.9 + 0.75", "round + round", "white + "],
        ),
    ],
)
def test_csv_has_what_was_read(answered: Outcome, row: list[str]) -> None:
    (found,) = csv.DictReader(io.StringIO(written("csv", answered).removeprefix("\ufeff")))
    assert [found[name] for name in READ_COLUMNS] == row


def test_json_has_each_reading() -> None:
    found = json.loads(written("jsonl", outcome("a.jpg", replace(pill("known"), reading=SURE))))["pills"][0]["reading"]
    assert Reading(**found | {"colours": tuple(found["colours"])}) == SURE
    photos = json.loads(written("jsonl", both_sides(pill("known"), SURE, None)))["photos"]
    assert [one["reading"] and one["reading"]["imprint"] for one in photos] == ["IDG2", None]


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
