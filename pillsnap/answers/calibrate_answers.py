"""Choose on validation what makes answers trustworthy: temperature, thresholds, and how far each drug reaches."""

import logging
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.covariance import LedoitWolf

from pillsnap.answers.calibration import Calibration, probabilities
from pillsnap.answers.calibration_metrics import Named, lower_bound, trust_figures
from pillsnap.answers.drug_space import DrugSpace
from pillsnap.classifier.model import load_classifier
from pillsnap.classifier.transforms import normalise, resize
from pillsnap.config.config import Answers
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import replacing, write_json
from pillsnap.hardware import torch_device, use_threads
from pillsnap.tables.classes import read_classes

log = logging.getLogger(__name__)

CROPS_PER_DRUG = 64
"""Training crops of each drug that its centroid and the covariance are taken from."""

BATCH = 64
COVERAGES = (0.9, 0.95, 0.99)
_AS_DETECTED = 0.999
"""Choice of a pill's crop: the one from the detector's box where there is one, as in an answer."""


def calibrate_answers(
    *,
    classifier: Path,
    classes: Path,
    crops: Path,
    calibration: Path,
    drug_space: Path,
    settings: Answers,
    device: str,
    threads: int,
) -> None:
    """Calibrate the classifier on the validation crops, and on half of the drugs that it never saw.

    Args:
        classifier: safetensors of `train_classifier`.
        classes: class list of `build_manifest`.
        crops: folder of `cut_crops`.
        calibration: written, JSON: `calibration` (what travels in the model) and `validation` (what it reaches there).
        drug_space: written, safetensors: float32 `whitening` (D, D) and `centroids` (drugs, D).
        settings: what is promised.
        device: `auto`, `cpu` or `cuda`.
        threads: threads of arithmetic on the CPU.
    """
    use_threads(threads)
    drugs = len(read_classes(classes))
    reader = _Reader(classifier, drugs, torch_device(device))
    features, _, targets = reader.read(CropDataset(crops, "train"), at_most=CROPS_PER_DRUG)
    space = fit_drug_space(features, targets, drugs)
    seen, unseen = (
        Named(logits, space.distances(features), targets)
        for features, logits, targets in (reader.read(CropDataset(crops, part)) for part in ("val", "unseen_val"))
    )
    chosen = choose(seen, unseen, settings)
    with replacing(drug_space) as temporary:
        save_file({"whitening": space.whitening, "centroids": space.centroids}, temporary)
    figures = trust_figures(seen, unseen, chosen)
    write_json(calibration, {"calibration": chosen.to_json(), "validation": figures})
    log.info("temperature %.3f, known from %s", chosen.temperature, chosen.known_from)


class _Reader:
    """Features and logits of crops by the trained classifier."""

    def __init__(self, weights: Path, drugs: int, device: str) -> None:
        self._model, self._image_size = load_classifier(weights, drugs)
        self._model.to(device)
        self._device = device
        self._drugs = drugs

    def read(self, data: CropDataset, at_most: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Features (N, D), logits (N, drugs) and class indices (N,) of a split, at most so many crops of each drug."""
        pills = _first_of_each(data.targets.numpy(), at_most) if at_most else np.arange(len(data))
        features, logits = [np.zeros((0, self._model.num_features), np.float32)], []
        logits.append(np.zeros((0, self._drugs), np.float32))
        with torch.inference_mode():
            for start in range(0, len(pills), BATCH):
                crops = torch.stack([data[(int(pill), _AS_DETECTED)][0] for pill in pills[start : start + BATCH]])
                pictures = resize(normalise(crops.to(self._device), self._model), self._image_size)
                found = self._model.forward_head(self._model.forward_features(pictures), pre_logits=True)
                features.append(found.float().cpu().numpy())
                logits.append(self._model.get_classifier()(found).float().cpu().numpy())
        return np.concatenate(features), np.concatenate(logits), data.targets.numpy()[pills]


def _first_of_each(targets: np.ndarray, at_most: int) -> np.ndarray:
    return np.sort(np.concatenate([np.flatnonzero(targets == drug)[:at_most] for drug in np.unique(targets)]))


def fit_drug_space(features: np.ndarray, targets: np.ndarray, drugs: int) -> DrugSpace:
    """Centroid of each drug and the covariance around them that they share (Lee et al. 2018, Ledoit-Wolf shrinkage).

    Args:
        features: float (N, D).
        targets: class indices, int (N,); every drug occurs.
        drugs: number of drugs.
    """
    centroids = np.stack([features[targets == drug].mean(axis=0) for drug in range(drugs)]).astype(np.float64)
    precision = LedoitWolf(assume_centered=True).fit(features - centroids[targets]).precision_
    whitening = np.linalg.cholesky(precision)
    return DrugSpace(whitening.astype(np.float32), (centroids @ whitening).astype(np.float32))


def choose(seen: Named, unseen: Named, settings: Answers) -> Calibration:
    """Temperature and thresholds that keep the promises of `settings` on these pills."""
    temperature = best_temperature(seen.logits, seen.targets)
    of_target = probabilities(seen.logits, temperature)[np.arange(len(seen)), seen.targets]
    unknown_from = float(np.quantile(seen.distances, settings.kept, method="higher")) + 1e-4
    known_from, known_within = _known(seen, unseen, temperature, settings) or (None, 0.0)
    return Calibration(
        temperature=temperature,
        known_from=known_from,
        known_within=min(known_within, unknown_from),
        unknown_from=unknown_from,
        set_from={
            str(coverage): _set_from(of_target, coverage) for coverage in sorted({*COVERAGES, settings.coverage})
        },
        precision=settings.precision,
        coverage=settings.coverage,
        kept=settings.kept,
    )


def best_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The temperature of least negative log-likelihood, 0.05 to 20 (Guo et al. 2017)."""

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits.astype(np.float64) / math.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(targets)), targets].mean())

    found = minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


def _set_from(of_target: np.ndarray, coverage: float) -> float:
    """The probability from which a drug belongs to the prediction set (split conformal, Sadinle et al. 2019).

    The right drug of a new pill reaches it with a probability of at least `coverage`, if the pill is drawn as those of
    `of_target`, the right drugs' probabilities (N,), were. With too few of them every drug belongs to the set: 0.
    """
    place = math.ceil((len(of_target) + 1) * coverage)
    return float(np.sort(of_target)[::-1][place - 1]) if place <= len(of_target) else 0.0


def _known(seen: Named, unseen: Named, temperature: float, settings: Answers) -> tuple[float, float] | None:
    """Least probability and largest distance of a `known` answer; nothing where the promise cannot be shown.

    Both thresholds are loosened together, percent by percent of the pills; the loosest pair counts whose precision has
    a lower confidence bound (Clopper-Pearson) of at least what is promised, and that takes few enough pills of drugs
    that were held out for `known`.
    """
    every, strange = (probabilities(pills.logits, temperature).max(axis=1) for pills in (seen, unseen))
    right = seen.logits.argmax(axis=1) == seen.targets
    for percent in range(99, 0, -1):
        least, within = (float(np.percentile(*each)) for each in ((every, 100 - percent), (seen.distances, percent)))
        known = (every >= least) & (seen.distances < within)
        strangers = int(((strange >= least) & (unseen.distances < within)).sum())
        precise = lower_bound(int(right[known].sum()), int(known.sum()), settings.confidence) >= settings.precision
        if precise and strangers <= settings.unseen_known * len(unseen):
            return least, within
    return None
