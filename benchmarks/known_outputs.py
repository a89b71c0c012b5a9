"""What a stage's classifier gives for its crops and for those that its answers cut out of test photographs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from pillsnap.classifier.model import load_classifier
from pillsnap.classifier.transforms import normalise, resize
from pillsnap.crops.dataset import CropDataset
from pillsnap.manifest.stored_photos import stored_photos
from pillsnap.onnx.parity import batches
from pillsnap.pictures.boxes import match_boxes
from pillsnap.predict.open_photo import open_photo
from pillsnap.predict.unfused import SeparateSteps
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import COMPOSED, MANIFEST

BATCH = 64
MIN_IOU = 0.5


@dataclass(frozen=True)
class Outputs:
    """Logits (N, drugs), features (N, D), pooled stages (N, P) and targets (N,) of pills; -1 is no trained drug."""

    logits: np.ndarray
    features: np.ndarray
    stages: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Stage:
    """Outputs of `train` (photographs alone), `val`, `unseen_val`, `test` and `unseen_test`; and the last layer's
    weight (drugs, D) and bias (drugs,)."""

    parts: dict[str, Outputs]
    weight: np.ndarray
    bias: np.ndarray


class Network:
    """A classifier that sees crops at `image_size` pixels."""

    def __init__(self, model: nn.Module, image_size: int) -> None:
        self.model, self._image_size = model, image_size

    def __call__(self, crops: Sequence[torch.Tensor], targets: Sequence[int]) -> Outputs:
        """Outputs for uint8 (3, S, S) crops; of the intermediate stages the second and third but last, each as mean and
        standard deviation of its channels over the picture."""
        with torch.inference_mode():
            found = [self._run(torch.stack(some)) for some in batches(crops, BATCH)]
        return Outputs(*(torch.cat(each).float().numpy() for each in zip(*found, strict=True)), np.array(targets))

    def _run(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pictures = resize(normalise(crops, self.model), self._image_size)
        last, stages = self.model.forward_intermediates(pictures)
        features = self.model.forward_head(last, pre_logits=True)
        pooled = [moment for stage in stages[-3:-1] for moment in (stage.mean((2, 3)), stage.std((2, 3), correction=0))]
        return self.model.get_classifier()(features), features, torch.cat(pooled, dim=1)


def outputs_of(stage: Path, threads: int) -> Stage:
    """Run the classifier of a stage that is made, such as `results/stage4`."""
    torch.set_num_threads(threads)
    drugs = len(read_classes(stage / "manifest/classes.json"))
    network = Network(*load_classifier(stage / "classifier/best.safetensors", drugs))
    found = outputs_of_crops(stage, network)
    steps = SeparateSteps.load(stage / "onnx", threads=threads, device="cpu")
    prepared = sorted((stage / "prepared").iterdir())
    for split, table in (("test", "test"), ("unseen_test", "unseen")):
        pills = read_table(stage / f"manifest/{table}.csv", MANIFEST)
        crops, targets = zip(*_answered(steps, pills[pills["split"] == split], prepared), strict=True)
        found.parts[split] = network(crops, targets)
    return found


def outputs_of_crops(stage: Path, network: Network) -> Stage:
    """Run a classifier on a stage's crops; the result has no test parts."""
    parts = {}
    for split in ("train", "val", "unseen_val"):
        data = CropDataset(stage / "crops", split)
        pills = np.flatnonzero((data.pills["domain"] != COMPOSED).to_numpy())
        crops = [data.picture(int(pill), box_from="detector") for pill in pills]
        parts[split] = network(crops, data.targets.numpy()[pills])
    last = network.model.get_classifier()
    return Stage(parts, last.weight.detach().numpy(), last.bias.detach().numpy())


def _answered(steps: SeparateSteps, pills: pd.DataFrame, prepared: list[Path]) -> Iterator[tuple[torch.Tensor, int]]:
    """Crop and target of every box of the answers, as `pillsnap.answers.accuracy.answer_predictions` counts them."""
    for data, rows in stored_photos(pills, prepared):
        mode = rows["domain"].iloc[0]
        photo, found = steps.look(open_photo(data, steps.detector_facts), mode)
        kept = steps.choose(found, mode)
        boxes = rows[["x", "y", "w", "h"]].to_numpy(float)
        matches = dict(match_boxes(photo.in_photo(kept.boxes), boxes, min_iou=MIN_IOU))
        for box, crop in enumerate(steps.cut(photo.picture, kept.boxes)):
            if box in matches or rows["fully_labelled"].iloc[0]:
                target = int(rows["class_index"].iloc[matches[box]]) if box in matches else -1
                yield torch.from_numpy(crop).permute(2, 0, 1), target
