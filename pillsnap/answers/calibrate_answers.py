"""Fit temperature, verdict thresholds and drug space on the validation split."""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from sklearn.covariance import LedoitWolf
from torch import nn

from pillsnap.answers.calibration import ReadingCalibration
from pillsnap.answers.calibration_metrics import Predictions, calibration_metrics
from pillsnap.answers.drug_space import DrugSpace, unit_features
from pillsnap.answers.fit_pairs import fit_pairs
from pillsnap.answers.fit_reading import ReadPills, choose_distance_weight, fit_reading
from pillsnap.answers.naming import Imprints, held_back, is_blank, join_reading
from pillsnap.answers.photo_pairs import Photographed
from pillsnap.answers.thresholds import choose_thresholds, with_plain_limits
from pillsnap.classifier.batches import MAX_WORKERS
from pillsnap.classifier.model import load_classifier
from pillsnap.classifier.transforms import normalise, resize
from pillsnap.config.config import Answers
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import replacing, write_json
from pillsnap.hardware import torch_device, usable_threads, use_threads
from pillsnap.pictures.in_order import in_order
from pillsnap.reader.looks import looks_of
from pillsnap.reader.model import Reader, load_reader
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import COMPOSED, DRUGS
from pillsnap.training.exact_roots import exact_roots

log = logging.getLogger(__name__)

CROPS_PER_DRUG = 64
"""Training crops per drug that centroids and covariance are fitted on."""

BATCH = 64


@exact_roots()
def calibrate_answers(
    *,
    classifier: Path,
    reader: Path | None,
    drugs: Path,
    crops: Path,
    calibration: Path,
    drug_space: Path,
    settings: Answers,
    device: str,
    threads: int,
) -> None:
    """Calibrate the classifier on the validation crops, and on the crops of half of the held-out drugs.

    Args:
        classifier: safetensors of `train_classifier`.
        reader: weights of the reader; `None`: nothing is read.
        drugs: table of drugs of `build_manifest`, schema `DRUGS`.
        crops: folder of `cut_crops`.
        calibration: written, JSON: `calibration` (stored in the exported model), `validation` (its metrics there) and
            `validation_pairs` (likewise of two photographs of one pill; `None` where there are none).
        drug_space: written, safetensors: the arrays of `DrugSpace`.
        settings: the promises.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of arithmetic on the CPU.
    """
    use_threads(threads)
    torch.backends.cudnn.allow_tf32 = False  # FP32, as ONNX Runtime computes
    looks = looks_of(read_table(drugs, DRUGS))
    model, image_size = load_classifier(classifier, len(looks))
    extractor = Extractor(model, image_size, load_reader(reader) if reader else None, torch_device(device))
    space = fit_drug_space(*extractor.features(CropDataset(crops, "train"), per_drug=CROPS_PER_DRUG), len(looks))
    validation = [CropDataset(crops, split) for split in ("val", "unseen_val")]
    found = [extractor.opinions(data) for data in validation]
    read = found[0].read
    reading = fit_reading(found[0].logits, validation[0].targets.numpy(), read, looks) if read else None
    imprints = Imprints.of_drugs(looks)
    if reading:
        apart = [one.joined(space, imprints, reading)[1:] for one in found]
        reading = replace(reading, distance_weight=choose_distance_weight(*apart))
    joined = [one.joined(space, imprints, reading) for one in found]
    seen, unseen = (
        Predictions(logits, distances, data.targets.numpy())
        for (logits, distances, _), data in zip(joined, validation, strict=True)
    )
    plain = space.distances(found[0].features)
    blank = (found[0].blank, found[1].blank) if reading else None
    chosen = with_plain_limits(choose_thresholds(seen, unseen, settings, blank), seen, plain)
    chosen = replace(chosen, reading=reading)
    held, unseen_held = (
        replace(pills, distances=held_back(pills.distances, disagreements, one.blank, chosen))
        for pills, one, (_, _, disagreements) in zip((seen, unseen), found, joined, strict=True)
    )
    alone, unseen_alone = (
        _alone(pills, data.pills) for pills, data in zip((held, unseen_held), validation, strict=True)
    )
    plain_alone = plain[validation[0].pills["domain"] == "single"]
    together = fit_pairs(alone, unseen_alone, plain_alone, chosen.temperature, settings)
    if together:
        chosen = replace(chosen, pairs=together.calibration)
    with replacing(drug_space) as temporary:
        save_file(asdict(space), temporary)
    metrics = {"validation": calibration_metrics(held, unseen_held, chosen), "validation_pairs": None}
    if together:
        metrics["validation_pairs"] = calibration_metrics(together.pairs, together.unseen_pairs, together.calibration)
    write_json(calibration, {"calibration": chosen.to_json()} | metrics)
    weight = "nothing is read" if reading is None else f"weight of the imprint {reading.weight:.2f}"
    log.info("temperature %.3f, known from %s, %s", chosen.temperature, chosen.known_from, weight)


