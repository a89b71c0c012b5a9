"""One answer to the front and the back of a pill: in Python and by `pillsnap predict --same-pill`."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from pillsnap.answers.answer import SamePillAnswer
from pillsnap.cli import app
from pillsnap.pictures.decode import PictureError
from pillsnap.predict.model import PillSnap, SamePillError
from pillsnap.predict.open_photo import open_photo
from tests.support.enrolled import edited, one_box, photos
from tests.support.models import onnx_models

FRONT, BACK = (photo.data for photo in photos(2, drug=0))


@pytest.fixture(scope="module")
def models(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that see one pill in each photograph, with thresholds by which an answer may be known."""

    def set_thresholds(facts: dict[str, Any], **pairs: Any) -> None:
        facts["calibration"]["pairs"] |= pairs

    folder = tmp_path_factory.mktemp("models")
    known = {"known_from": 0.0, "known_within": 1e9, "unknown_from": 1e9}
    edited(base, folder / "onnx", lambda _, facts: (facts.update(min_score=1.1), set_thresholds(facts, **known)))
    return folder / "onnx"


@pytest.fixture(scope="module")
def old_models(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models as an older version exported them."""

    def without_pairs(_: Any, facts: dict[str, Any]) -> None:
        del facts["calibration"]["pairs"]
        facts["min_score"] = 1.1

    return edited(base, tmp_path_factory.mktemp("old") / "onnx", without_pairs)


@pytest.fixture
def sides(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "front.jpg", tmp_path / "back.jpg"]
    for path, data in zip(paths, (FRONT, BACK), strict=True):
        path.write_bytes(data)
    return paths


@pytest.mark.parametrize("mode", ["Combo", "COMBO", "", "both", None])
@pytest.mark.parametrize("number", [1, 2])
def test_a_mode_that_is_none_is_refused(models: Path, number: int, mode: Any) -> None:
    """By Python as by the command and the service: it would be answered by a mixture of both modes' rules."""
    photo = FRONT if number == 1 else [FRONT, BACK]
    with pytest.raises(ValueError, match="mode"):
        PillSnap.load(models, device="cpu").identify(photo, mode)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_of_any_kind_are_one_photograph(models: Path, kind: type) -> None:
    snap = PillSnap.load(models, device="cpu")
    assert snap.identify(kind(FRONT)) == snap.identify(FRONT)
    assert snap.identify([kind(FRONT), kind(BACK)]) == snap.identify([FRONT, BACK])


def predict(*words: object) -> Result:
    return CliRunner().invoke(app, ["predict", "--same-pill", *map(str, words)], env={"COLUMNS": "200"})


def test_the_answer_joins_both_photographs(models: Path, sides: list[Path]) -> None:
    """The product of their probabilities, with the temperature of pairs; in either order."""
    snap = PillSnap.load(models, threads=1, device="cpu")
    answer = snap.identify(sides)
    assert isinstance(answer, SamePillAnswer) and answer.calibrated
    (pill,), alone = answer.pills, [snap.identify(side) for side in sides]
    seen = [
        snap.look_at_one(open_photo(data, snap.facts))["all_probabilities"][0].astype(float) for data in (FRONT, BACK)
    ]
    joined = (seen[0] * seen[1]) ** (1 / snap.calibration.pairs.temperature)
    ranked = np.argsort(-joined)
    assert [one.k_code for one in pill.candidates] == [snap.classes[index].k_code for index in ranked]
    assert [one.confidence for one in pill.candidates] == pytest.approx((joined / joined.sum())[ranked])
    assert pill.verdict == "known"
    assert [(view.width, view.height, view.box, view.score) for view in answer.photos] == [
        (one.width, one.height, one.pills[0].box, one.pills[0].score) for one in alone
    ]
    assert (pill.box, pill.score) == (alone[0].pills[0].box, alone[0].pills[0].score)
    turned = snap.identify(sides[::-1])
    assert turned.photos == answer.photos[::-1]
    assert [one.k_code for one in turned.pills[0].candidates] == [one.k_code for one in pill.candidates]


@pytest.mark.parametrize(
    ("given", "mode", "facts", "reason", "says"),
    [
        ([FRONT], "single", {}, "not_two_photos", "1 photographs, mode single: answers together are for two"),
        ([FRONT] * 3, "single", {}, "not_two_photos", "3 photographs"),
        ([FRONT, BACK], "combo", {}, "not_two_photos", "mode combo"),
        ([FRONT, FRONT], "single", {}, "same_photo", "photograph 2: is the same photograph as the first"),
        ([FRONT, BACK], "single", {"min_score": 0.01}, "not_one_pill", r"photograph 1: shows \d+ pills"),
        ([FRONT, BACK], "single", {"min_score_single": 1.1}, "not_one_pill", "photograph 1: no pill was found"),
    ],
)
def test_what_cannot_be_answered_together(
    base: Path, tmp_path: Path, given: list[bytes], mode: Any, facts: dict[str, Any], reason: str, says: str
) -> None:
    snap = PillSnap.load(one_box(base, tmp_path / "onnx", **facts), threads=1, device="cpu")
    with pytest.raises(SamePillError, match=says) as raised:
        snap.identify(given, mode)
    assert raised.value.reason == reason


def test_a_damaged_photograph_is_named_by_its_place(models: Path) -> None:
    with pytest.raises(PictureError, match="photo_truncated: photograph 2"):
        PillSnap.load(models, threads=1, device="cpu").identify([FRONT, BACK[:-300]])


def test_models_of_an_older_version_say_that_nothing_is_promised(old_models: Path, sides: list[Path]) -> None:
    snap = PillSnap.load(old_models, threads=1, device="cpu")
    answer = snap.identify(sides)
    assert (answer.calibrated, snap.info.pair_precision) == (False, None)
    assert answer.pills[0].verdict in ("uncertain", "unknown")
    done = predict(*sides, "--models", old_models, "--json")
    assert (done.exit_code, json.loads(done.stdout)["calibrated"]) == (0, False)
    assert "holds no calibration for two photographs of one pill: no such answer is known" in done.stderr


def test_models_without_a_promise_say_so(base: Path) -> None:
    """The tiny validation is too small to promise that answers to pairs are right."""
    snap = PillSnap.load(onnx_models(base), threads=1, device="cpu")
    assert snap.calibration.pairs is not None and snap.info.pair_precision is None


def test_enrolled_drugs_take_part(models: Path, tmp_path: Path, sides: list[Path]) -> None:
    """One that was enrolled from both photographs is nearer than every trained drug, and is never known."""
    from pillsnap.enrol.enrol import Photo, enrol

    both = [Photo("1.jpg", FRONT), Photo("2.jpg", BACK)]
    enrol(models, both, k_code="K-012345", name="사아정", out=tmp_path / "new", force=True, threads=1, device="cpu")
    answer = PillSnap.load(tmp_path / "new", threads=1, device="cpu").identify(sides)
    (pill,), agree = answer.pills, answer.agree
    assert (pill.verdict, pill.candidates[0].k_code, pill.candidates[0].confidence) == ("uncertain", "K-012345", None)
    assert agree is None, "what trained drugs it looks like says nothing of it"


@pytest.mark.parametrize(
    ("thresholds", "verdict", "agree"),
    [
        ({"agree_from": 0.0}, "known", True),
        ({"agree_from": 1.1}, "uncertain", False),
        ({"agree_from": 1.1, "unknown_from": 0.0}, "unknown", False),
        ({"agree_from": 1.1, "alone": 0.0}, "uncertain", None),
        ({"agree_from": None}, "known", None),
    ],
    ids=["they agree", "they do not", "together unknown", "each alone unknown", "models of an earlier version"],
)
def test_two_pills_are_told_and_never_known(
    base: Path, tmp_path: Path, sides: list[Path], thresholds: dict[str, Any], verdict: str, agree: bool | None
) -> None:
    thresholds = dict(thresholds)
    alone = thresholds.pop("alone", 1e9)

    def change(_: Any, facts: dict[str, Any]) -> None:
        facts["min_score"] = 1.1
        known = {"known_from": 0.0, "known_within": 1e9, "unknown_from": 2e9}
        facts["calibration"]["pairs"] |= known | thresholds
        facts["calibration"]["unknown_from"] = alone

    models = edited(base, tmp_path / "onnx", change)
    said = json.loads(predict(*sides, "--models", models, "--json").stdout)
    assert (said["pills"][0]["verdict"], said["agree"]) == (verdict, agree)
    (row,) = csv.DictReader(predict(*sides, "--models", models, "--format", "csv").stdout.splitlines())
    assert row["agree"] == {True: "true", False: "false", None: ""}[agree]
    table = " ".join(predict(*sides, "--models", models).stdout.split())
    assert ("The two photographs may show two pills" in table) == (agree is False)


def test_every_format_names_both_photographs(models: Path, sides: list[Path]) -> None:
    front, back = map(str, sides)
    said = json.loads(predict(*sides, "--models", models, "--json").stdout)
    assert (said["photo"], [view["photo"] for view in said["photos"]]) == (front, [front, back])
    assert len(said["pills"]) == 1
    assert json.loads(predict(*sides, "--models", models, "--format", "jsonl").stdout) == said
    (row,) = csv.DictReader(predict(*sides, "--models", models, "--format", "csv").stdout.splitlines())
    assert (row["\ufeffphoto"], row["verdict"]) == (f"{front} + {back}", "known")
    table = predict(*sides, "--models", models).stdout
    assert "back.jpg" in "".join(table.split()), "a long path may be broken anywhere"


def test_annotated_pictures_are_those_of_both_photographs(models: Path, sides: list[Path], tmp_path: Path) -> None:
    assert predict(*sides, "--models", models, "--annotated", tmp_path / "drawn").exit_code == 0
    for side in sides:
        with Image.open(tmp_path / "drawn" / f"{side.name}.jpg") as drawn, Image.open(side) as photo:
            assert drawn.size == photo.size
            changed = np.abs(np.asarray(drawn, int) - np.asarray(photo, int)).max(axis=2) > 100
            assert changed.sum() > 100, "a box is drawn"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["front"], "--same-pill takes two photographs of one pill, its front and its back; given: 1, each path once."),
        (["front", "front"], "its front and its back; given: 1, each path once."),
        (["front", "back", "--mode", "combo"], "--same-pill --mode combo: each of its photographs shows one pill"),
        (["front", "back", "--format", "submission"], "--same-pill --format submission: that table has a row"),
        (["front", "copy"], "copy.jpg: is the same photograph as the first. Turn the pill over."),
        (["empty", "missing"], "empty.jpg: no usable photograph (photo_empty"),
        (["front", "missing"], "missing.jpg: No such file"),
    ],
)
def test_what_is_wrong_is_said(models: Path, sides: list[Path], tmp_path: Path, words: list[str], says: str) -> None:
    """Exit status 2, clear lines on standard error, and no answer."""
    (tmp_path / "copy.jpg").write_bytes(FRONT)
    (tmp_path / "empty.jpg").write_bytes(b"")
    names = ("front", "back", "copy", "empty", "missing")
    done = predict(*(tmp_path / f"{word}.jpg" if word in names else word for word in words), "--models", models)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in " ".join(done.stderr.split())


def test_problems_are_json_too(models: Path, sides: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    one = json.loads(predict(sides[0], tmp_path / "empty.jpg", "--models", models, "--json").stdout)
    assert (one["photo"], one["error"]["reason"]) == (str(tmp_path / "empty.jpg"), "photo_empty")
    two = json.loads(predict(tmp_path / "gone.jpg", tmp_path / "empty.jpg", "--models", models, "--json").stdout)
    assert [each["error"]["reason"] for each in two] == ["photo_missing", "photo_empty"]
