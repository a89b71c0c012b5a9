"""Export and answers: ONNX Runtime as PyTorch, photographs in, drugs out."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pillsnap.answers.answer import Mode
from pillsnap.answers.drug_space import DrugSpace
from pillsnap.config.config import Onnx
from pillsnap.crops.crop import cut_crop
from pillsnap.detector.weights import prepare_ultralytics
from pillsnap.files import read_json, sha256_of
from pillsnap.hardware import HardwareError, gpus
from pillsnap.pictures.boxes import iou_matrix, match_boxes
from pillsnap.pictures.decode import PictureError, decode_photo, encode_jpeg
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.model import PillSnap, graph_inputs
from pillsnap.predict.nms import MIN_SCORE, Detections
from pillsnap.predict.sessions import ModelError
from pillsnap.predict.unfused import STEPS, SeparateSteps
from tests.support.models import CROP_SETTINGS, DETECTOR_SIZE, DRUGS, calibrated, draw_photo, export_job, onnx_models
from tests.support.workflow import PROJECT


@pytest.fixture(scope="module")
def models(base: Path) -> Path:
    """A folder of `export_onnx`, not to be changed."""
    return onnx_models(base)


@pytest.fixture(scope="module")
def snap(models: Path) -> PillSnap:
    return PillSnap.load(models, threads=1, device="cpu")


@pytest.fixture(scope="module")
def steps(models: Path) -> SeparateSteps:
    return SeparateSteps.load(models, threads=1, device="cpu")


PHOTO = draw_photo([0, 1, 2], seed=5, width=240, height=320)[0]


def test_exported_models_answer_like_pytorch(models: Path) -> None:
    parity = read_json(models / "parity.json")
    assert (parity["detector"]["photos"], parity["classifier"]["crops"]) == (5, 6)
    assert parity["detector"]["max_box_error_px"] <= Onnx().max_box_error
    assert parity["detector"]["max_score_error"] <= 1e-3
    assert parity["classifier"]["max_logit_error"] <= Onnx().max_logit_error
    assert parity["classifier"]["same_top1"] == 1
    classifier = parity["classifier"]
    assert 0 < classifier["max_relative_distance_error"] < 1e-2 and classifier["max_distance_error"] < 1e-2


def test_exported_models_know_what_an_answer_needs(snap: PillSnap, steps: SeparateSteps) -> None:
    assert snap.classes == steps.classes == list(DRUGS)
    needed = {"stage": "stage1", "image_size": DETECTOR_SIZE, "min_score": 0.25, "min_score_single": 0.05}
    needed |= {"nms_iou": 0.6, "crop_size": CROP_SETTINGS.size, "crop_margin": CROP_SETTINGS.margin}
    for facts in (steps.detector_facts, steps.classifier_facts):
        assert {key: facts[key] for key in needed} == needed
    info = snap.info
    assert (info.stage, info.drugs, info.opset, info.device, info.licence) == ("stage1", 3, 18, "cpu", "AGPL-3.0-only")
    assert (info.precision, info.coverage, info.kept) == (None, 0.95, 0.95), "six validation pills promise nothing"


def test_features_are_those_that_distances_are_measured_in(base: Path, models: Path, snap: PillSnap) -> None:
    """References are held against them as centroids are."""
    centroids = DrugSpace.load(calibrated(base)["drug_space"]).centroids
    for suffix in ("", ".fp16", ".int8"):
        one = PillSnap.load(models / f"pipeline{suffix}.onnx", threads=1, device="cpu")
        found = one.look(ScaledPhoto.of_pixels(PHOTO), graph_inputs("combo", snap.facts))
        nearest = np.linalg.norm(found["features"][:, None] - centroids, axis=2).min(axis=1)
        assert len(nearest) and nearest == pytest.approx(found["distances"], rel=1e-3, abs=1e-2)


def _of_older_version(path: Path, limit: float) -> None:
    """Take away what verdicts rest on now; pills nearer than the limit are known, others are unknown."""
    model = onnx.load(path)
    (gone,) = (output for output in model.graph.output if output.name == "relative_distances")
    model.graph.output.remove(gone)
    entry = model.metadata_props[0]
    facts = json.loads(entry.value)
    facts["calibration"] |= {"known_from": 0.0, "known_within": limit, "unknown_from": limit}
    facts["calibration"] = {key: value for key, value in facts["calibration"].items() if not key.startswith("plain")}
    entry.value = json.dumps(facts)
    onnx.save(model, path)


def test_models_of_older_versions_judge_by_the_distance_itself(models: Path, snap: PillSnap, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "onnx")
    found = snap.look(ScaledPhoto.of_pixels(PHOTO), graph_inputs("combo", snap.facts))
    limit = float(np.median(found["distances"]))
    for name in ("pipeline", "classifier"):
        _of_older_version(tmp_path / "onnx" / f"{name}.onnx", limit)
    older = PillSnap.load(tmp_path / "onnx", threads=1, device="cpu")
    assert older.calibration.plain_limits == (limit, limit)
    told = [pill.verdict for pill in older.identify(PHOTO, "combo").pills]
    assert told == ["known" if distance < limit else "unknown" for distance in found["distances"]]
    assert {"known", "unknown"} <= set(told)
    crops = np.stack([cut_crop(PHOTO, box, size=48, margin=0.15) for box in found["boxes"]])
    _, distances = SeparateSteps.load(tmp_path / "onnx", threads=1, device="cpu").classify(crops)
    assert distances == pytest.approx(found["distances"], rel=1e-2)


def test_both_precisions_and_int8_answer_and_are_smaller(models: Path) -> None:
    plain = PillSnap.load(models, threads=1, device="cpu")
    whole = (models / "pipeline.onnx").stat().st_size
    for precision in ("fp16", "int8"):
        path = models / f"pipeline.{precision}.onnx"
        answer = PillSnap.load(path, threads=1, device="cpu").identify(PHOTO, "single")
        assert path.stat().st_size < 0.7 * whole
        assert len(answer.pills) == len(plain.identify(PHOTO, "single").pills) == 1


@pytest.mark.parametrize("name", ["detector", "classifier", "pipeline", "pipeline.fp16", "pipeline.int8"])
def test_exported_models_tell_nothing_of_the_machine(models: Path, name: str) -> None:
    model = onnx.load(models / f"{name}.onnx")
    assert [entry.key for entry in model.metadata_props] == ["pillsnap"]
    assert {opset.version for opset in model.opset_import if opset.domain == ""} == {18}
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    content = (models / f"{name}.onnx").read_bytes()
    assert str(PROJECT).encode() not in content
    assert b"site-packages" not in content


@pytest.mark.campaign
def test_export_gives_the_same_bytes(models: Path, tmp_path: Path) -> None:
    from pillsnap.onnx.export_onnx import export_onnx

    export_onnx(**export_job(models.parents[1], tmp_path))
    assert sha256_of(tmp_path / "onnx") == sha256_of(models)


def test_export_above_the_tolerance_writes_nothing(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the networks of the first export, since torch.export takes most of the time."""
    from pillsnap.onnx.export_onnx import ParityError, export_onnx, file_of

    def exported(*_: Any) -> dict[str, tuple[onnx.ModelProto, ...]]:
        return {"fp32": tuple(onnx.load(file_of(models, name, "fp32")) for name in ("detector", "classifier"))}

    monkeypatch.setattr("pillsnap.onnx.export_onnx._export_networks", exported)
    monkeypatch.setattr("pillsnap.onnx.export_onnx.with_distances", lambda classifier, *_: classifier)
    monkeypatch.setattr("pillsnap.onnx.export_onnx.PRECISIONS", ("fp32",))
    job = export_job(models.parents[1], tmp_path) | {"settings": Onnx(max_box_error=1e-12)}
    with pytest.raises(ParityError, match=r"onnx\.max_box_error = 1e-12: ONNX Runtime differs from PyTorch by"):
        export_onnx(**job)
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "work"])


