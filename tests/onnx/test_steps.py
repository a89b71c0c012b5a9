"""The steps of the fused graph against their twins in numpy, on photographs of every shape."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from pillsnap.answers.calibration import Calibration, ReadingCalibration, probabilities
from pillsnap.answers.drug_space import DrugSpace
from pillsnap.answers.naming import Imprints, held_back, is_blank, join_reading
from pillsnap.crops.crop import cut_crop
from pillsnap.onnx import steps
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.nms import non_max_suppression
from pillsnap.reader.looks import END, PLACES, Looks, codes_of

SIZES = [(1280, 976), (976, 1280), (300, 223), (64, 64), (50, 70), (1, 1), (1, 3000), (700, 2)]


def runner(model: onnx.ModelProto) -> Callable[..., list[np.ndarray]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda **inputs: session.run(None, inputs)


def smooth(height: int, width: int) -> np.ndarray:
    """A picture with structure at several scales, as photographs have it."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 60 * np.sin(x / 37 + c) + 50 * np.cos(y / 23 - c) + 15 * np.sin((x + y) / 5) for c in range(3)]
    return np.stack(waves, axis=-1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [64, 224])
def test_letterbox(size: int) -> None:
    run = runner(steps.letterbox_step(size))
    for height, width in SIZES:
        photo = smooth(height, width)
        square, scale, left, top = letterbox(photo, size)
        pictures, scales, bars = run(photo=photo)
        assert np.array_equal(pictures[0], square), (height, width)
        assert (scales[0], *bars) == (pytest.approx(scale, rel=1e-6), left, top)


@pytest.mark.parametrize(("size", "margin"), [(48, 0.15), (144, 0.0), (144, 0.6)])
def test_crops_are_those_of_the_one_crop_function(size: int, margin: float) -> None:
    """Windows larger and smaller than the crop, inside the photograph and across its edges: equal up to one level."""
    run = runner(steps.crops_step(size, margin))
    random = np.random.default_rng(0)
    for height, width in SIZES:
        photo = random.integers(0, 256, (height, width, 3), np.uint8)
        w, h = (random.uniform(1, min(side, 500) + 0.01, 25) for side in (width, height))
        x, y = random.uniform(0, np.maximum(width - w, 0) + 1e-3), random.uniform(0, np.maximum(height - h, 0) + 1e-3)
        boxes = np.stack([x, y, w, h], axis=1).astype(np.float32)
        (crops,) = run(photo=photo, boxes=boxes)
        ours = np.stack([cut_crop(photo, box, size=size, margin=margin) for box in boxes])
        assert crops.shape == ours.shape
        assert np.abs(crops.astype(int) - ours).max() <= 1, (height, width)


def test_no_box_gives_one_crop_that_nobody_reads() -> None:
    (crops,) = runner(steps.crops_step(32, 0.15))(photo=smooth(9, 9), boxes=np.zeros((0, 4), np.float32))
    assert crops.shape == (1, 32, 32, 3)


@pytest.mark.parametrize("most", [1, 3, 100])
def test_boxes(most: int) -> None:
    random = np.random.default_rng(1)
    photo = smooth(200, 300)
    found = np.concatenate(
        [random.uniform(0, 64, (60, 2)), random.uniform(4, 20, (60, 2)), random.uniform(0, 1, (60, 1))], 1
    )
    found = found.astype(np.float32)
    _, scale, left, top = letterbox(photo, 64)
    boxes, scores = runner(steps.boxes_step(0.5))(
        found=found[None], photo=photo, scale=np.array([scale], np.float32), bars=np.array([left, top], np.float32),
        min_score=np.array([0.3], np.float32), max_pills=np.array([most]),
    )  # fmt: skip
    ours = non_max_suppression(found, photo, scale, left, top, nms_iou=0.5)
    count = min(most, int((ours.scores >= 0.3).sum()))
    assert count > 0 and len(boxes) == len(scores) == count
    assert scores == pytest.approx(ours.scores[:count])
    assert boxes == pytest.approx(ours.boxes[:count], abs=1e-3)


READING = ReadingCalibration(
    imprint_temperature=1.3, shape_temperature=0.7, colour_temperature=2.0, imprint_slope=1.0, imprint_offset=0.0,
    weight=1.5, blank_weight=0.2, blank_scale=1.7, distance_weight=2.0,
    contradicts_from=5.0,
)  # fmt: skip
CALIBRATION = Calibration(
    temperature=1.0, known_from=0.9, known_within=60.0, unknown_from=70.0, set_from={"0.95": 0.1}, precision=0.99,
    coverage=0.95, kept=0.95, reading=READING,
)  # fmt: skip


