"""Answer step by step with separate detector and classifier, the reference for the fused graph."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pillsnap.answers.answer import Answer, Mode
from pillsnap.answers.calibration import Calibration
from pillsnap.crops.crop import cut_crop
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.model import make_answer
from pillsnap.predict.nms import Detections, non_max_suppression
from pillsnap.predict.open_photo import AnyPhoto, fitting, open_photo
from pillsnap.predict.sessions import device_of, distances_of_verdicts, open_session, read_metadata, run_batch
from pillsnap.tables.classes import classes_from_json

STEPS = ("decode", "detector", "crop", "classifier")
MOST_CROPS = 128
"""Crops that the classifier sees at once: more than one photograph has, whatever its number of pills."""


class SeparateSteps:
    """Detector and classifier of one stage, in separate sessions; `identify` answers as `pillsnap.PillSnap` does.

    Attributes:
        turn: held by the thread whose pictures the networks see. On a GPU one at a time, since each takes memory for a
            batch there; on the CPU as many as there are.
        detector_facts, classifier_facts: metadata of both models.
        calibration, classes: of the classifier.
    """

    def __init__(
        self,
        detector: onnxruntime.InferenceSession,
        classifier: onnxruntime.InferenceSession,
        detector_facts: dict[str, Any],
        classifier_facts: dict[str, Any],
    ) -> None:
        self._detector = detector
        self._classifier = classifier
        self._distances = distances_of_verdicts(classifier)
        self.turn: AbstractContextManager[object] = threading.Lock() if self.device == "cuda" else nullcontext()
        self.detector_facts = detector_facts
        self.classifier_facts = classifier_facts
        self.calibration = Calibration.from_json(classifier_facts["calibration"])
        self.classes = classes_from_json(classifier_facts["classes"])

    @classmethod
    def load(cls, models: Path, *, threads: int, device: str) -> "SeparateSteps":
        """Load `detector.onnx` and `classifier.onnx` from a folder of `export_onnx`; raises as `PillSnap.load`."""
        detector, classifier = (
            open_session(models / f"{name}.onnx", threads=threads, device=device) for name in ("detector", "classifier")
        )
        facts = read_metadata(detector, models / "detector.onnx", "pictures")
        return cls(detector, classifier, facts, read_metadata(classifier, models / "classifier.onnx", "crops"))

    @property
    def device(self) -> str:
        """The device that ONNX Runtime uses: `cuda` or `cpu`."""
        return device_of(self._detector)

    def identify(
        self,
        photo: AnyPhoto,
        mode: Mode = "single",
        *,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> Answer:
        """As `PillSnap.identify`; `on_step` is called at the end of each of `STEPS`."""
        photo = open_photo(photo, self.detector_facts)
        on_step("decode")
        photo, detections = self.look(photo, mode)
        found = self.choose(detections, mode)
        on_step("detector")
        crops = self.cut(photo.picture, found.boxes)
        on_step("crop")
        logits, distances = self.classify(crops)
        on_step("classifier")
        kept = Detections(photo.in_photo(found.boxes), found.scores)
        return self.answer((photo.width, photo.height), mode, kept, logits, distances)

    def look(self, photo: ScaledPhoto, mode: Mode) -> tuple[ScaledPhoto, Detections]:
        """All boxes of `detect_all`, and the photograph in whose picture they are: decoded larger, and looked at again,
        where it was too small for the crops of an answer in this mode."""
        return self.look_at_all([photo], [mode])[0]

    def look_at_all(self, photos: Sequence[ScaledPhoto], modes: Sequence[Mode]) -> list[tuple[ScaledPhoto, Detections]]:
        """As `look` for each photograph; the detector sees all of them at once."""
        looked = list(zip(photos, self.detect_all([photo.picture for photo in photos]), strict=True))
        places: Sequence[int] = range(len(photos))
        while places:
            kept = {place: self.choose(looked[place][1], modes[place]).boxes for place in places}
            larger = {place: fitting(looked[place][0], boxes, self.detector_facts) for place, boxes in kept.items()}
            places = [place for place in places if larger[place] is not looked[place][0]]
            for place, found in zip(places, self.detect_all([larger[one].picture for one in places]), strict=True):
                looked[place] = larger[place], found
        return looked

    def detect_all(self, pictures: Sequence[np.ndarray]) -> list[Detections]:
        """All boxes in each of several pictures, which the network sees at once, after non-maximum suppression, best
        first, see `pillsnap.predict.nms`."""
        if not pictures:
            return []
        size, nms_iou = (self.detector_facts[name] for name in ("image_size", "nms_iou"))
        squares, *places = zip(*(letterbox(picture, size) for picture in pictures), strict=True)
        with self.turn:
            (outputs,) = run_batch(self._detector, None, "pictures", np.stack(squares))
        return [
            non_max_suppression(output, picture, *place, nms_iou=nms_iou)
            for output, picture, *place in zip(outputs, pictures, *places, strict=True)
        ]

    def choose(self, found: Detections, mode: Mode) -> Detections:
        """Detections that the answer keeps: the best one or all, above the mode's minimum score."""
        single = mode == "single"
        min_score = self.detector_facts["min_score_single" if single else "min_score"]
        count = int((found.scores > min_score).sum())
        count = min(count, 1) if single else count
        return Detections(found.boxes[:count], found.scores[:count])

    def cut(self, picture: np.ndarray, boxes: np.ndarray | Sequence[np.ndarray | Sequence[float]]) -> np.ndarray:
        """Cut the classifier's input: uint8 (N, S, S, 3)."""
        size, margin = self.classifier_facts["crop_size"], self.classifier_facts["crop_margin"]
        crops = [cut_crop(picture, box, size=size, margin=margin) for box in boxes]
        return np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)

    def classify(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute logits, float32 (N, drugs), and the distances that verdicts rest on, float32 (N,), of crops, uint8
        (N, S, S, 3)."""
        if not len(crops):
            return np.zeros((0, len(self.classes)), np.float32), np.zeros(0, np.float32)
        found = []
        for start in range(0, len(crops), MOST_CROPS):
            with self.turn:
                batch = crops[start : start + MOST_CROPS]
                found.append(run_batch(self._classifier, ["logits", self._distances], "crops", batch))
        logits, distances = (np.concatenate(each) for each in zip(*found, strict=True))
        return logits, distances

    def answer(
        self, size: tuple[int, int], mode: Mode, kept: Detections, logits: np.ndarray, distances: np.ndarray
    ) -> Answer:
        """Build the answer to a photograph of this width and height from the detections that it keeps, in its pixels,
        and their crops' logits and distances."""
        pills = kept.boxes, kept.scores, self.calibration.probabilities(logits), distances
        return make_answer(mode, size, pills, self.classes, self.calibration)