@pytest.mark.parametrize("mode", ["single", "combo"])
def test_answer(snap: PillSnap, mode: Mode) -> None:
    answer = snap.identify(PHOTO, mode)
    assert (answer.mode, answer.width, answer.height) == (mode, 240, 320)
    assert len(answer.pills) == 1 if mode == "single" else len(answer.pills) > 1
    scores = [pill.score for pill in answer.pills]
    assert scores == sorted(scores, reverse=True)
    for pill in answer.pills:
        x, y, w, h = pill.box
        assert 0 <= x < x + w <= 240.001
        assert 0 <= y < y + h <= 320.001
        confidences = [candidate.confidence for candidate in pill.candidates]
        assert confidences == sorted(confidences, reverse=True)
        assert sum(confidences) == pytest.approx(1, abs=1e-5), "three drugs are all there are"
        known = {(drug.k_code, drug.edi_codes, drug.name) for drug in DRUGS}
        assert {(one.k_code, one.edi_codes, one.name) for one in pill.candidates} == known


def test_single_steps_are_told_as_they_end(steps: SeparateSteps) -> None:
    ended: list[str] = []
    steps.identify(PHOTO, "combo", on_step=ended.append)
    assert tuple(ended) == STEPS


@pytest.mark.parametrize("mode", ["single", "combo"])
@pytest.mark.parametrize("size", [(240, 320), (96, 128), (1000, 700)])
def test_one_graph_answers_as_its_steps(
    snap: PillSnap, steps: SeparateSteps, mode: Mode, size: tuple[int, int]
) -> None:
    photo = draw_photo([0, 1, 2], 5, *size)[0]
    whole, single = snap.identify(photo, mode), steps.identify(photo, mode)
    boxes = [[pill.box for pill in answer.pills] for answer in (whole, single)]
    matched = match_boxes(*map(np.array, boxes), min_iou=0.9)
    # an untrained detector finds something everywhere: some of it lies at the thresholds of score and overlap
    assert len(matched) >= 0.8 * max(map(len, boxes)) > 0
    for ours, theirs in ((whole.pills[one], single.pills[other]) for one, other in matched):
        assert ours.score == pytest.approx(theirs.score, abs=0.05)
        assert [one.confidence for one in ours.candidates] == pytest.approx(
            [one.confidence for one in theirs.candidates], abs=0.05
        )


