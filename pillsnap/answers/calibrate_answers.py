"""Fit temperature, verdict thresholds and drug space on the validation split."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.covariance import LedoitWolf

from pillsnap.answers.calibration import Calibration, ReadingCalibration, probabilities
from pillsnap.answers.calibration_metrics import Predictions, calibration_metrics, lower_bound
from pillsnap.answers.drug_space import DrugSpace, unit_features
from pillsnap.answers.fit_reading import ReadPills, choose_distance_weight, fit_reading
from pillsnap.answers.naming import Imprints, held_back, is_blank, join_reading
from pillsnap.answers.photo_pairs import choose_pairs, choose_unlike_pairs, least_agreement, pair_predictions
from pillsnap.classifier.batches import MAX_WORKERS
from pillsnap.classifier.model import load_classifier
from pillsnap.classifier.transforms import normalise, resize
from pillsnap.config.config import Answers
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import replacing, write_json
from pillsnap.hardware import torch_device, usable_threads, use_threads
from pillsnap.pictures.in_order import in_order
from pillsnap.reader.looks import looks_of
from pillsnap.reader.model import load_reader
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import COMPOSED, DRUGS

log = logging.getLogger(__name__)

CROPS_PER_DRUG = 64
"""Training crops per drug that centroids and covariance are fitted on."""

BATCH = 64
COVERAGES = (0.9, 0.95, 0.99)


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
    looks = looks_of(read_table(drugs, DRUGS))
    extractor = _Extractor(classifier, reader, len(looks), torch_device(device))
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
    places = [_pairs(data.pills) for data in validation]
    if len(places[0]):
        pairs, unseen_pairs = (
            pair_predictions(pills, both, chosen.temperature)
            for pills, both in zip((held, unseen_held), places, strict=True)
        )
        of_pairs = choose_thresholds(pairs, unseen_pairs, settings)
        of_pairs = with_plain_limits(of_pairs, pairs, plain[places[0]].mean(axis=1))
        photographed = pd.concat([data.pills for data in validation], ignore_index=True)
        unlike = places[0], _pairs(photographed, choose_unlike_pairs)
        agree_from = least_agreement(held.beside(unseen_held), *unlike, chosen.temperature, of_pairs)
        chosen = replace(chosen, pairs=replace(of_pairs, agree_from=agree_from))
    with replacing(drug_space) as temporary:
        save_file(asdict(space), temporary)
    metrics = {"validation": calibration_metrics(held, unseen_held, chosen), "validation_pairs": None}
    if chosen.pairs:
        pairs, unseen_pairs = (
            pair_predictions(pills, both, chosen.temperature, chosen.pairs)
            for pills, both in zip((held, unseen_held), places, strict=True)
        )
        metrics["validation_pairs"] = calibration_metrics(pairs, unseen_pairs, chosen.pairs)
    write_json(calibration, {"calibration": chosen.to_json()} | metrics)
    weight = "nothing is read" if reading is None else f"weight of the imprint {reading.weight:.2f}"
    log.info("temperature %.3f, known from %s, %s", chosen.temperature, chosen.known_from, weight)


def _pairs(
    photographed: pd.DataFrame, choose: Callable[[Sequence[str], Sequence[str]], np.ndarray] = choose_pairs
) -> np.ndarray:
    """Places of pairs of pills that are alone in their photographs, int (pairs, 2), among `CropDataset.pills`."""
    alone = np.flatnonzero(photographed["domain"] == "single")
    rows = photographed.iloc[alone]
    return alone[choose(rows["image_id"].tolist(), rows["k_code"].tolist())]


@dataclass(frozen=True)
class _Opinions:
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


class _Extractor:
    """The trained classifier and the reader, for what they say of crops."""

    def __init__(self, weights: Path, reader: Path | None, drugs: int, device: str) -> None:
        self._model, self._image_size = load_classifier(weights, drugs)
        self._model.to(device)
        self._reader = load_reader(reader).to(device) if reader else None
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

    def opinions(self, data: CropDataset) -> _Opinions:
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
        return _Opinions(np.concatenate([drugs, *logits]), np.concatenate(features), words_of_all)

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


def with_plain_limits(chosen: Calibration, pills: Predictions, plain: np.ndarray) -> Calibration:
    """Add limits of the plain distance, (N,), below which as many pills lie as below those of the relative one."""
    shares = ((pills.distances < limit).mean() for limit in (chosen.known_within, chosen.unknown_from))
    within, unknown_from = (float(np.quantile(plain, share)) for share in shares)
    return replace(chosen, plain_within=within, plain_from=unknown_from)


def choose_thresholds(
    seen: Predictions, unseen: Predictions, settings: Answers, blank: tuple[np.ndarray, np.ndarray] | None = None
) -> Calibration:
    """Choose temperature and thresholds that keep the promises of `settings` on these pills.

    Args:
        seen, unseen: pills of trained and of held-out drugs.
        settings: the promises.
        blank: of `seen` and `unseen`, whether no imprint is read, bool (N,): such pills get a limit of their own, and
            what `unseen_known` promises holds of those with and of those without an imprint. `None`: one limit for all.
    """
    temperature = fit_temperature(seen.logits, seen.targets)
    of_target = probabilities(seen.logits, temperature)[np.arange(len(seen)), seen.targets]
    unknown_from = float(np.float32(np.quantile(seen.distances, settings.kept, method="higher") + 1e-4))
    blanks = blank or (np.zeros(len(seen), bool), np.zeros(len(unseen), bool))
    known_from, *limits = _known_thresholds(seen, unseen, temperature, settings, blanks) or (None, 0.0, 0.0)
    # as float32, the type of the distances that are compared with them; below `unknown_from`, for `held_back`
    largest = float(np.nextafter(np.float32(unknown_from), np.float32(0)))
    known_within, blank_within = (float(np.float32(min(limit, largest))) for limit in limits)
    return Calibration(
        temperature=temperature,
        known_from=known_from,
        known_within=known_within,
        blank_within=blank_within if blank else None,
        unknown_from=unknown_from,
        set_from={
            str(coverage): _conformal_threshold(of_target, coverage)
            for coverage in sorted({*COVERAGES, settings.coverage})
        },
        precision=settings.precision,
        coverage=settings.coverage,
        kept=settings.kept,
    )


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Temperature of least negative log-likelihood, 0.05 to 20 (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / math.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(targets)), targets].mean())

    found = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


def _conformal_threshold(of_target: np.ndarray, coverage: float) -> float:
    """Probability from which a drug belongs to the prediction set (split conformal prediction, Sadinle et al. 2019).

    Args:
        of_target: probability of the right drug of each validation pill, (N,). A new pill from the same distribution
            has its right drug in the set with a probability of at least `coverage`. With too few pills the threshold
            is 0, and the set holds every drug.
        coverage: promised share of sets that hold the right drug.
    """
    place = math.ceil((len(of_target) + 1) * coverage)
    return float(np.sort(of_target)[::-1][place - 1]) if place <= len(of_target) else 0.0


def _known_thresholds(
    seen: Predictions,
    unseen: Predictions,
    temperature: float,
    settings: Answers,
    blank: tuple[np.ndarray, np.ndarray],
) -> tuple[float, float, float] | None:
    """Least probability and largest distance of a `known` answer, and that of a pill which is `blank`; `None` where
    the precision cannot be shown.

    Probability and distance are loosened together, by one percentile of the pills with an imprint at a time, and the
    blank pills' distance by one percentile of theirs, as far as it goes. Of those whose precision has a lower
    confidence bound (Clopper-Pearson) of at least the promised one, and that call few enough pills of held-out drugs
    `known`, among blank ones and among the others, those are chosen with which most pills are `known`.
    """
    confidence, unseen_confidence = (probabilities(pills.logits, temperature).max(axis=1) for pills in (seen, unseen))
    right = seen.logits.argmax(axis=1) == seen.targets
    is_blank, unseen_blank = blank if not blank[0].all() else map(np.zeros_like, blank)  # none to tell them from
    printed = confidence[~is_blank], seen.distances[~is_blank]
    most, chosen = 0, None

    def few(unseen_known: np.ndarray, group: np.ndarray) -> bool:
        return bool(unseen_known[group].sum() <= settings.unseen_known * group.sum())

    for percent in range(99, 0, -1) if len(seen) else ():
        least, within = float(np.percentile(printed[0], 100 - percent)), float(np.percentile(printed[1], percent))
        sure, unseen_sure = confidence >= least, unseen_confidence >= least
        if not few(unseen_sure & (unseen.distances < within), ~unseen_blank):
            continue
        limits = np.percentile(seen.distances[is_blank], range(100, -1, -1)) if is_blank.any() else (within,)
        for limit in limits:
            of_blank = min(float(limit), within)
            known = sure & (seen.distances < np.where(is_blank, of_blank, within))
            if known.sum() <= most:
                break
            precise = lower_bound(int(right[known].sum()), int(known.sum()), settings.confidence) >= settings.precision
            if precise and few(unseen_sure & (unseen.distances < of_blank), unseen_blank):
                most, chosen = int(known.sum()), (least, within, of_blank)
                break
    return chosen
