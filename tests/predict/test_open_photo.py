"""How large photographs are decoded for an answer, and answers that need them larger."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pillsnap.answers.answer import Mode
from pillsnap.pictures.decode import decode_photo, encode_jpeg
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict.model import PillSnap
from pillsnap.predict.nms import Detections
from pillsnap.predict.open_photo import fitting, open_photo
from pillsnap.predict.unfused import SeparateSteps
from tests.support.models import draw_photo, onnx_models

DEMO = {"crop_size": 144, "crop_margin": 0.15, "image_size": 224}
LARGE = encode_jpeg(draw_photo([0, 1, 2], seed=5, width=1500, height=2000)[0], 90)


@pytest.fixture(scope="module")
def snap(base: Path) -> PillSnap:
    return PillSnap.load(onnx_models(base), threads=1, device="cpu")


@pytest.fixture(scope="module")
def steps(base: Path) -> SeparateSteps:
    return SeparateSteps.load(onnx_models(base), threads=1, device="cpu")


@pytest.mark.parametrize(
    ("long_side", "facts", "decoded"),
    [
        (1280, {}, 1280),
        (3455, {}, 3455),
        (3456, {}, 1728),
        (4032, {}, 2016),
        (8064, {}, 2016),
        (4032, {"crop_size": 480, "image_size": 640}, 4032),
        (4032, {"image_size": 1009}, 4032),
    ],
)
def test_photograph_is_decoded_for_detector_and_crops(long_side: int, facts: dict[str, int], decoded: int) -> None:
    data = encode_jpeg(np.zeros((8, long_side, 3), np.uint8), 50)
    assert open_photo(data, DEMO | facts).picture.shape[1] == decoded


def test_pixels_and_opened_photographs_are_taken_as_they_are() -> None:
    pixels = np.zeros((8, 4032, 3), np.uint8)
    opened = open_photo(pixels, DEMO)
    assert opened.picture is pixels and open_photo(opened, DEMO) is opened


@pytest.mark.parametrize(
    ("sides", "long_side"),
    [((), 500), ((126,), 500), ((200, 126), 500), ((125,), 1000), ((200, 63), 1000), ((62,), 2000), ((5,), 2000)],
)
def test_no_crop_is_enlarged(sides: tuple[int, ...], long_side: int) -> None:
    """A crop of 144 pixels with a margin of 15 % shows a box of 125.2 pixels at its own size."""
    boxes = np.array([[10, 10, side / 2, side] for side in sides], np.float32).reshape(-1, 4)
    photo = ScaledPhoto.decode(LARGE, least_side=500)
    found = fitting(photo, boxes, DEMO)
    assert max(found.picture.shape) == long_side
    assert (found is photo) == (long_side == 500)


@pytest.mark.parametrize("mode", ["single", "combo"])
def test_graph_and_steps_look_at_the_same_size(
    snap: PillSnap, steps: SeparateSteps, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pill of a photograph of 2,000 pixels has 60: at half the size its crop of 48 would be enlarged."""
    seen: list[int] = []
    run, detect = PillSnap._run, SeparateSteps.detect_all

    def boxes_in(picture: np.ndarray) -> np.ndarray:
        seen.append(len(picture))
        return np.array([[100, 150, 60, 50]], np.float32) * (len(picture) / 2000)

    def one_pill(self: PillSnap, picture: np.ndarray, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {name: value[:1] for name, value in run(self, picture, inputs).items()}
        return found | {"boxes": boxes_in(picture)}

    def one_box_each(self: SeparateSteps, pictures: Sequence[np.ndarray]) -> list[Detections]:
        found = zip(pictures, detect(self, pictures), strict=True)
        return [Detections(boxes_in(picture), each.scores[:1]) for picture, each in found]

    monkeypatch.setattr(PillSnap, "_run", one_pill)
    monkeypatch.setattr(SeparateSteps, "detect_all", one_box_each)
    for way in (snap, steps):
        seen.clear()
        answer = way.identify(LARGE, mode)
        assert seen == [1000, 2000]
        assert (answer.width, answer.height) == (1500, 2000)
        assert answer.pills[0].box == pytest.approx((100, 150, 60, 50))


def test_reduced_photograph_is_answered_in_its_own_pixels(snap: PillSnap, steps: SeparateSteps) -> None:
    """The untrained models see nearly the same in a photograph and in its half."""
    reduced, whole = (snap.identify(photo, "single") for photo in (LARGE, decode_photo(LARGE)))
    separate = steps.identify(LARGE, "single")
    assert (reduced.width, reduced.height) == (whole.width, whole.height) == (1500, 2000)
    for answer in (reduced, separate):
        assert answer.pills[0].box == pytest.approx(whole.pills[0].box, abs=20)
        assert answer.pills[0].candidates[0].k_code == whole.pills[0].candidates[0].k_code
