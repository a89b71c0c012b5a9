"""From a photograph to drug names, with ONNX Runtime alone: no torch is imported here."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from pillsnap.answers import Answer, Candidate, Mode, ModelInfo, Pill
from pillsnap.boxes import cut_crop
from pillsnap.calibration import Calibration
from pillsnap.classes import DrugClass, classes_from_json
from pillsnap.files import sha256_of
from pillsnap.hardware import HardwareError, gpus, usable_threads
from pillsnap.pictures import decode_photo

LETTERBOX_GREY = 114
"""Value of the letterbox's bars, the one ultralytics trains with."""


UNCALIBRATED = Calibration(1.0, None, np.inf, {"0.95": 0.05}, 0.99, 0.95, 0.95)


class ModelError(ValueError):
    """A models folder that cannot be used."""


@dataclass(frozen=True)
class Detections:
    """Boxes x, y, w, h in pixels of the photograph, float32 (N, 4), and scores, float32 (N,), best first."""

    boxes: np.ndarray
    scores: np.ndarray


class PillSnap:
    """Detector and classifier of one stage, ready to answer."""

    def __init__(self, detector: onnxruntime.InferenceSession, classifier: onnxruntime.InferenceSession) -> None:
        self._detector = detector
        self._classifier = classifier
        self.detector_facts = json.loads(detector.get_modelmeta().custom_metadata_map["pillsnap"])
        self.classifier_facts = json.loads(classifier.get_modelmeta().custom_metadata_map["pillsnap"])
        self.classes: list[DrugClass] = classes_from_json(self.classifier_facts["classes"])
        stored = self.classifier_facts.get("calibration")
        self.calibration = Calibration.from_json(stored) if stored else UNCALIBRATED

    @classmethod
    def load(cls, models: str | Path, *, threads: int = 2, device: str = "auto") -> "PillSnap":
        """Load `detector.onnx` and `classifier.onnx` from a folder that `export_onnx` wrote.

        Args:
            models: the folder, `results/stage4/onnx` for instance.
            threads: threads of each session, at most the cores that are there.
            device: `auto` (a GPU where one works), `cpu` or `cuda`.

        Raises:
            ModelError: a model is missing, is no ONNX graph, or was not written by `export_onnx`.
            HardwareError: `cuda` is asked for and does not work.
        """
        folder = Path(models)
        return cls(
            _session(folder / "detector.onnx", "pictures", threads, device),
            _session(folder / "classifier.onnx", "crops", threads, device),
        )

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        facts, promised = self.classifier_facts, self.calibration
        return ModelInfo(
            stage=facts["stage"],
            commit=facts["commit"],
            licence=facts["licence"],
            drugs=len(self.classes),
            opset=18,
            device=self.device,
            sha256=sha256_of(Path(self._classifier._model_path)),
            precision=None if promised.known_from is None else promised.precision,
            coverage=promised.coverage,
            kept=promised.kept,
        )

    @property
    def device(self) -> str:
        """`cuda` or `cpu`, by what ONNX Runtime really uses."""
        return "cuda" if "CUDAExecutionProvider" in self._detector.get_providers() else "cpu"

    def identify(
        self,
        photo: str | Path | bytes | np.ndarray,
        mode: Mode = "single",
        *,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> Answer:
        """Name the pill (`single`) or every pill (`combo`) of a photograph.

        In mode `single` the photograph shows one pill, so the best box counts, however low its score.

        Args:
            photo: a path, a file's bytes, or uint8 (H, W, 3) RGB.
            mode: what the photograph shows, as the person who took it says.
            on_step: called with the name of each step that ends: decode, detector, crop, classifier.

        Raises:
            PictureError: the photograph cannot be decoded.
            OSError: the path cannot be read.
        """
        if isinstance(photo, np.ndarray):
            picture = photo
        else:
            picture = decode_photo(photo if isinstance(photo, bytes) else Path(photo).read_bytes())
        on_step("decode")
        found = self.choose(self.detect(picture), mode)
        on_step("detector")
        crops = self.cut(picture, found.boxes)
        on_step("crop")
        probabilities = self.classify(crops)
        on_step("classifier")
        pills = tuple(
            self._pill(box, float(score), row, 0.0)
            for box, score, row in zip(found.boxes, found.scores, probabilities, strict=True)
        )
        return Answer(mode, picture.shape[1], picture.shape[0], pills)

    def detect(self, picture: np.ndarray, *, min_score: float = 0.001, at_most: int = 100) -> Detections:
        """Every box of score `min_score` or more after non-maximum suppression, best first."""
        square, scale, left, top = letterbox(picture, self.detector_facts["image_size"])
        output = self._detector.run(None, {"pictures": square[None]})[0][0]
        rows = output[output[:, 4] >= min_score]
        boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2 - [left, top], rows[:, 2:4]], axis=1) / scale
        keep = cv2.dnn.NMSBoxes(boxes.tolist(), rows[:, 4].tolist(), min_score, self.detector_facts["nms_iou"])
        keep = np.asarray(keep, dtype=int).reshape(-1)[:at_most]
        return Detections(_inside(boxes[keep], picture).astype(np.float32), rows[keep, 4].astype(np.float32))

    def choose(self, found: Detections, mode: Mode) -> Detections:
        """The detections that an answer is made of: the best one, or all from the stored threshold on."""
        count = 1 if mode == "single" else int((found.scores >= self.detector_facts["min_score"]).sum())
        return Detections(found.boxes[:count], found.scores[:count])

    def cut(self, picture: np.ndarray, boxes: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
        """Crops of the boxes as the classifier takes them: uint8 (N, S, S, 3)."""
        size, margin = self.classifier_facts["crop_size"], self.classifier_facts["crop_margin"]
        crops = [cut_crop(picture, box, size=size, margin=margin) for box in boxes]
        return np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)

    def classify(self, crops: np.ndarray) -> np.ndarray:
        """Probabilities of uint8 crops (N, S, S, 3): float32 (N, classes), rows sum to 1."""
        if not len(crops):
            return np.zeros((0, len(self.classes)), np.float32)
        logits = self._classifier.run(None, {"crops": crops})[0]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def _pill(self, box: np.ndarray, score: float, probabilities: np.ndarray, distance: float) -> Pill:
        verdict = self.calibration.verdict(float(probabilities.max()), distance)
        best = np.argsort(-probabilities, kind="stable")[:5]
        possible = [] if verdict == "unknown" else self.calibration.prediction_set(probabilities)
        candidates, prediction_set = (
            tuple(self._candidate(int(drug), float(probabilities[drug])) for drug in drugs)
            for drugs in (best, possible)
        )
        return Pill(tuple(float(value) for value in box), score, verdict, candidates, prediction_set)

    def _candidate(self, index: int, confidence: float) -> Candidate:
        drug = self.classes[index]
        return Candidate(drug.k_code, drug.edi_codes, drug.name, confidence)


