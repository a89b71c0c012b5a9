"""Drug names for a photograph, by the exported model in ONNX Runtime, without torch."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from pillsnap.answers.answer import Answer, Candidate, Mode, ModelInfo, Pill
from pillsnap.answers.calibration import Calibration
from pillsnap.pictures.decode import decode_photo
from pillsnap.predict.references import References, joined_sha256, read_references
from pillsnap.predict.sessions import ModelError, device_of, open_session, read_metadata
from pillsnap.tables.classes import DrugClass, classes_from_json

__all__ = ["ModelError", "PillSnap", "graph_inputs"]


class PillSnap:
    """A loaded model. `identify` is thread-safe."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        facts: dict[str, Any],
        sha256: str,
        references: References,
        joined: str,
    ) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self._file_sha256, self._sha256 = sha256, joined
        self.facts = facts
        self.references = references
        self.calibration = Calibration.from_json(facts["calibration"])
        self.classes: list[DrugClass] = classes_from_json(facts["classes"])

    @classmethod
    def load(cls, model: str | Path, *, threads: int = 2, device: str = "auto") -> "PillSnap":
        """Load a model that `export_onnx` wrote, with the drugs that were enrolled from photographs beside it.

        Args:
            model: `pipeline.onnx`, or its folder, such as `results/stage4/onnx`.
            threads: intra-op threads, at most the available cores.
            device: `auto` (a GPU where one works), `cpu` or `cuda`.

        Raises:
            ModelError: the model is missing, is not an ONNX graph, or was not written by `export_onnx`; or
                `references.json` beside it is damaged, or belongs to other models.
            HardwareError: `cuda` was requested and does not work.
        """
        path = Path(model)
        path = path if path.suffix == ".onnx" else path / "pipeline.onnx"
        session = open_session(path, threads=threads, device=device)
        facts, references = read_metadata(session, path, "photo"), read_references(path.parent)
        features = next((output.shape[1] for output in session.get_outputs() if output.name == "features"), None)
        if references.drugs and features != len(references.drugs[0].centroid):
            raise ModelError(f"{path}: gives other features than references.json. Enrol its drugs again.")
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(session, facts, sha256, references, joined_sha256(sha256, path.parent))

    def reread(self, folder: Path) -> "PillSnap":
        """The same model with the enrolled drugs that a folder has by now; raises `ModelError`."""
        joined = joined_sha256(self._file_sha256, folder)
        return PillSnap(self._session, self.facts, self._file_sha256, read_references(folder), joined)

    @property
    def named(self) -> list[DrugClass]:
        """Every drug that it can name: its classes, then the enrolled drugs, numbered on."""
        enrolled = enumerate(self.references.drugs, start=len(self.classes))
        return [*self.classes, *(DrugClass(index, one.k_code, one.edi_codes, one.name) for index, one in enrolled)]

    @property
    def gives_features(self) -> bool:
        """Whether drugs can be enrolled: models of older versions lack what that needs."""
        return "features" in self._outputs

    @property
    def device(self) -> str:
        """The device that ONNX Runtime uses: `cuda` or `cpu`."""
        return device_of(self._session)

    @property
    def info(self) -> ModelInfo:
        """Facts of the model."""
        promised = self.calibration
        return ModelInfo(
            stage=self.facts["stage"],
            commit=self.facts["commit"]["hash"],
            licence=self.facts["licence"],
            drugs=len(self.classes) + len(self.references.drugs),
            opset=self.facts["opset"],
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
        found = self.run(picture, graph_inputs(mode, self.facts))
        pills = found["boxes"], found["scores"], found["all_probabilities"], found["distances"]
        answer = make_answer(mode, picture, pills, self.classes, self.calibration)
        if not self.references.drugs:
            return answer
        apart = self.references.distances(found["features"])
        each = zip(answer.pills, found["distances"].tolist(), apart, strict=True)
        return replace(answer, pills=tuple(self.references.join(*one, self.calibration) for one in each))

    def run(self, picture: np.ndarray, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the graph's outputs by name, see `pillsnap.onnx.pipeline.pipeline`.

        Args:
            picture: uint8 (H, W, 3) RGB.
            inputs: `min_score` and `max_pills`, see `graph_inputs`.
        """
        values = self._session.run(None, {"photo": picture, **inputs})
        return dict(zip(self._outputs, values, strict=True))


def read_picture(photo: str | Path | bytes | np.ndarray) -> np.ndarray:
    """Decode a photograph to uint8 (H, W, 3) RGB; raises `PictureError` or `OSError`."""
    if isinstance(photo, np.ndarray):
        return photo
    return decode_photo(photo if isinstance(photo, bytes) else Path(photo).read_bytes())


def graph_inputs(mode: Mode, facts: Mapping[str, Any]) -> dict[str, np.ndarray]:
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
