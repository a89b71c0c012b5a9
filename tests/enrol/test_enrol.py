"""Drugs enrolled from photographs: the folder that is written, its answers, and what is refused."""

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pillsnap.answers.answer import Candidate, EnrolledCandidate, Pill, Reading
from pillsnap.answers.calibration import Calibration, ReadingCalibration
from pillsnap.answers.read_imprints import read_surely
from pillsnap.cli import app
from pillsnap.enrol.enrol import EnrolError, LikenessError, Photo, _check_likeness, _Seen, enrol, remove
from pillsnap.files import DiskError, read_json, sha256_of, write_json
from pillsnap.predict.model import PillSnap
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.references import MARGIN, REACH, READ_REACH, EnrolledDrug, References, read_references
from pillsnap.predict.sessions import ModelError
from pillsnap.reader.looks import CHARACTERS, PLACES, codes_of
from tests.support.documents import FENCE, text_of
from tests.support.enrolled import FAR, NEW, edited, one_box, photos
from tests.support.models import DRUGS
from tests.support.workflow import PROJECT


@pytest.fixture(scope="module")
def models(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_box(base, tmp_path_factory.mktemp("enrol") / "onnx")


@pytest.fixture(scope="module")
def enrolled(models: Path) -> Path:
    """A folder that names one drug more, from three photographs."""
    out = models.parent / "new" / "onnx"
    enrol(models, photos(3), out=out, force=True, device="cpu", **NEW)
    return out


def command(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_an_answer_says_that_it_rests_on_references_and_on_how_many(models: Path, enrolled: Path) -> None:
    before = PillSnap.load(models, device="cpu").identify(photos(1)[0].data).pills[0]
    snap = PillSnap.load(enrolled, device="cpu")
    pill = snap.identify(photos(1)[0].data).pills[0]
    named = EnrolledCandidate("K-012345", ("645600001",), "사아정 5mg", None, 3)
    assert (pill.verdict, pill.candidates[0], pill.prediction_set[0]) == ("uncertain", named, named)
    assert pill.candidates[1:] == before.candidates and pill.box == before.box
    assert snap.info.drugs == len(DRUGS) + 1 and snap.classes == list(DRUGS)
    assert snap.info.sha256 != PillSnap.load(models, device="cpu").info.sha256
    # the other precisions have the same drug beside them
    for name in ("pipeline.fp16.onnx", "pipeline.int8.onnx"):
        assert PillSnap.load(enrolled / name, device="cpu").references == snap.references


def test_command_and_every_format_tell_the_references(models: Path, tmp_path: Path) -> None:
    shots = [tmp_path / f"{number}.jpg" for number in range(2)]
    for path, photo in zip(shots, photos(2), strict=True):
        path.write_bytes(photo.data)
    words = ["--k-code", NEW["k_code"], "--name", NEW["name"], "--edi", "645600001", "--force", "--device", "cpu"]
    done = command("enrol", *shots, "--models", models, "--out", tmp_path / "onnx", *words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.endswith("names K-012345 사아정 5mg, which rests on 2 photographs\n")
    listed = command("enrol", "--models", tmp_path / "onnx", "--list")
    assert listed.stdout == "K-012345\t2\t645600001\t사아정 5mg\n"
    told = {}
    for name in ("table", "json", "csv", "submission"):
        said = command("predict", shots[0], "--models", tmp_path / "onnx", "--format", name, "--device", "cpu")
        assert said.exit_code == 0
        told[name] = said.stdout
    first = json.loads(told["json"])["pills"][0]["candidates"][0]
    assert (first["k_code"], first["confidence"], first["references"]) == ("K-012345", None, 2)
    assert "K-012345" in told["table"] and "2 references" in told["table"]
    assert ",uncertain,K-012345,645600001,사아정 5mg,2 references," in told["csv"]
    assert told["submission"].splitlines()[1].split(",")[2] == "12344"
    drawn = command("predict", shots[0], "--models", tmp_path / "onnx", "--annotated", tmp_path / "drawn.png")
    assert drawn.exit_code == 0 and (tmp_path / "drawn.png").stat().st_size > 1000
    gone = command("enrol", "--models", tmp_path / "onnx", "--remove", "K-012345", "--out", tmp_path / "without")
    assert gone.exit_code == 0 and command("enrol", "--models", tmp_path / "without", "--list").stdout == ""
    assert sha256_of(tmp_path / "without") == sha256_of(models)


def test_same_photographs_give_the_same_bytes_in_any_order(models: Path, enrolled: Path, tmp_path: Path) -> None:
    before = sha256_of(models)
    enrol(models, photos(3)[::-1], out=tmp_path / "onnx", force=True, threads=1, device="cpu", **NEW)
    assert sha256_of(tmp_path / "onnx") == sha256_of(enrolled)
    assert sha256_of(models) == before
    names = {path.name for path in models.iterdir()} | {"references.json"}
    assert {path.name for path in enrolled.iterdir()} == names


def test_several_drugs_are_enrolled_one_after_the_other(enrolled: Path, tmp_path: Path) -> None:
    enrol(enrolled, photos(2, seed=50), k_code="K-000777", name="b", out=tmp_path / "two", force=True, device="cpu")
    drugs = PillSnap.load(tmp_path / "two", device="cpu").references.drugs
    assert [(drug.k_code, drug.references) for drug in drugs] == [("K-012345", 3), ("K-000777", 2)]
    remove(tmp_path / "two", "K-012345", out=tmp_path / "one")
    assert [drug.k_code for drug in PillSnap.load(tmp_path / "one").references.drugs] == ["K-000777"]


def test_models_without_references_answer_as_before(base: Path, models: Path, tmp_path: Path) -> None:
    """Also those of versions whose graph gives no features and reads nothing; they say what enrolling needs."""

    def without_later_outputs(model: onnx.ModelProto, facts: dict[str, Any]) -> None:
        facts["min_score"] = 1.1
        facts["calibration"]["reading"] = None
        names = [output.name for output in model.graph.output]
        del model.graph.output[names.index("features") :]

    old = edited(base, tmp_path / "old", without_later_outputs)
    photo = photos(1)[0].data
    answer = PillSnap.load(models, device="cpu").identify(photo)
    assert all(pill.reading for pill in answer.pills)
    unread = replace(answer, pills=tuple(replace(pill, reading=None) for pill in answer.pills))
    assert PillSnap.load(old, device="cpu").identify(photo) == unread
    assert "references" not in json.dumps(asdict(answer))
    assert PillSnap.load(models, device="cpu").info.sha256 == sha256_of(models / "pipeline.onnx")
    with pytest.raises(ModelError, match=r"give no features.*export_onnx"):
        enrol(old, photos(1), out=tmp_path / "new", device="cpu", **NEW)


REFUSED: dict[str, tuple[Callable[[list[Photo]], list[Photo]], dict[str, Any], str]] = {
    "no photograph": (lambda found: [], {}, "There is no photograph"),
    "no picture": (lambda found: [*found, Photo("a.jpg", b"GIF")], {}, "a.jpg: no usable photograph"),
    "twice": (lambda found: [*found, Photo("b.jpg", found[0].data)], {}, "is the same photograph as"),
    "no K-code": (list, {"k_code": "12345"}, "'12345' is no K-code"),
    "digits of full width": (list, {"k_code": "K-\uff10\uff10\uff10\uff10\uff10\uff12"}, "is no K-code"),
    "trained": (list, {"k_code": "K-000002"}, "K-000002: these models were trained on that drug"),
    "no name": (list, {"name": " "}, "name ' ': must be"),
    "no EDI code": (list, {"edi_codes": ["1", "a\nb"]}, "EDI code 'a\\\\nb': must be"),
    "no pill": (list, {"min_score_single": 1.1}, "0.jpg: no pill was found.*\n1.jpg: no pill"),
    "several pills": (list, {"min_score": 0.0}, "0.jpg: shows [0-9]+ pills"),
    "look-alike": (
        list,
        {"calibration": asdict(FAR)},
        "look like K-00000. .*2 of 2 are.* median distance is [0-9.]+, where a drug of its own has [0-9.]+ or more",
    ),
}


@pytest.mark.parametrize(("spoil", "changes", "says"), REFUSED.values(), ids=REFUSED)
def test_a_drug_is_refused_and_nothing_is_written(
    base: Path, models: Path, tmp_path: Path, spoil: Callable, changes: dict[str, Any], says: str
) -> None:
    if facts := {key: changes[key] for key in changes if key not in NEW}:
        models = one_box(base, tmp_path / "onnx", **facts)
    words = NEW | {key: changes[key] for key in changes if key in NEW}
    with pytest.raises(EnrolError, match=f"(?s){says}"):
        enrol(models, spoil(photos(2)), out=tmp_path / "below" / "new", device="cpu", **words)
    assert not (tmp_path / "below").exists()


def test_an_enrolled_drug_counts_as_one_that_is_there(enrolled: Path, tmp_path: Path) -> None:
    with pytest.raises(EnrolError, match="K-012345: is enrolled already"):
        enrol(enrolled, photos(1, seed=9), out=tmp_path / "new", device="cpu", **NEW)
    with pytest.raises(EnrolError, match=r"look like K-012345 사아정 5mg.* 2 of 2"):
        enrol(enrolled, photos(2), out=tmp_path / "new", device="cpu", k_code="K-000777", name="b")
    with pytest.raises(EnrolError, match=r"K-000001: is not enrolled in .*\(enrolled: K-012345\)"):
        remove(enrolled, "K-000001", out=tmp_path / "new")


def _cut(folder: Path) -> None:
    (folder / "pipeline.onnx").write_bytes((folder / "pipeline.onnx").read_bytes()[:1000])


def _rewrite(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / "references.json", read_json(folder / "references.json") | changes)


def _of_drug(name: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = read_json(folder / "references.json")
        found["drugs"][0][name] = value
        (folder / "references.json").write_text(json.dumps(found))

    return change


@pytest.mark.parametrize(
    ("distance", "limit", "says"),
    [
        (18.04, 18.16, "is 18.0, where a drug of its own has 18.2 or more"),
        (18.11, 18.14, "is 18.11, where a drug of its own has 18.14 or more"),
        (18.14321, 18.14326, "is 18.1432, where a drug of its own has 18.1433 or more"),
        (18.14, 18.14, None),
    ],
)
def test_two_distances_that_differ_look_different(distance: float, limit: float, says: str | None) -> None:
    seen = [_Seen(np.zeros(1), None, "K-000001 a", distance)]
    with pytest.raises(LikenessError, match=re.escape(says)) if says else contextlib.nullcontext():
        _check_likeness(seen, limit)


def test_the_command_tells_its_own_cure_for_a_look_alike(base: Path, tmp_path: Path) -> None:
    models = one_box(base, tmp_path / "onnx", calibration=asdict(FAR))
    (tmp_path / "1.jpg").write_bytes(photos(1)[0].data)
    words = (tmp_path / "1.jpg", "--models", models, "--out", tmp_path / "new", "--k-code", "K-012345", "--name", "a")
    done = command("enrol", *words, "--device", "cpu")
    assert done.exit_code == 2 and "The pills look like K-00000" in done.stderr
    assert "If it is another drug all the same, enrol it with --force" in done.stderr


DAMAGED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (shutil.rmtree, "there is no such folder"),
    "a file": (lambda folder: (shutil.rmtree(folder), folder.touch()), "onnx: is a file. Name the folder that export"),
    "no pipeline": (lambda folder: (folder / "pipeline.onnx").unlink(), "there is no such model"),
    "cut off": (_cut, "ONNX Runtime cannot load it"),
    "no JSON": (lambda folder: (folder / "references.json").write_text('{"drugs'), "references.json: is damaged"),
    "a folder": (
        lambda folder: ((folder / "references.json").unlink(), (folder / "references.json").mkdir()),
        r"references.json: cannot be read \(Is a directory\). Check who may read there",
    ),
    "a list": (lambda folder: write_json(folder / "references.json", [1]), "references.json: is damaged"),
    "no drugs": (_rewrite(drugs=[]), "references.json: is damaged"),
    "a drug without values": (_rewrite(drugs=[{}]), "references.json: is damaged .*k_code"),
    "no numbers": (_of_drug("centroid", ["a", "b"]), "references.json: is damaged"),
    "not a number": (_of_drug("centroid", [float("nan")]), "a feature is no number"),
    "another width": (_of_drug("centroid", [1.0, 2.0]), "gives other features than references.json"),
    "no imprint": (_of_drug("imprints", ["a-1"]), "an imprint is none that is read"),
    "no imprints": (_of_drug("imprints", "A1"), "a value of a drug has another type"),
    "other models": (_rewrite(pipeline="0" * 64), "was made with another pipeline.onnx"),
}


@pytest.mark.parametrize(("damage", "says"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_models_are_told(enrolled: Path, tmp_path: Path, damage: Callable[[Path], Any], says: str) -> None:
    models = tmp_path / "onnx"
    shutil.copytree(enrolled, models)
    damage(models)
    with pytest.raises(ModelError, match=says):
        enrol(models, photos(1, seed=9), k_code="K-000777", name="b", out=tmp_path / "new", device="cpu")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("part", ["detector", "classifier", "classifier.int8"])
def test_a_part_of_the_models_is_told_as_one(models: Path, part: str) -> None:
    with pytest.raises(ModelError, match=r"is another of export_onnx's models, which takes .* Name their folder;"):
        PillSnap.load(models / f"{part}.onnx")


def test_a_submission_needs_numbers_of_enrolled_drugs_too(models: Path, tmp_path: Path) -> None:
    enrol(models, photos(1), k_code="K-000000", name="사아정", out=tmp_path / "onnx", force=True, device="cpu")
    (tmp_path / "1.jpg").write_bytes(photos(1)[0].data)
    done = command("predict", tmp_path / "1.jpg", "--models", tmp_path / "onnx", "--format", "submission")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--format submission: K-000000: is no K-code, and category_id is the K-code's number" in done.stderr


def test_a_folder_is_new_and_lies_outside(models: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out, says in (
        (models, "exists already"),
        (tmp_path, "exists already"),
        (models / "new", "lies in"),
        (tmp_path / "file/new", "nothing can be written there"),
    ):
        with pytest.raises((EnrolError, DiskError), match=says):
            enrol(models, photos(1), out=out, device="cpu", **NEW)


@pytest.mark.parametrize("how", ["enrol", "remove"])
def test_what_appears_in_the_new_folders_place_is_kept(
    enrolled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    out = tmp_path / "new"

    def write(*_: object) -> None:
        out.mkdir(exist_ok=True)
        (out / "notes.txt").write_text("kept")

    (tmp_path / "1.jpg").write_bytes(photos(1, seed=9)[0].data)
    monkeypatch.setattr("pillsnap.enrol.enrol.write_references", write)
    words = [tmp_path / "1.jpg", "--k-code", "K-000777", "--name", "b", "--force", "--device", "cpu"]
    words = words if how == "enrol" else ["--remove", "K-012345"]
    done = command("enrol", *words, "--models", enrolled, "--out", out)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{out}: something was put there meanwhile, and was kept. Name another place")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["1.jpg", "new", "notes.txt"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "one of them"),
        (["x.jpg", "--list"], "one of them"),
        (["--remove", "K-012345"], "--out: name the new model folder"),
        (["x.jpg"], "--out: name the new model folder"),
        (["x.jpg", "--out", "new"], "--k-code and --name: tell which drug"),
        (["x.jpg", "--out", "new", "--k-code", "K-012345", "--name", "a"], "x.jpg: No such file"),
        (["--models", "nowhere", "--list"], "there is no such model"),
    ],
)
def test_command_says_what_it_needs(words: list[str], says: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("enrol", *words)
    assert done.exit_code == 2 and says in done.stderr and not list(tmp_path.iterdir())


def test_enrolling_loads_nothing_of_the_pipeline(models: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(photos(1)[0].data)
    words = ["enrol", tmp_path / "photo.jpg", "--models", models, "--out", tmp_path / "onnx", "--force"]
    words += ["--k-code", "K-012345", "--name", "a", "--device", "cpu"]
    code = "import sys; from pillsnap.cli import app; app(standalone_mode=False); print(*sys.modules)"
    run = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(run, cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "onnxruntime" in loaded and not loaded & {"torch", "onnx", "scipy", "pandas", "sklearn", "safetensors"}


def test_documented_commands_and_python_run(base: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    blocks = FENCE.findall(text_of("docs/enrol.md"))
    one_box(base, tmp_path / "results/stage4/onnx", calibration=asdict(replace(FAR, unknown_from=1e-6)))
    (tmp_path / "data/new").mkdir(parents=True)
    for number, photo in enumerate(photos(2), start=1):
        (tmp_path / f"data/new/{number}.jpg").write_bytes(photo.data)
    monkeypatch.chdir(tmp_path)
    for line in "".join(block for language, block in blocks if language == "bash").splitlines():
        done = command(*shlex.split(line)[1:])
        assert done.exit_code == 0, done.stderr
    assert sha256_of("models/without") == sha256_of("results/stage4/onnx")
    shutil.rmtree("models")
    for example in (block for language, block in blocks if language == "python"):
        exec(example, {})
    assert capsys.readouterr().out == "K-012345 2\n"
    (answer,) = (json.loads(block) for language, block in blocks if language == "json")
    assert set(answer) == {field.name for field in fields(EnrolledCandidate)}


def _references(*centroids: tuple[float, float], photos_each: int = 2) -> References:
    codes = ("K-000101", "K-000102")
    return References(
        tuple(EnrolledDrug(code, (), code, photos_each, at) for code, at in zip(codes, centroids, strict=False))
    )


def test_distances_are_those_to_the_centroid_without_what_few_photographs_miss() -> None:
    found = _references((3.0, 4.0), (0.0, 0.5)).distances(np.zeros((1, 2), np.float32))
    # of two photographs the mean is off by 2 / 2 on average: 25 - 1, and 0.25 - 1, which is no distance
    assert found == pytest.approx(np.array([[24**0.5, 0.0]]))
    assert References().distances(np.zeros((4, 2), np.float32)).shape == (4, 0)


CALIBRATION = Calibration(1.0, 0.9, 5.0, 10.0, {"0.95": 0.1}, 0.99, 0.95, 0.95)
TRAINED = Candidate("K-000001", (), "a", 0.95)


@pytest.mark.parametrize(
    ("before", "to_trained", "to_enrolled", "after", "first", "possible"),
    [
        ("known", 4.0, 20.0, "known", 0, [0]),
        ("known", 4.0, 5.0, "known", 0, [0]),  # near, though not as near as answers that are known
        ("known", 4.0, 4.9, "uncertain", 0, [0, 1]),
        ("known", 4.0, 3.9, "uncertain", 1, [1, 0]),
        ("uncertain", 8.0, 11.9, "uncertain", 0, [0, 1]),
        ("uncertain", 8.0, 12.1, "uncertain", 0, [0]),
        ("unknown", 13.0, 11.9, "uncertain", 1, [1]),
        ("unknown", 11.0, 11.9, "unknown", 0, []),
        ("unknown", 13.0, 12.1, "unknown", 0, []),
    ],
)
def test_nothing_that_an_enrolled_drug_takes_part_in_is_known(
    before: str, to_trained: float, to_enrolled: float, after: str, first: int, possible: list[int]
) -> None:
    assert REACH * CALIBRATION.unknown_from == 12
    references = _references((0.0, 0.0))
    both = (TRAINED, references.drugs[0].candidate)
    pill = Pill((0, 0, 1, 1), 0.9, before, (TRAINED,), () if before == "unknown" else (TRAINED,))
    found = references.join(pill, to_trained**2, np.array([to_enrolled**2]), CALIBRATION)
    assert (found.verdict, found.candidates[0]) == (after, both[first])
    assert found.prediction_set == tuple(both[one] for one in possible)


READS = replace(CALIBRATION, reading=ReadingCalibration(1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 5.0, 19.0))


@pytest.mark.parametrize(
    ("before", "to_trained", "to_enrolled", "after", "first", "possible"),
    [
        ("known", 64, 38.9, "uncertain", 1, [1, 0]),
        ("known", 64, 39.1, "known", 0, [0]),  # nearer, though not clearly
        ("known", -5, 19.9, "uncertain", 0, [0, 1]),
        ("known", -5, 20.1, "known", 0, [0]),  # as near as answers that are known, and clearly farther than the trained
        ("known", 30, 25.1, "known", 0, [0]),
        ("uncertain", 64, 39.1, "uncertain", 0, [0, 1]),
        ("unknown", 200, 174.9, "uncertain", 1, [1]),
        ("unknown", 200, 175.1, "unknown", 0, []),
        ("unknown", 300, 195.9, "uncertain", 1, [1]),
        ("unknown", 300, 196.1, "unknown", 0, []),
    ],
)
def test_with_a_reader_an_enrolled_drug_must_be_clearly_nearer(
    before: str, to_trained: float, to_enrolled: float, after: str, first: int, possible: list[int]
) -> None:
    assert MARGIN * READS.unknown_from**2 == 25 and (READ_REACH * READS.unknown_from) ** 2 == pytest.approx(196)
    references = _references((0.0, 0.0))
    both = (TRAINED, references.drugs[0].candidate)
    reading = Reading("A1", 0.9, "A1", "round", 0.9, ("white",), 0.9, contradicts=True)
    pill = Pill((0, 0, 1, 1), 0.9, before, (TRAINED,), () if before == "unknown" else (TRAINED,), reading)
    found = references.join(pill, to_trained, np.array([to_enrolled]), READS)
    assert (found.verdict, found.candidates[0]) == (after, both[first])
    assert found.reading.contradicts == (first == 0), (
        "what contradicts a trained drug is nothing against an enrolled one"
    )
    assert found.prediction_set == tuple(both[one] for one in possible)


def test_what_is_read_counts_in_squared_distances() -> None:
    characters = np.full((2, PLACES, len(CHARACTERS) + 1), 1e-9, np.float32)
    np.put_along_axis(characters, codes_of(["A1", ""])[..., None], np.float32(1), axis=2)
    found = {
        "features": np.zeros((2, 2), np.float32),
        "distances": np.array([6, 6], np.float32),
        "disagreements": np.array([20, 0], np.float32),
        "characters": characters,
    }
    plain = _references((3.0, 4.0), (3.0, 4.0))
    read = References(
        tuple(replace(drug, imprints=each) for drug, each in zip(plain.drugs, (("A1", ""), ("B2", "")), strict=True))
    )
    trained, enrolled = read.squares(found, READS.reading)
    printed, blank = np.log(4000), np.log(2)
    assert trained == pytest.approx([36 + 5 * (20 - printed), 36 - 5 * blank])
    assert enrolled[0] == pytest.approx([24 - 5 * printed, 24 + 5 * (20 - printed)])
    assert enrolled[1] == pytest.approx([24 - 5 * blank] * 2)
    # drugs of an older version have no imprints: nothing speaks for or against them
    assert plain.squares(found, READS.reading)[1] == pytest.approx(np.full((2, 2), 24.0))
    without = read.squares(found, None)
    assert without[0] == pytest.approx([36, 36]) and without[1] == pytest.approx(np.full((2, 2), 24.0))


def test_imprints_are_stored_and_files_of_older_versions_have_none(
    models: Path, enrolled: Path, tmp_path: Path
) -> None:
    snap = PillSnap.load(models, device="cpu")
    read = [snap.readings(snap.look_at_one(open_photo(photo.data, snap.facts)))[0] for photo in photos(3)]
    (drug,) = read_references(enrolled).drugs
    assert drug.imprints == read_surely(read)
    shutil.copytree(enrolled, tmp_path / "older")
    found = read_json(tmp_path / "older/references.json")
    del found["drugs"][0]["imprints"]
    write_json(tmp_path / "older/references.json", found)
    assert read_references(tmp_path / "older").drugs == (replace(drug, imprints=()),)
    assert PillSnap.load(tmp_path / "older", device="cpu").identify(photos(1)[0].data).pills