def letterbox(picture: np.ndarray, size: int) -> tuple[np.ndarray, float, int, int]:
    """Fit a photograph into a grey square, as ultralytics does.

    Args:
        picture: uint8 (H, W, 3).
        size: side of the square in pixels.

    Returns:
        uint8 (size, size, 3), the scale that was applied, and the left and top bar in pixels.
    """
    height, width = picture.shape[:2]
    scale = min(size / height, size / width)
    new_width, new_height = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (size - new_width) // 2, (size - new_height) // 2
    square = np.full((size, size, 3), LETTERBOX_GREY, np.uint8)
    square[top : top + new_height, left : left + new_width] = cv2.resize(
        picture, (new_width, new_height), interpolation=method
    )
    return square, scale, left, top


def _inside(boxes: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Boxes clipped to the photograph."""
    height, width = picture.shape[:2]
    low = np.clip(boxes[:, :2], 0, [width - 1, height - 1])
    high = np.clip(boxes[:, :2] + boxes[:, 2:], low + 1, [width, height])
    return np.concatenate([low, high - low], axis=1)


def _session(path: Path, inputs: str, threads: int, device: str) -> onnxruntime.InferenceSession:
    """The model of a file, which must be one of ours and take an input of the name `inputs`."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model. Name a folder that export_onnx wrote (results/stage4/onnx).")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_threads(threads)
    options.log_severity_level = 3
    # threads that wait by spinning would take the cores from decoding and from the other model
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    if device == "cuda" or (device == "auto" and gpus()):
        providers.insert(0, "CUDAExecutionProvider")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({error}). Make it again with export_onnx.") from error
    if "pillsnap" not in session.get_modelmeta().custom_metadata_map or session.get_inputs()[0].name != inputs:
        raise ModelError(f"{path}: is no {path.stem} of PillSnap. Make it with export_onnx.")
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise HardwareError("device = cuda: ONNX Runtime finds no CUDA device that works. Set device to auto or cpu.")
    return session