@dataclass(frozen=True)
class Opinions:
    """What both networks say of N pills: logits (N, drugs), features (N, D), and the reader's logits."""

    logits: np.ndarray
    features: np.ndarray
    read: ReadPills | None

    @property
    def blank(self) -> np.ndarray:
        """Whether the reader reads no imprint, bool (N,); of no pill without a reader."""
        return is_blank(self.read.characters) if self.read else np.zeros(len(self.logits), bool)

    def joined(
        self, space: DrugSpace, imprints: Imprints, reading: ReadingCalibration | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits, relative distances and disagreements, see `join_reading`; without a reader nothing disagrees."""
        relative = space.relative_distances(self.features)
        if not (self.read and reading):
            return self.logits, relative, np.zeros_like(relative)
        return join_reading(self.logits, relative, self.read.characters, imprints, reading)


def _alone(pills: Predictions, table: pd.DataFrame) -> Photographed:
    """Those of these pills that are alone in their photographs; `table` is that of `CropDataset.pills`."""
    places = np.flatnonzero(table["domain"] == "single")
    rows = table.iloc[places]
    return Photographed(pills.at(places), rows["image_id"].tolist(), rows["k_code"].tolist())


class Extractor:
    """The trained classifier and the reader, for what they say of crops.

    Args:
        model: the classifier, in evaluation mode.
        image_size: side of its pictures in pixels.
        reader: `None`: nothing is read.
        device: `cpu` or `cuda`.
    """

    def __init__(self, model: nn.Module, image_size: int, reader: Reader | None, device: str) -> None:
        self._model, self._image_size = model.to(device), image_size
        self._reader = reader.to(device) if reader else None
        self._device = device

    def features(self, data: CropDataset, *, per_drug: int) -> tuple[np.ndarray, np.ndarray]:
        """Features, float32 (N, D), and class indices, (N,), of the first crops of each drug of a split, composed ones
        left out.

        Logits of as many crops, N times the number of drugs, would not fit into memory with thousands of drugs.
        """
        pills = _first_of_each(data.targets.numpy(), data.pills["domain"].to_numpy() != COMPOSED, per_drug)
        features = np.empty((len(pills), self._model.num_features), np.float32)
        with torch.inference_mode():
            for rows, crops in self._batches(data, pills):
                features[rows] = self._features(crops).float().cpu().numpy()
        return features, data.targets.numpy()[pills]

    def opinions(self, data: CropDataset) -> Opinions:
        """What both networks say of the crops of a split."""
        features, logits = [np.empty((0, self._model.num_features), np.float32)], []
        read: list[list[np.ndarray]] = []
        with torch.inference_mode():
            for _, crops in self._batches(data, np.arange(len(data))):
                found = self._features(crops)
                features.append(found.float().cpu().numpy())
                logits.append(self._model.get_classifier()(found).float().cpu().numpy())
                if self._reader:
                    words = self._reader(normalise(crops, self._reader.body))
                    read.append([each.float().cpu().numpy() for each in words])
        drugs = np.empty((0, self._model.num_classes), np.float32)
        words_of_all = ReadPills(*map(np.concatenate, zip(*read, strict=True))) if read else None
        return Opinions(np.concatenate([drugs, *logits]), np.concatenate(features), words_of_all)

    def _features(self, crops: torch.Tensor) -> torch.Tensor:
        pictures = resize(normalise(crops, self._model), self._image_size)
        return self._model.forward_head(self._model.forward_features(pictures), pre_logits=True)

    def _batches(self, data: CropDataset, pills: np.ndarray) -> Iterator[tuple[slice, torch.Tensor]]:
        """Crops of pills, uint8 (rows, 3, S, S) on the device, with the rows of the result that they belong to; for a
        GPU, threads decode the next two batches while it computes one."""
        decode, chosen = partial(data.picture, box_from="detector"), pills.tolist()
        crops: Iterator[torch.Tensor] = map(decode, chosen)
        if self._device == "cuda":
            crops = in_order(decode, chosen, threads=usable_threads(MAX_WORKERS), ahead=2 * BATCH)
        for start in range(0, len(pills), BATCH):
            batch = torch.stack(list(islice(crops, BATCH)))
            yield slice(start, start + len(batch)), batch.to(self._device)


def _first_of_each(targets: np.ndarray, photographed: np.ndarray, per_drug: int) -> np.ndarray:
    drugs = np.unique(targets)
    return np.sort(np.concatenate([np.flatnonzero((targets == drug) & photographed)[:per_drug] for drug in drugs]))


def fit_drug_space(features: np.ndarray, targets: np.ndarray, drugs: int) -> DrugSpace:
    """Fit a centroid for each drug and one shared covariance (Lee et al. 2018; Ledoit-Wolf shrinkage), of features and
    of unit features, and the covariance of all unit features together.

    Args:
        features: float (N, D).
        targets: class indices, int (N,); every drug occurs.
        drugs: number of drugs.
    """
    plain = _space_of_drugs(features.astype(np.float64), targets, drugs)
    unit = unit_features(features).astype(np.float64)
    mean = unit.mean(axis=0)
    unit -= mean
    background = _whitening(unit)
    arrays = (*plain, mean, *_space_of_drugs(unit, targets, drugs), background)
    return DrugSpace(*(array.astype(np.float32) for array in arrays))


def _space_of_drugs(features: np.ndarray, targets: np.ndarray, drugs: int) -> tuple[np.ndarray, np.ndarray]:
    """Whitening of features around their drug's centroid, and the whitened centroids; overwrites `features`, since
    copies of those of thousands of drugs would not fit into memory."""
    centroids = np.stack([features[targets == drug].mean(axis=0) for drug in range(drugs)])
    for drug in range(drugs):
        features[targets == drug] -= centroids[drug]
    whitening = _whitening(features)
    return whitening, centroids @ whitening


def _whitening(centred: np.ndarray) -> np.ndarray:
    """Cholesky factor of the inverse covariance of centred features."""
    return np.linalg.cholesky(LedoitWolf(assume_centered=True).fit(centred).precision_)
