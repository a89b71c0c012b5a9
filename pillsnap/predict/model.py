"""Drug names for a photograph, by the exported model in ONNX Runtime, without torch."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime

from pillsnap.answers.answer import (
    PHOTOS_OF_ONE_PILL,
    Answer,
    Candidate,
    EnrolledCandidate,
    Mode,
    ModelInfo,
    Pill,
    Reading,
    SamePillAnswer,
    View,
)
from pillsnap.answers.calibration import Calibration, agreements, joined_logits
from pillsnap.pictures.decode import PictureError
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.predict.nms import MAX_BOXES
from pillsnap.predict.open_photo import AnyPhoto, fitting, open_photo
from pillsnap.predict.readings import read_pills
from pillsnap.predict.references import References, joined_sha256, of_enrolled, read_references
from pillsnap.predict.sessions import (
    RELATIVE,
    ModelError,
    device_of,
    distances_of_verdicts,
    open_session,
    read_metadata,
)
from pillsnap.tables.classes import DrugClass, classes_from_json

__all__ = ["ModelError", "NotOnePillError", "PillSnap", "SamePillError", "graph_inputs"]


class NotOnePillError(ValueError):
    """A photograph that must show exactly one pill, and does not."""

    def __init__(self, pills: int) -> None:
        several = f"shows {pills} pills. Take a photograph of one pill, or cut one out."
        none = "no pill was found. Take it nearer, in even light, on a plain ground."
        super().__init__(several if pills else none)


class SamePillError(ValueError):
    """Photographs that cannot be answered together.

    Attributes:
        reason: one word: `not_one_pill`, `same_photo` or `not_two_photos`.
        place: number of the photograph that is at fault, from 1; `None` where it is their number.
        detail: what is wrong and the cure.
    """

    def __init__(self, reason: str, place: int | None, detail: str) -> None:
        super().__init__(f"photograph {place}: {detail}" if place else detail)
        self.reason, self.place, self.detail = reason, place, detail


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
        self._distances = distances_of_verdicts(session)
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
            pair_precision=promised.precision if promised.pairs and promised.pairs.known_from is not None else None,
        )

    def identify(self, photo: AnyPhoto | Sequence[AnyPhoto], mode: Mode = "single") -> Answer:
        """Name the pill (`single`) or every pill (`combo`) of a photograph, or one pill by its front and its back.

        In mode `single` only the best box counts, from a lower score on; the answer says whether there are more.

        Args:
            photo: a path, a file's bytes, uint8 (H, W, 3) RGB, or what `open_photo` gave for this model; or a list of
                two of these that show the same pill, and nothing but it.
            mode: what the photograph shows, according to the person who took it.

        Returns:
            the answer; a `SamePillAnswer` to a list.

        Raises:
            SamePillError: a list has not two photographs, one of them twice, or one that does not show exactly one
                pill; or its mode is `combo`.
            PictureError: a photograph cannot be decoded.
            OSError: the path cannot be read.
            ValueError: there is no such mode.
        """
        if isinstance(photo, Sequence) and not isinstance(photo, str | bytes | bytearray | memoryview):
            return self._identify_together(photo, mode)
        photo = open_photo(photo, self.facts)
        found, more = self._look_for_pills(photo, mode)
        pills = found["boxes"], found["scores"], found["all_probabilities"], found[RELATIVE]
        answer = make_answer(mode, (photo.width, photo.height), pills, self.classes, self.calibration)
        read = zip(answer.pills, self.readings(found), strict=True)
        pills_read = tuple(replace(pill, reading=reading) for pill, reading in read)
        answer = replace(answer, pills=pills_read, more_pills=more)
        if not self.references.drugs:
            return answer
        each = zip(answer.pills, *self.references.squares(found, self.calibration.reading), strict=True)
        return replace(answer, pills=tuple(self.references.join(*one, self.calibration) for one in each))

    def readings(self, found: Mapping[str, np.ndarray]) -> Sequence[Reading | None]:
        """What was read of each pill, from the graph's outputs as `look` gives them; `None` without a reader."""
        if self.calibration.reading is None:
            return [None] * len(found["boxes"])
        return read_pills(found, self.calibration.reading)

    def _identify_together(self, photos: Sequence[AnyPhoto], mode: Mode) -> SamePillAnswer:
        if len(photos) != PHOTOS_OF_ONE_PILL or mode != "single":
            detail = f"{len(photos)} photographs, mode {mode}: answers together are for two of one pill, mode single."
            raise SamePillError("not_two_photos", None, detail)
        views, found = [], []
        for place, photo in enumerate(photos, start=1):
            view, outputs = self._view(photo, place)
            views.append(view)
            found.append(outputs)
        boxes, each = ([one[name] for one in found] for name in ("boxes", "all_probabilities"))
        if np.array_equal(boxes[0], boxes[1]) and np.array_equal(each[0], each[1]):
            raise SamePillError("same_photo", 2, "is the same photograph as the first. Turn the pill over.")
        promised = self.calibration.of_pairs
        joined = promised.probabilities(joined_logits(each))[0]
        relative, agreement = np.mean([one[RELATIVE] for one in found], axis=0), agreements(*each)
        (held,) = promised.held_apart(relative, agreement)
        pill = _pill(boxes[0][0], views[0].score, joined, float(held), self.classes, promised)
        strange = any(one[RELATIVE][0] >= self.calibration.unknown_from for one in found)
        compared = promised.agree_from is not None and not strange
        agree = bool(agreement[0] >= promised.agree_from) if compared else None
        if self.references.drugs:
            squares = zip(*(self.references.squares(one, promised.reading) for one in found), strict=True)
            trained, enrolled = (np.mean(each, axis=0)[0] for each in squares)
            pill = self.references.join(pill, trained, enrolled, promised)
            if isinstance(pill.candidates[0], EnrolledCandidate):
                views, agree = [replace(view, reading=of_enrolled(view.reading)) for view in views], None
        calibrated = self.calibration.pairs is not None
        return SamePillAnswer(mode, views[0].width, views[0].height, (pill,), tuple(views), calibrated, agree)

    def _view(self, photo: AnyPhoto, place: int) -> tuple[View, dict[str, np.ndarray]]:
        """One of several photographs of one pill, and the graph's outputs for it; raises as `identify`."""
        try:
            photo = open_photo(photo, self.facts)
            found = self.look_at_one(photo)
        except PictureError as error:
            raise PictureError(error.reason, f"photograph {place}: {error.detail}") from error
        except NotOnePillError as error:
            raise SamePillError("not_one_pill", place, str(error)) from error
        x, y, w, h = (float(value) for value in found["boxes"][0])
        (reading,) = self.readings(found)
        return View(photo.width, photo.height, (x, y, w, h), float(found["scores"][0]), reading), found

    def _look_for_pills(self, photo: ScaledPhoto, mode: Mode) -> tuple[dict[str, np.ndarray], bool]:
        """Compute the graph's outputs, a row for each pill that is answered, and whether a `single` has a further box,
        one that counts in a combination."""
        inputs = graph_inputs(mode, self.facts)
        if mode == "combo":
            return self.look(photo, inputs), False
        found = self.look(photo, inputs | {"max_pills": np.array([2])}, answered=1)
        more = bool((found["scores"][1:] > self.facts["min_score"]).any())
        return {name: values[:1] for name, values in found.items()}, more

    def look_at_one(self, photo: ScaledPhoto) -> dict[str, np.ndarray]:
        """Compute the graph's outputs, as `look` does, for the only pill of a photograph: one row of each.

        Raises:
            NotOnePillError: it shows none, or several.
        """
        found = self.look(photo, graph_inputs("single", self.facts) | {"max_pills": np.array([MAX_BOXES])})
        pills = max(int((found["scores"] > self.facts["min_score"]).sum()), min(len(found["scores"]), 1))
        if pills != 1:
            raise NotOnePillError(pills)
        return {name: values[:1] for name, values in found.items()}

    def look(
        self, photo: ScaledPhoto, inputs: Mapping[str, np.ndarray], *, answered: int | None = None
    ) -> dict[str, np.ndarray]:
        """Compute the graph's outputs by name, see `pillsnap.onnx.pipeline.pipeline`; boxes in pixels of the whole
        photograph. Verdicts rest on `relative_distances`; in models of older versions, these are `distances`. A
        photograph that is too small for its crops is decoded larger, and looked at again.

        Args:
            photo: of `open_photo`.
            inputs: `min_score` and `max_pills`, see `graph_inputs`.
            answered: pills, best first, whose crops decide how large the photograph is decoded; all by default.
        """
        found = self._run(photo.picture, inputs)
        while (larger := fitting(photo, found["boxes"][:answered], self.facts)) is not photo:
            photo, found = larger, self._run(larger.picture, inputs)
        return found | {"boxes": photo.in_photo(found["boxes"])}

    def _run(self, picture: np.ndarray, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = self._session.run(None, {"photo": picture, **inputs})
        found = dict(zip(self._outputs, values, strict=True))
        return found | {RELATIVE: found[self._distances]}


def graph_inputs(mode: Mode, facts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Inputs of the graph that depend on the mode: `min_score`, float32 (1,), and `max_pills`, int64 (1,). Raises
    `ValueError` where there is no such mode."""
    if mode not in get_args(Mode):
        raise ValueError(f"mode {mode!r}: must be one of {', '.join(get_args(Mode))}")
    least, most = (facts["min_score_single"], 1) if mode == "single" else (facts["min_score"], facts["most_pills"])
    return {"min_score": np.array([least], np.float32), "max_pills": np.array([most], np.int64)}


def make_answer(
    mode: Mode,
    size: tuple[int, int],
    found: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    classes: Sequence[DrugClass],
    calibration: Calibration,
) -> Answer:
    """Build an answer from what was found.

    Args:
        mode: of the question.
        size: width and height of the photograph.
        found: boxes (N, 4) in its pixels, scores (N,), calibrated probabilities (N, drugs) and relative distances (N,).
        classes, calibration: of the model.
    """
    pills = tuple(
        _pill(box, float(score), row, float(distance), classes, calibration)
        for box, score, row, distance in zip(*found, strict=True)
    )
    return Answer(mode, *size, pills)


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