def test_distances_and_names() -> None:
    random = np.random.default_rng(2)
    shapes = ((8, 8), (7, 8), (8,), (8, 8), (7, 8), (8, 8))
    space = DrugSpace(*(random.normal(size=shape).astype(np.float32) for shape in shapes))
    features, logits = random.normal(size=(5, 8)).astype(np.float32), random.normal(size=(5, 7)).astype(np.float32)
    distances, white = runner(steps.distances_step(space.whitening, space.centroids))(raw=features)
    direct = np.linalg.norm((features @ space.whitening)[:, None] - space.centroids, axis=2).min(axis=1)
    assert distances == pytest.approx(direct, rel=1e-3)
    assert white == pytest.approx(features @ space.whitening, rel=1e-4, abs=1e-5)
    assert space.distances(features) == pytest.approx(direct, rel=1e-3)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True) - space.mean
    own = np.linalg.norm((unit @ space.unit_whitening)[:, None] - space.unit_centroids, axis=2).min(axis=1) ** 2
    expected = own - np.linalg.norm(unit @ space.background, axis=1) ** 2
    relative = runner(steps.relative_distances_step(space))
    (strange,) = relative(raw=features)
    assert strange == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert space.relative_distances(features) == pytest.approx(expected, rel=1e-3, abs=1e-3)
    nothing = np.zeros((1, 8), np.float32)
    assert relative(raw=nothing)[0] == pytest.approx(space.relative_distances(nothing), rel=1e-3)
    boxes = np.zeros((4, 4), np.float32)
    classes, best, every, away, odd = runner(steps.names_step(0.7, 7))(
        logits=logits, nearest=distances, relative=strange, boxes=boxes
    )
    ours = probabilities(logits[:4], 0.7)
    assert every == pytest.approx(ours, abs=1e-6)
    assert np.array_equal(classes, np.argsort(-ours, axis=1)[:, :5])
    assert best == pytest.approx(np.take_along_axis(ours, classes, axis=1), abs=1e-6)
    assert away == pytest.approx(distances[:4]) and odd == pytest.approx(strange[:4])
    (described,) = runner(steps.features_step(8))(white=white, boxes=boxes)
    assert np.array_equal(described, white[:4])


def test_what_is_read_joins_the_classifier() -> None:
    """As `join_reading` and `held_back`, drug by drug, and of the pills alone."""
    random = np.random.default_rng(3)
    looks = [Looks((f"A{number}", "B" * (number % 3)), None, frozenset()) for number in range(7)]
    imprints = Imprints.of_drugs(looks)
    letters = random.normal(0, 3, (6, PLACES, steps.CODES)).astype(np.float32)
    np.put_along_axis(letters, codes_of([looks[n].imprints[0] for n in range(6)])[..., None], 9.0, axis=2)
    letters[5] = random.normal(0, 9, (PLACES, steps.CODES))
    letters[3:5, :, END] = 30.0  # and then a drug with a blank side is named
    raw, nearest = random.normal(size=(6, 7)).astype(np.float32), random.normal(size=6).astype(np.float32)
    forms, tints = (random.normal(size=(6, count)).astype(np.float32) for count in (11, 16))
    calibration = replace(CALIBRATION, blank_within=float(nearest[4]) - 1)
    step = runner(steps.reading_step(imprints, calibration))
    given = {"raw": raw, "nearest": nearest, "letters": letters, "forms": forms, "tints": tints}
    logits, relative, apart, characters, shapes, colours = step(**given)
    joined, distances, disagreements = join_reading(raw, nearest, letters, imprints, CALIBRATION.reading)
    assert logits == pytest.approx(joined, abs=1e-3) and apart == pytest.approx(disagreements, abs=1e-3)
    assert is_blank(letters).tolist() == [False, False, False, True, True, False]
    held = held_back(distances, disagreements, is_blank(letters), calibration)
    assert relative == pytest.approx(held, abs=1e-3) and (held > distances + 0.1).any()
    assert disagreements[4] < CALIBRATION.reading.contradicts_from and held[4] > distances[4] + 0.1, "by its own limit"
    assert characters == pytest.approx(
        probabilities(letters.reshape(-1, steps.CODES), 1.3).reshape(letters.shape), abs=1e-6
    )
    assert shapes == pytest.approx(probabilities(forms, 0.7), abs=1e-6)
    assert colours == pytest.approx(1 / (1 + np.exp(-tints / 2.0)), abs=1e-6)
    boxes, read = np.zeros((4, 4), np.float32), {"apart": apart, "letters": characters, "forms": shapes}
    for whole, part in zip(
        (apart, characters, shapes, colours),
        runner(steps.readings_step())(**read, tints=colours, boxes=boxes),
        strict=True,
    ):
        assert np.array_equal(part, whole[:4])
