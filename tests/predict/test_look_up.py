"""What was read of unknown pills, looked up in a catalogue: the query, and where the rows are written."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pillsnap.answers.answer import Answer, Candidate, Pill, Reading, SamePillAnswer, Verdict, View
from pillsnap.catalogue.search import NOTICE, Catalogue, LookUp
from pillsnap.cli import app
from pillsnap.predict.formats import writer_of
from pillsnap.predict.look_up import looked_up, query_of
from pillsnap.predict.photo_paths import Photo, Problem
from pillsnap.predict.stream import Answered, Outcome, Unusable
from tests.support.catalogues import opened_catalogue

BOX = (1.0, 2.0, 30.0, 20.0)
DRUG = Candidate("K-000001", (), "가나정", 0.5)
GN = Reading("GN", 0.9, "GN", "round", 0.97, ("white",), 0.95, False)
BACK = replace(GN, imprint="5", shape="oval", shape_confidence=0.6, colours=("grey",), colours_confidence=0.6)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return opened_catalogue(tmp_path_factory.mktemp("catalogue"))


@pytest.mark.parametrize(
    ("readings", "query"),
    [
        ([GN], LookUp("GN", ("white",), "round")),
        ([replace(GN, imprint_confidence=0.49)], LookUp("", ("white",), "round")),
        ([replace(GN, shape_confidence=0.49)], LookUp("GN", ("white",))),
        ([replace(GN, colours_confidence=0.49)], LookUp("GN", (), "round")),
        ([Reading("GN", 0.5, "", "round", 0.5, ("white",), 0.5, False)], LookUp("GN", ("white",), "round")),
        ([replace(GN, colours=("red", "white", "blue"))], LookUp("GN", ("red", "white"), "round")),
        ([GN, BACK], LookUp("GN5", ("white",), "round")),
        ([BACK, GN], LookUp("5GN", ("white",), "round")),
        ([replace(GN, imprint="", shape_confidence=0.1, colours_confidence=0.1)], None),
        ([Reading("GN", 0.1, "G", "round", 0.1, ("white",), 0.1, False)], None),
        ([], None),
    ],
)  # fmt: skip
def test_only_what_is_sure_is_looked_up(readings: Sequence[Reading], query: LookUp | None) -> None:
    assert query_of(readings) == query


def outcome(*pills: tuple[Verdict, Reading | None]) -> Outcome:
    found = tuple(
        Pill(BOX, 0.9, verdict, (DRUG,), () if verdict == "unknown" else (DRUG,), reading) for verdict, reading in pills
    )
    return Answered(Photo("a.jpg"), Answer("combo", 60, 40, found), np.zeros((40, 60, 3), np.uint8))


def written(name: str, each: Outcome) -> str:
    stream = io.StringIO()
    writer = writer_of(name, stream, one=True)
    writer.write(each)
    writer.end()
    return stream.getvalue()


ALL = outcome(
    ("known", GN), ("uncertain", GN), ("unknown", GN), ("unknown", None), ("unknown", replace(GN, imprint="QQ"))
)


def test_json_lists_what_looks_like_each_unknown_pill(catalogue: Catalogue) -> None:
    pills = json.loads(written("json", looked_up(ALL, catalogue)))["pills"]
    assert ["look_up" in pill for pill in pills] == [False, False, True, False, True]
    found = pills[2]["look_up"]
    assert (found["notice"], found["read"]["imprint"], found["read"]["shape"]) == (NOTICE, "GN", "round")
    assert [each["drug"]["name"] for each in found["alike"]] == ["가나정 5mg"]
    assert pills[4]["look_up"]["alike"] == []
    assert pills[2]["candidates"][0]["name"] == "가나정" and pills[2]["prediction_set"] == [], "no answer came of it"


def test_the_table_lists_it_beneath(monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = written("table", looked_up(ALL, catalogue))
    beneath = text[text.rindex("└") :]
    assert f"pill 3 is not recognised. {NOTICE}" in beneath and "가나정 5mg" in beneath and "GN / 5" in beneath
    assert "pill 5 is not recognised, and no drug of the catalogue looks like it." in beneath
    assert "pill 4" not in beneath
    assert written("table", ALL) == text[: text.index("pill 3 is")], "nothing else changes"


def test_both_sides_are_looked_up_together(catalogue: Catalogue) -> None:
    pill = Pill(BOX, 0.9, "unknown", (DRUG,), ())
    views = (View(60, 40, BOX, 0.9, GN), View(60, 40, BOX, 0.9, BACK))
    both = replace(outcome(), answer=SamePillAnswer("single", 60, 40, (pill,), views, True, True))
    found = looked_up(both, catalogue)
    assert isinstance(found, Answered)
    assert found.look_ups[0].read.imprint == "GN5" and found.look_ups[0].alike[0].drug.name == "가나정 5mg"


def test_a_photograph_that_cannot_be_used_stays_so(catalogue: Catalogue) -> None:
    unusable = Unusable(Photo("c.jpg"), Problem("photo_empty", "no usable photograph."))
    assert looked_up(unusable, catalogue) is unusable


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--catalogue", "none.sqlite"], "none.sqlite: there is no such file"),
        (["--catalogue", "none.sqlite", "--format", "csv"], "--catalogue --format csv: that table has no place"),
        (["--catalogue", "none.sqlite", "--format", "submission"], "--catalogue --format submission: that table has"),
    ],
)
def test_a_catalogue_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").write_bytes(b"any")
    done = CliRunner().invoke(app, ["predict", "a.jpg", *words])
    assert done.exit_code == 2 and says in done.stderr
