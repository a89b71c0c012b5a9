"""Drugs enrolled from photographs: what `references.json` of a model folder holds, and what it adds to an answer."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pillsnap.answers.answer import EnrolledCandidate, Pill, Reading
from pillsnap.answers.calibration import Calibration, ReadingCalibration
from pillsnap.answers.read_imprints import disagreements, read_surely, surprises
from pillsnap.files import sha256_of, write_json
from pillsnap.predict.sessions import ModelError
from pillsnap.reader.looks import readable

REFERENCES = "references.json"
REACH = 1.2
"""Distance up to which an enrolled drug is named, as a multiple of `plain_from`; by models without a reader.

Features of drugs that no training saw scatter more than those that `plain_from` was fitted on. Of the demo's four
held-out drugs of validation, enrolled with 5 photographs each, 83 % of the pills were named at 1.0, 92 % at 1.2 and
94 % at 1.3; from 1.3 on pills of other held-out drugs were named, too.
"""
READ_REACH = 1.4
"""The same, by models with a reader.

Of 60 drawn validation drugs, enrolled at once with 5 photographs each, 88 % of the pills were named right at 1.2 and
90 % at 1.4; then 1.0 % of the other drugs' pills were named after one that is enrolled alone, as many as at `REACH`
without a reader.
"""
MARGIN = 0.25
"""By how much an enrolled drug must be nearer to take a pill from a trained one, and farther to leave an answer
`known`, as a share of the square of `plain_from`; by models with a reader.

