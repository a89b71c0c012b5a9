"""The command `pillsnap predict`: what it prints, writes and says when something is wrong."""

import contextlib
import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from pillsnap.cli import app
from pillsnap.predict.model import PillSnap
from pillsnap.predict.photo_paths import Photo
from pillsnap.predict.submission import SubmissionError, check_numbers
from pillsnap.tables.classes import DrugClass
from tests.support.models import DRUGS, draw_photo, onnx_models


@pytest.fixture(scope="module")
def models(base: Path) -> Path:
    return onnx_models(base)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "약 사진.png"
    Image.fromarray(draw_photo([0, 1, 2], seed=5)[0]).save(path)
    return path


def predict(*words: object) -> Result:
    return CliRunner().invoke(app, ["predict", *(str(word) for word in words)], env={"COLUMNS": "200"})


@pytest.mark.parametrize("mode", ["single", "combo"])
def test_json_is_the_answer(photo: Path, models: Path, mode: str) -> None:
    done = predict(photo, "--models", models, "--mode", mode, "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    answer = PillSnap.load(models).identify(photo, mode)
    assert (said["photo"], said["mode"], said["width"], said["height"]) == (str(photo), mode, 96, 128)
    assert [pill["box"] for pill in said["pills"]] == [pytest.approx(pill.box) for pill in answer.pills]
    codes = [[one["k_code"] for one in pill["candidates"]] for pill in said["pills"]]
    assert codes == [[one.k_code for one in pill.candidates] for pill in answer.pills]
    best = said["pills"][0]["candidates"][0]
    drug = next(drug for drug in DRUGS if drug.k_code == best["k_code"])
    assert (tuple(best["edi_codes"]), best["name"]) == (drug.edi_codes, drug.name)
    assert 0 < best["confidence"] <= 1


def test_submission_is_the_courses_table(photo: Path, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "test_images"
    folder.mkdir()
    for name in ("12.png", "3.png"):
        shutil.copy(photo, folder / name)
    (folder / "4.png").write_bytes(b"")
    done = predict(folder, "--models", models, "--mode", "combo", "--format", "submission")
    assert done.exit_code == 1 and "4.png: no usable photograph" in done.stderr
    lines = list(csv.DictReader(done.stdout.splitlines()))
    pills = PillSnap.load(models).identify(photo, "combo").pills
    assert [int(line["annotation_id"]) for line in lines] == list(range(1, 2 * len(pills) + 1))
    assert [line["image_id"] for line in lines] == ["12"] * len(pills) + ["3"] * len(pills)
    for line, pill in zip(lines, 2 * pills, strict=True):
        best = pill.candidates[0]
        assert f"K-{int(line['category_id']) + 1:06d}" == best.k_code
        assert [float(line[f"bbox_{side}"]) for side in "xywh"] == pytest.approx(pill.box, abs=0.01)
        assert float(line["score"]) == pytest.approx(pill.score * best.confidence, abs=1e-5)


@pytest.mark.parametrize(
    ("names", "codes", "says"),
    [
        (["a.png"], [], "a.png: its name holds no number"),
        (["-"], [], "-: its name holds no number"),
        (["K-001900_0_2.png"], [], "K-001900_0_2.png: its name holds several numbers"),
        (["1.png", "x/01.jpg"], [], "1.png and x/01.jpg: have one image_id, 1"),
        (["1.png", "test_2.png"], ["K-000114", "red"], "red: is no K-code"),
        (["1.png"], ["K-000000"], "K-000000: is no K-code"),
        (["1.png", "test 2.png", "x3/30.png"], ["K-000114", "K-000001"], None),
    ],
)
def test_a_submission_needs_numbers(names: list[str], codes: list[str], says: str | None) -> None:
    drugs = [DrugClass(number, code, (), code) for number, code in enumerate(codes)]
    with pytest.raises(SubmissionError, match=says) if says else contextlib.nullcontext():
        check_numbers([Photo(name) for name in names], drugs)


def test_table_names_drug_codes_and_confidence(photo: Path, models: Path) -> None:
    done = predict(photo, "--models", models)
    pill = PillSnap.load(models).identify(photo, "single").pills[0]
    best = pill.candidates[0]
    assert done.exit_code == 0
    told = [pill.verdict, best.k_code, best.name]
    # what a pill only looks like is no answer: it has no codes to look up and no confidence
    told += [", ".join(best.edi_codes) or "-", f"{best.confidence:.1%}"] if pill.verdict != "unknown" else []
    for words in told:
        assert words in done.stdout


@pytest.mark.parametrize(("ending", "kind"), [(".jpg", "JPEG"), (".JPEG", "JPEG"), (".png", "PNG")])
def test_annotated_picture_has_the_boxes(photo: Path, models: Path, tmp_path: Path, ending: str, kind: str) -> None:
    drawn = tmp_path / "out" / f"drawn{ending}"
    assert predict(photo, "--models", models, "--mode", "combo", "--annotated", drawn).exit_code == 0
    with Image.open(drawn) as picture, Image.open(photo) as original:
        assert (picture.format, picture.size) == (kind, original.size)
        assert not np.array_equal(np.asarray(picture), np.asarray(original))


def test_no_pill_is_an_answer(photo: Path, models: Path, tmp_path: Path) -> None:
    """A detector that asks for more than certainty finds nothing."""
    import onnx

    shutil.copytree(models, tmp_path / "onnx")
    model = onnx.load(tmp_path / "onnx" / "pipeline.onnx")
    entry = model.metadata_props[0]
    entry.value = json.dumps(json.loads(entry.value) | {"min_score": 1.1})
    onnx.save(model, tmp_path / "onnx" / "pipeline.onnx")
    done = predict(photo, "--models", tmp_path / "onnx", "--mode", "combo")
    assert (done.exit_code, done.stdout) == (0, f"{photo}: no pill was found\n")
    assert done.stderr.startswith("No pill was found in 1 of 1. Is there ground on all sides of the pill?")
    assert json.loads(predict(photo, "--models", tmp_path / "onnx", "--mode", "combo", "--json").stdout)["pills"] == []


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (None, [], "No such file"),
        (b"", [], "no usable photograph (photo_empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", [], "no usable photograph (photo_"),
        ("folder", [], "no picture in this folder or its subfolders"),
        (
            "photo",
            ["--annotated", "drawn.gif"],
            "--annotated drawn.gif: the extension must be one of .jpg, .jpeg, .png",
        ),
        ("photo", ["--models", "nowhere"], "nowhere/pipeline.onnx: there is no such model. Name a folder that"),
        ("photo", ["--mode", "guess"], "Invalid value for '--mode'"),
        ("photo", ["--no-such-option"], "No such option"),
        ("photo", ["--json", "--format", "csv"], "--json --format csv: name one format"),
        ("photo", ["--threads", "0"], "Invalid value for '--threads'"),
        ("photo", ["--format", "submission"], "약 사진.png: its name holds no number, and image_id is the number"),
    ],
    ids=[
        "missing",
        "empty",
        "corrupt",
        "folder",
        "ending",
        "models",
        "mode",
        "option",
        "two formats",
        "threads",
        "number",
    ],
)
def test_what_is_wrong_is_said(
    photo: Path, models: Path, tmp_path: Path, content: bytes | str | None, words: list[str], said: str
) -> None:
    """Exit status 2, one clear line on standard error, nothing on standard output, no traceback."""
    (tmp_path / "empty").mkdir()
    places = {"photo": photo, "folder": tmp_path / "empty"}
    shown = places[content] if isinstance(content, str) else tmp_path / "other.png"
    if isinstance(content, bytes):
        shown.write_bytes(content)
    done = predict(shown, *(words if "--models" in words else [*words, "--models", models]))
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not Path("drawn.gif").exists()


@pytest.mark.parametrize("word", ["empty", "*.gif", "1.png"])
@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv", "submission"])
def test_what_gives_no_photograph_is_written_as_one_that_cannot_be_used(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, format: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    done = predict(word, "--models", models, "--format", format)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    match format:
        case "json" | "jsonl":
            said = json.loads(done.stdout)
            found = said if isinstance(said, dict) else said[0]
            assert isinstance(said, dict) == (format == "jsonl" or word == "1.png")
            assert (found["photo"], found["error"]["reason"]) == (word, "photo_missing")
        case "csv":
            (row,) = csv.DictReader(done.stdout.removeprefix("\ufeff").splitlines())
            assert row["photo"] == word and row["error"].startswith("photo_missing: ")
        case "submission":
            assert done.stdout.startswith("annotation_id,") and done.stdout.count("\n") == 1
        case _:
            assert done.stdout == ""


def test_help_names_the_commands() -> None:
    done = CliRunner().invoke(app, ["--help"])
    assert done.exit_code == 0
    assert "predict" in done.stdout
    assert "doctor" in done.stdout
    assert "monitor" in done.stdout
    assert "data" in done.stdout