def test_candidates_come_from_the_box_they_belong_to(snap: PillSnap, steps: SeparateSteps) -> None:
    for pill in snap.identify(PHOTO, "combo").pills:
        crop = cut_crop(PHOTO, list(pill.box), size=CROP_SETTINGS.size, margin=CROP_SETTINGS.margin)
        row = snap.calibration.probabilities(steps.classify(crop[None])[0])[0]
        best = pill.candidates[0]
        assert best.k_code == DRUGS[int(row.argmax())].k_code
        assert best.confidence == pytest.approx(float(row.max()), abs=0.01)


def test_path_bytes_and_pixels_give_the_same_answer(snap: PillSnap, tmp_path: Path) -> None:
    data = encode_jpeg(PHOTO, 90)
    (tmp_path / "photo.jpg").write_bytes(data)
    answers = [snap.identify(photo, "combo") for photo in (data, tmp_path / "photo.jpg", decode_photo(data))]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(("photo", "error"), [(b"", PictureError), (b"no picture", PictureError), ("no.jpg", OSError)])
def test_unusable_photograph_is_an_error(snap: PillSnap, photo: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        snap.identify(photo)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (640, 5)])
def test_photograph_of_any_size_is_answered(snap: PillSnap, size: tuple[int, int]) -> None:
    assert len(snap.identify(np.full((*size, 3), 128, np.uint8), "single").pills) <= 1


@pytest.mark.parametrize(
    ("scores", "mode", "count"),
    [
        ([0.9, 0.26, 0.2], "combo", 2),
        ([0.2, 0.1], "combo", 0),
        ([], "combo", 0),
        ([0.9, 0.8], "single", 1),
        ([0.1, 0.09], "single", 1),
        ([0.01], "single", 0),
        ([], "single", 0),
    ],
)
def test_detections_chosen(steps: SeparateSteps, scores: list[float], mode: Mode, count: int) -> None:
    """Combo answers take all above the stored threshold (0.25), single ones the best above theirs (0.05)."""
    boxes = np.arange(4 * len(scores), dtype=np.float32).reshape(-1, 4)
    chosen = steps.choose(Detections(boxes, np.array(scores, np.float32)), mode)
    assert np.array_equal(chosen.boxes, boxes[:count])
    assert chosen.scores.tolist() == pytest.approx(scores[:count])