Of 60 other drawn drugs, enrolled with 5 photographs each in the models of three seeds, 93.0 % of the pills were named
right at 0.2, 92.4 % at 0.25 and 91.5 % at 0.3; trained drugs lost 0.3, 0.2 and 0.1 points of top-1 in the validation
part. Where no margin was asked of pills that are `unknown` to the trained drugs, 0.25 gave 93.1 % and 0.8 points.
"""


@dataclass(frozen=True)
class EnrolledDrug:
    """A drug, the number of photographs that it rests on, the mean of their whitened features, D numbers, and the
    imprints that were read of them, see `read_surely`: none without a reader, and in files of older versions."""

    k_code: str
    edi_codes: tuple[str, ...]
    name: str
    references: int
    centroid: tuple[float, ...]
    imprints: tuple[str, ...] = ()

    @classmethod
    def of_photographs(
        cls,
        k_code: str,
        edi_codes: Sequence[str],
        name: str,
        features: np.ndarray,
        readings: Sequence[Reading | None],
    ) -> "EnrolledDrug":
        """Make a drug from whitened features, float (N, D), and readings of the pill in each of N photographs."""
        return cls(k_code, tuple(edi_codes), name, len(features), mean_features(features), read_surely(readings))

    @property
    def candidate(self) -> EnrolledCandidate:
        """The drug as one that a pill may be."""
        return EnrolledCandidate(self.k_code, self.edi_codes, self.name, None, self.references)


def mean_features(features: np.ndarray) -> tuple[float, ...]:
    """Mean of float (N, D) features, rounded to float32 and written in the fewest digits."""
    return tuple(float(str(value)) for value in features.astype(np.float64).mean(axis=0).astype(np.float32))


@dataclass(frozen=True)
class References:
    """The enrolled drugs of a model folder."""

    drugs: tuple[EnrolledDrug, ...] = ()

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Distance of float (N, D) whitened features to each enrolled drug: float (N, drugs).

        The mean of n photographs misses the drug's centroid by a squared distance of D / n on average, since whitened
        features of a drug have the unit covariance; that much is taken off, as though the centroid were known.
        """
        if not self.drugs:
            return np.zeros((len(features), 0))
        wide = features.astype(np.float64)
        apart = (wide**2).sum(axis=1, keepdims=True) - 2 * wide @ self._centroids.T + (self._centroids**2).sum(axis=1)
        return np.sqrt(np.maximum(apart - features.shape[1] / self._numbers, 0))

    def squares(
        self, found: Mapping[str, np.ndarray], reading: ReadingCalibration | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances of N pills to the nearest trained drug, float (N,), and to each enrolled one, (N, drugs).

        With a reader, what was read counts, too: each grows by `distance_weight` times what the pill's imprint
        disagrees with the drug, less what it would with one whose imprint is not known. It is less than 0 where the
        imprint speaks for the drug; characters speak louder than a blank side.

        Args:
            found: outputs of the graph, see `pillsnap.onnx.pipeline.pipeline`.
            reading: of the models; `None` without a reader.
        """
        trained, enrolled = found["distances"].astype(np.float64) ** 2, self.distances(found["features"]) ** 2
        if reading is None:
            return trained, enrolled
        unknown = surprises(found["characters"])
        read = disagreements(found["characters"], [drug.imprints for drug in self.drugs], self._numbers.tolist())
        trained += reading.distance_weight * (found["disagreements"] - unknown)
        return trained, enrolled + reading.distance_weight * (read - unknown[:, None])

    @cached_property
    def _centroids(self) -> np.ndarray:
        return np.array([drug.centroid for drug in self.drugs])

    @cached_property
    def _numbers(self) -> np.ndarray:
        return np.array([drug.references for drug in self.drugs])

    def join(self, pill: Pill, to_trained: float, to_enrolled: np.ndarray, calibration: Calibration) -> Pill:
        """Add the enrolled drugs that a pill is near to what the trained drugs gave.

        Nothing is promised of an enrolled drug, so an answer that it takes part in is `uncertain`: one that names it,
        since no trained drug is as near, and one of a trained drug that would be `known` while an enrolled drug is
        nearer than `plain_within` and, with a reader, not clearly farther than the trained one. With a reader, an
        enrolled drug must be clearly nearer.

        Args:
            pill: of the trained drugs alone.
            to_trained: squared distance to the nearest trained drug, see `squares`.
            to_enrolled: likewise to each enrolled drug, (drugs,).
            calibration: its thresholds.
        """
        within, unknown_from = calibration.plain_limits
        reads = calibration.reading is not None
        limit = ((READ_REACH if reads else REACH) * unknown_from) ** 2
        order = np.argsort(to_enrolled, kind="stable")
        near = tuple(self.drugs[i].candidate for i in order if to_enrolled[i] < limit)
        if not near:
            return pill
        nearest, clear = to_enrolled[order[0]], MARGIN * unknown_from**2 if reads else 0.0
        if nearest + clear < to_trained:
            candidates, possible = (*near, *pill.candidates)[:5], (*near, *pill.prediction_set)
            reading = of_enrolled(pill.reading)
            return replace(pill, verdict="uncertain", candidates=candidates, prediction_set=possible, reading=reading)
        apart = nearest >= within**2 or (reads and nearest >= to_trained + clear)
        if pill.verdict == "unknown" or (pill.verdict == "known" and apart):
            return pill
        return replace(pill, verdict="uncertain", prediction_set=(*pill.prediction_set, *near))


def of_enrolled(reading: Reading | None) -> Reading | None:
    """What was read of a pill that is named after an enrolled drug: it contradicted a trained one at most."""
    return reading and replace(reading, contradicts=False)


def read_references(folder: Path) -> References:
    """Read the enrolled drugs of a model folder; none where it has no `references.json`.

    Raises:
        ModelError: the file cannot be read, is damaged, or belongs to another `pipeline.onnx`.
    """
    path = folder / REFERENCES
    if not path.exists():
        return References()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        drugs = tuple(_drug(values) for values in found["drugs"])
        sizes, codes = {len(drug.centroid) for drug in drugs}, {drug.k_code for drug in drugs}
        if len(sizes) != 1 or 0 in sizes or len(codes) != len(drugs) or not isinstance(found["pipeline"], str):
            raise ValueError("no drugs, a K-code twice, or features of unequal length")
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Check who may read there.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path}: is damaged ({type(error).__name__}: {error}). Enrol its drugs again, or remove the file to "
            "answer without them."
        ) from error
    pipeline = folder / "pipeline.onnx"
    if not pipeline.is_file() or sha256_of(pipeline) != found["pipeline"]:
        raise ModelError(
            f"{path}: was made with another pipeline.onnx than {pipeline}. Enrol its drugs again with these models."
        )
    return References(drugs)


def _drug(values: dict[str, Any]) -> EnrolledDrug:
    """A drug from JSON values; raises `ValueError`, `TypeError` or `KeyError` where they are none."""
    k_code, edi_codes, name, references, centroid = (
        values[key] for key in ("k_code", "edi_codes", "name", "references", "centroid")
    )
    imprints = values.get("imprints", [])
    lists = all(isinstance(each, list) for each in (edi_codes, centroid, imprints))
    if not (isinstance(k_code, str) and isinstance(name, str) and type(references) is int and references > 0 and lists):
        raise TypeError("a value of a drug has another type")
    numbers = tuple(float(value) for value in centroid)
    if not np.isfinite(numbers).all():
        raise ValueError("a feature is no number")
    if not all(isinstance(imprint, str) and imprint == readable(imprint) for imprint in imprints):
        raise ValueError("an imprint is none that is read")
    return EnrolledDrug(k_code, tuple(str(code) for code in edi_codes), name, references, numbers, tuple(imprints))


def write_references(folder: Path, drugs: Sequence[EnrolledDrug]) -> None:
    """Write the enrolled drugs of a model folder; without any, there is no such file."""
    if not drugs:
        (folder / REFERENCES).unlink(missing_ok=True)
        return
    values = [
        {"k_code": drug.k_code, "edi_codes": drug.edi_codes, "name": drug.name, "references": drug.references}
        | {"imprints": drug.imprints, "centroid": drug.centroid}
        for drug in drugs
    ]
    write_json(folder / REFERENCES, {"pipeline": sha256_of(folder / "pipeline.onnx"), "drugs": values})


def joined_sha256(model: str, folder: Path) -> str:
    """SHA-256 of a model and the enrolled drugs beside it: that of the model alone where there are none."""
    path = folder / REFERENCES
    return hashlib.sha256(f"{model} {sha256_of(path)}".encode()).hexdigest() if path.exists() else model
