"""An answer step by step, with detector and classifier apart: what the fused graph is measured against."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pillsnap.answers.answer import Answer, Mode
from pillsnap.answers.calibration import Calibration
from pillsnap.crops.crop import cut_crop
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.model import make_answer, read_picture
from pillsnap.predict.nms import Detections, from_detector
from pillsnap.predict.sessions import facts_of, open_session
from pillsnap.tables.classes import classes_from_json

STEPS = ("decode", "detector", "crop", "classifier")


class SeparateSteps:
    """Detector and classifier of one stage. `identify` answers as `pillsnap.PillSnap` does."""

    def __init__(
        self,
        detector: onnxruntime.InferenceSession,
        classifier: onnxruntime.InferenceSession,
        detector_facts: dict[str, Any],
        classifier_facts: dict[str, Any],
    ) -> None:
        self._detector = detector
        self._classifier = classifier
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
        facts = facts_of(detector, models / "detector.onnx", "pictures")
        return cls(detector, classifier, facts, facts_of(classifier, models / "classifier.onnx", "crops"))

    def identify(
        self,
        photo: str | Path | bytes | np.ndarray,
        mode: Mode = "single",
        *,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> Answer:
        """As `PillSnap.identify`; `on_step` is called with the name of each of `STEPS` that ends."""
        picture = read_picture(photo)
        on_step("decode")
        found = self.choose(self.detect(picture), mode)
        on_step("detector")
        crops = self.cut(picture, found.boxes)
        on_step("crop")
        logits, distances = self.classify(crops)
        on_step("classifier")
        probabilities = self.calibration.probabilities(logits)
        named = found.boxes, found.scores, probabilities, distances
        return make_answer(mode, picture, named, self.classes, self.calibration)

    def detect(self, picture: np.ndarray) -> Detections:
        """Every box that is worth a look, best first, see `pillsnap.predict.nms.from_detector`."""
        square, *place = letterbox(picture, self.detector_facts["image_size"])
        output = self._detector.run(None, {"pictures": square[None]})[0][0]
        return from_detector(output, picture, *place, nms_iou=self.detector_facts["nms_iou"])

    def choose(self, found: Detections, mode: Mode) -> Detections:
        """The detections that an answer is made of: the best one, or all, from the mode's score on."""
        single = mode == "single"
        least = self.detector_facts["min_score_single" if single else "min_score"]
        count = int((found.scores > least).sum())
        count = min(count, 1) if single else count
        return Detections(found.boxes[:count], found.scores[:count])

    def cut(self, picture: np.ndarray, boxes: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Crops of the boxes as the classifier takes them: uint8 (N, S, S, 3)."""
        size, margin = self.classifier_facts["crop_size"], self.classifier_facts["crop_margin"]
        crops = [cut_crop(picture, box, size=size, margin=margin) for box in boxes]
        return np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)

    def classify(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits, float32 (N, drugs), and distances, float32 (N,), of uint8 crops (N, S, S, 3)."""
        if not len(crops):
            return np.zeros((0, len(self.classes)), np.float32), np.zeros(0, np.float32)
        logits, distances = self._classifier.run(["logits", "distances"], {"crops": crops})
        return logits, distances
