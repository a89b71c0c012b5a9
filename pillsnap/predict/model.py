"""Drug names for a photograph, by the exported model in ONNX Runtime, without torch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pillsnap.answers.answer import Answer, Candidate, Mode, ModelInfo, Pill
from pillsnap.answers.calibration import Calibration
from pillsnap.pictures.decode import decode_photo
from pillsnap.predict.sessions import ModelError, device_of, open_session, read_metadata
from pillsnap.tables.classes import DrugClass, classes_from_json

__all__ = ["ModelError", "PillSnap", "graph_inputs"]


class PillSnap:
    """A loaded model. `identify` is thread-safe."""

    def __init__(self, session: onnxruntime.InferenceSession, facts: dict[str, Any], sha256: str) -> None:
        self._session = session
        self._facts = facts
        self._sha256 = sha256
        self.calibration = Calibration.from_json(facts["calibration"])
        self.classes: list[DrugClass] = classes_from_json(facts["classes"])

    @classmethod
    def load(cls, model: str | Path, *, threads: int = 2, device: str = "auto") -> "PillSnap":
        """Load a model that `export_onnx` wrote.

        Args:
            model: `pipeline.onnx`, or its folder, such as `results/stage4/onnx`.
            threads: intra-op threads, at most the available cores.
            device: `auto` (a GPU where one works), `cpu` or `cuda`.

        Raises:
            ModelError: the model is missing, is not an ONNX graph, or was not written by `export_onnx`.
            HardwareError: `cuda` was requested and does not work.
        """
        path = Path(model)
        path = path if path.suffix == ".onnx" else path / "pipeline.onnx"
        session = open_session(path, threads=threads, device=device)
        return cls(session, read_metadata(session, path, "photo"), hashlib.sha256(path.read_bytes()).hexdigest())

    @property
    def device(self) -> str:
        """The device that ONNX Runtime uses: `cuda` or `cpu`."""
        return device_of(self._session)

    @property
    def info(self) -> ModelInfo:
        """Facts of the model."""
        promised = self.calibration
        return ModelInfo(
            stage=self._facts["stage"],
            commit=self._facts["commit"]["hash"],
            licence=self._facts["licence"],
            drugs=len(self.classes),
            opset=self._facts["opset"],
            device=self.device,
            sha256=self._sha256,
            precision=None if promised.known_from is None else promised.precision,
            coverage=promised.coverage,
            kept=promised.kept,
        )

    def identify(self, photo: str | Path | bytes | np.ndarray, mode: Mode = "single") -> Answer:
        """Name the pill (`single`) or every pill (`combo`) of a photograph.

        In mode `single` only the best box counts, from a lower score on.

        Args:
            photo: a path, a file's bytes, or uint8 (H, W, 3) RGB.
            mode: what the photograph shows, according to the person who took it.

        Raises:
            PictureError: the photograph cannot be decoded.
            OSError: the path cannot be read.
        """
        picture = read_picture(photo)
        boxes, scores, _, _, probabilities, distances = self._session.run(
            None, {"photo": picture, **graph_inputs(mode, self._facts)}
        )
        return make_answer(mode, picture, (boxes, scores, probabilities, distances), self.classes, self.calibration)


def read_picture(photo: str | Path | bytes | np.ndarray) -> np.ndarray:
    """Decode a photograph to uint8 (H, W, 3) RGB; raises `PictureError` or `OSError`."""
    if isinstance(photo, np.ndarray):
        return photo
    return decode_photo(photo if isinstance(photo, bytes) else Path(photo).read_bytes())


def graph_inputs(mode: Mode, facts: dict[str, Any]) -> dict[str, np.ndarray]:
    """Inputs of the graph that depend on the mode: `min_score`, float32 (1,), and `max_pills`, int64 (1,)."""
    least, most = (facts["min_score_single"], 1) if mode == "single" else (facts["min_score"], facts["most_pills"])
    return {"min_score": np.array([least], np.float32), "max_pills": np.array([most], np.int64)}


def make_answer(
    mode: Mode,
    picture: np.ndarray,
    found: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    classes: Sequence[DrugClass],
    calibration: Calibration,
) -> Answer:
    """Build an answer from boxes (N, 4), scores (N,), calibrated probabilities (N, drugs) and distances (N,)."""
    pills = tuple(
        _pill(box, float(score), row, float(distance), classes, calibration)
        for box, score, row, distance in zip(*found, strict=True)
    )
    return Answer(mode, picture.shape[1], picture.shape[0], pills)


def _pill(
    box: np.ndarray,
    score: float,
    probabilities: np.ndarray,
    distance: float,
    classes: Sequence[DrugClass],
    calibration: Calibration,
) -> Pill:
    def candidates(indices: np.ndarray) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(classes[i].k_code, classes[i].edi_codes, classes[i].name, float(probabilities[i]))
            for i in indices
        )

    verdict = calibration.verdict(float(probabilities.max()), distance)
    best = np.argsort(-probabilities, kind="stable")[:5]
    possible = best[:0] if verdict == "unknown" else calibration.prediction_set(probabilities)
    x, y, w, h = (float(value) for value in box)
    return Pill((x, y, w, h), score, verdict, candidates(best), candidates(possible))