def test_detections_are_above_the_threshold_and_apart(steps: SeparateSteps) -> None:
    (found,) = steps.detect_all([PHOTO])
    assert 0 < len(found.scores) == len(found.boxes) <= 100
    assert (found.scores >= MIN_SCORE).all()
    overlaps = iou_matrix(found.boxes, found.boxes)[~np.eye(len(found.boxes), dtype=bool)]
    # boxes are clipped to the photograph after they were compared, which can bring them nearer
    inside = (found.boxes[:, :2] > 0).all() and (found.boxes[:, :2] + found.boxes[:, 2:] < [240, 320]).all()
    assert not inside or overlaps.max(initial=0) <= 0.6 + 1e-4


def test_no_crops_no_logits(steps: SeparateSteps) -> None:
    crops = steps.cut(PHOTO, np.zeros((0, 4)))
    assert crops.shape == (0, CROP_SETTINGS.size, CROP_SETTINGS.size, 3)
    assert [found.shape for found in steps.classify(crops)] == [(0, len(DRUGS)), (0,)]


def test_batch_does_not_change_logits(steps: SeparateSteps) -> None:
    crops = steps.cut(PHOTO, [[20, 30, 60, 60], [120, 30, 60, 80], [5, 180, 70, 70]])
    together = steps.classify(crops)
    for place in range(2):
        alone = np.concatenate([steps.classify(crop[None])[place] for crop in crops])
        assert together[place] == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize(
    ("width", "height"), [(640, 640), (976, 1280), (1280, 976), (416, 317), (50, 33), (64, 20), (63, 64)]
)
def test_letterbox_as_ultralytics(tmp_path: Path, width: int, height: int) -> None:
    """The same bars to the pixel; the picture between them up to the interpolation, which averages here."""
    prepare_ultralytics(tmp_path)
    from ultralytics.data.augment import LetterBox

    y, x = np.mgrid[:height, :width]
    picture = np.stack([255 * x / width, 255 * y / height, 60 + 90 * (x / width + y / height)], axis=-1).astype(
        np.uint8
    )
    square, scale, left, top = letterbox(picture, DETECTOR_SIZE)
    theirs = LetterBox((DETECTOR_SIZE, DETECTOR_SIZE), auto=False)(image=picture)
    assert square.shape == theirs.shape
    assert np.array_equal((square == 114).all(-1), (theirs == 114).all(-1))
    assert np.abs(square.astype(int) - theirs).mean() < 3
    assert scale == min(DETECTOR_SIZE / width, DETECTOR_SIZE / height)
    assert (left, top) == ((DETECTOR_SIZE - round(width * scale)) // 2, (DETECTOR_SIZE - round(height * scale)) // 2)


def test_answers_need_no_torch() -> None:
    code = "import sys, pillsnap.predict.model, pillsnap.predict.unfused; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def foreign_graph(path: Path) -> None:
    """A sound ONNX model that is none of ours."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "pipeline.onnx").unlink(), r"pipeline\.onnx: there is no such model"),
        (lambda folder: shutil.rmtree(folder), r"pipeline\.onnx: there is no such model"),
        (
            lambda folder: (folder / "pipeline.onnx").write_bytes(b"no graph"),
            r"pipeline\.onnx: ONNX Runtime cannot load",
        ),
        (lambda folder: (folder / "pipeline.onnx").write_bytes(b""), r"pipeline\.onnx: "),
        (
            lambda folder: foreign_graph(folder / "pipeline.onnx"),
            r"pipeline\.onnx: is not a model of PillSnap",
        ),
        (
            lambda folder: shutil.copy(folder / "classifier.onnx", folder / "pipeline.onnx"),
            r"pipeline\.onnx: is another of export_onnx's models, which takes crops and not photo. Name their folder",
        ),
    ],
    ids=["missing", "no folder", "garbage", "empty", "foreign", "swapped"],
)
def test_unusable_models_are_an_error(models: Path, tmp_path: Path, damage: Any, message: str) -> None:
    shutil.copytree(models, tmp_path / "onnx")
    damage(tmp_path / "onnx")
    with pytest.raises(ModelError, match=message):
        PillSnap.load(tmp_path / "onnx")


def test_missing_gpu_is_said(models: Path) -> None:
    if gpus():
        pytest.skip("there is a GPU here")
    assert PillSnap.load(models, device="auto").device == "cpu"
    with pytest.raises(HardwareError, match="device = cuda"):
        PillSnap.load(models, device="cuda")
