"""Data classes of an answer, shared by Python API, command line, HTTP service and page."""

from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["single", "combo"]
Verdict = Literal["known", "uncertain", "unknown"]

PHOTOS_OF_ONE_PILL = 2
"""Photographs of one pill that are answered together: a front and a back."""

SHOWN_FROM = 0.5
"""Confidence from which what was read is shown, and looked up: it is right more often than not."""


@dataclass(frozen=True)
class Candidate:
    """One drug that a pill may be, with its calibrated probability (0 to 1); `None` for an `EnrolledCandidate`."""

    k_code: str
    edi_codes: tuple[str, ...]
    name: str
    confidence: float | None


@dataclass(frozen=True)
class EnrolledCandidate(Candidate):
    """A drug that no training saw: it rests on `references` photographs, and no probability of it was measured."""

    references: int


@dataclass(frozen=True)
class Reading:
    """What the reader read of a pill, whatever its drug; confidences are calibrated, 0 to 1.

    Attributes:
        imprint: letters and digits of the side that is seen, in their order; empty where it seems to have none.
        imprint_confidence: probability that this is the whole imprint.
        characters: those of `imprint` that are read right with a probability of 0.9 each, in their order; there may be
            more, and others between them.
        shape: in the words of `pillsnap.catalogue.vocabulary`, `round` for instance.
        shape_confidence: of the shape.
        colours: likewise, `white` for instance; at least one.
        colours_confidence: that these are the pill's colours, all of them and no other.
        contradicts: whether the imprint contradicts the first candidate; then the pill is not `known`. False where that
            is an `EnrolledCandidate`, which what is read of its photographs speaks for or against already.
    """

    imprint: str
    imprint_confidence: float
    characters: str
    shape: str
    shape_confidence: float
    colours: tuple[str, ...]
    colours_confidence: float
    contradicts: bool


@dataclass(frozen=True)
class Pill:
    """One pill of an answer.

    Attributes:
        box: x, y, w, h in pixels of the upright photograph.
        score: the detector's, 0 to 1.
        verdict: `known`: the first candidate is right as often as the model promises; `uncertain`: one of
            `prediction_set`, as often as it promises; `unknown`: unlike every drug the model was trained on.
        candidates: the five most probable drugs (all, where the model knows fewer), most probable first; before them
            the enrolled drugs that the pill is near, where it is nearer to one of them than to every trained drug.
        prediction_set: the drugs of the conformal set, most probable first, and the enrolled drugs that the pill is
            near; at least one, none where `unknown`.
        reading: what was read of it; `None` from models without a reader.
    """

    box: tuple[float, float, float, float]
    score: float
    verdict: Verdict
    candidates: tuple[EnrolledCandidate | Candidate, ...]
    prediction_set: tuple[EnrolledCandidate | Candidate, ...]
    reading: Reading | None = None


@dataclass(frozen=True)
class Answer:
    """What a photograph of width x height pixels shows.

    Attributes:
        mode: of the question.
        width, height: of the upright photograph in pixels.
        pills: that were found, in mode `single` at most one.
        more_pills: whether a photograph of mode `single` shows a further pill, which is not answered.
    """

    mode: Mode
    width: int
    height: int
    pills: tuple[Pill, ...]
    more_pills: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class View:
    """One of several photographs of one pill: its size in pixels, the pill's box and detector score in it, and what was
    read of it there."""

    width: int
    height: int
    box: tuple[float, float, float, float]
    score: float
    reading: Reading | None = None


@dataclass(frozen=True)
class SamePillAnswer(Answer):
    """What two photographs of one pill show together.

    Attributes:
        width, height, pills: size of the first photograph, and the one pill with its box there; its reading is `None`,
            each photograph has its own.
        photos: the photographs in their order.
        calibrated: whether the model holds thresholds for two photographs; without, nothing is promised of the answer,
            and it is never `known`.
        agree: whether the photographs may show one drug, each by itself; where `False`, they may well show two pills:
            the answer is never `known`, and its prediction set promises nothing. `None` where one of them alone is
            `unknown`, where the pill is named after an enrolled drug, and from models that do not compare them.
    """

    photos: tuple[View, ...]
    calibrated: bool
    agree: bool | None


@dataclass(frozen=True)
class ModelInfo:
    """What a model says of itself.

    Attributes:
        stage, commit, licence: where it comes from; the commit is empty where there was none.
        drugs: number of drugs that it can name, enrolled ones included.
        opset: of the graph.
        device: `cpu` or `cuda`, by what ONNX Runtime really uses.
        sha256: of the file; where drugs are enrolled, of the file's and that of `references.json`.
        precision: share of `known` answers that are right, as promised; `None` where validation was too small to
            promise it, so that no answer is `known`.
        coverage: share of prediction sets that hold the right drug, as promised.
        kept: share of pills of drugs that it was trained on that are not `unknown`, as promised.
        pair_precision: as `precision`, of answers to two photographs of one pill; `None` where no such answer is
            `known`.
    """

    stage: str
    commit: str
    licence: str
    drugs: int
    opset: int
    device: str
    sha256: str
    precision: float | None
    coverage: float
    kept: float
    pair_precision: float | None
