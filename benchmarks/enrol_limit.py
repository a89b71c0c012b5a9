"""A classifier that is trained with the new drugs, beside the same drugs enrolled: the limit of enrolling."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pillsnap.answers.answer import Mode
from pillsnap.classifier.model import load_classifier
from pillsnap.classifier.train_classifier import train_classifier
from pillsnap.classifier.transforms import normalise, resize
from pillsnap.config.config import Config, Crops
from pillsnap.crops.crop import cut_crop
from pillsnap.enrol.measure_references import Found, draw_pills, find_pills, measure_enrolled
from pillsnap.files import ShardWriter, read_json, write_json
from pillsnap.pictures.decode import decode_jpeg, decode_photo, encode_jpeg
from pillsnap.predict.model import PillSnap
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import CROPS

_BATCH = 64

Drugs = Sequence[tuple[str, str]]
"""K-code and capture group of each labelled pill of a photograph."""


@dataclass(frozen=True)
class Cut(Found):
    """A labelled pill that an answer found, and its `crop` by the box that was found, a JPEG as trainings read it."""

    crop: bytes


def cut_pills(
    snap: PillSnap, settings: Crops, min_iou: float, data: bytes, mode: Mode, boxes: np.ndarray, drugs: Drugs
) -> list[Cut]:
    """Find pills by `find_pills`, and cut them out of the photograph."""
    picture = decode_photo(data)
    found = find_pills(snap, data, mode, boxes, drugs, min_iou=min_iou)
    crops = [cut_crop(picture, one.pill.box, size=settings.size, margin=settings.margin) for one in found]
    return [Cut(**vars(one), crop=encode_jpeg(crop, settings.quality)) for one, crop in zip(found, crops, strict=True)]


@dataclass(frozen=True)
class Limit:
    """Trainings of a stage's classifier with further drugs.

    Attributes:
        stage: folder of a stage that is made.
        config: its configuration.
        snap: its models.
        trained: pills of its test part.
        work: folder of the trainings, which go on where they were stopped.
        threads: of torch.
        seed: of the draws.
    """

    stage: Path
    config: Config
    snap: PillSnap
    trained: Sequence[Cut]
    work: Path
    threads: int
    seed: int

    def before(self) -> dict[str, Any]:
        """`pills` of trained drugs, and the share that the stage's own classifier names right by their crops."""
        codes = [drug.k_code for drug in self.snap.classes]
        return _of(self.trained, _names(self.stage / "classifier/best.safetensors", codes, self.trained))

    def measure(self, title: str, new: Sequence[Cut], number: int) -> dict[str, Any]:
        """Train with so many pills of each new drug, those of the first draw, and name the others.

        Returns:
            `references`, the number; `drugs`; `epochs` of the training; `read`, `features` and `classifier`: enrolled
            with and without the reader and trained, each with `pills`, `top1`, `least`, `most`, `spread` and
            `trained`, as of `measure_enrolled`.
        """
        drawn, asked = draw_pills(new, number, self.seed, 0)
        folder = self.work / f"{title}-{number}"
        weights, codes = self._train(folder, drawn)
        named = _names(weights, codes, asked)
        calibration = self.snap.calibration
        enrolled = {
            name: measure_enrolled(new, self.trained, one, number, self.seed, draws=1)
            for name, one in {"read": calibration, "features": replace(calibration, reading=None)}.items()
        }
        classifier = _of(asked, named) | {"trained": _of(self.trained, _names(weights, codes, self.trained))}
        epochs = len(pd.read_csv(folder / "history.csv"))
        return {"references": number, "drugs": len(drawn), "epochs": epochs, **enrolled, "classifier": classifier}

    def _train(self, folder: Path, drawn: Mapping[str, Sequence[Cut]]) -> tuple[Path, list[str]]:
        """Weights of the classifier that is trained with these pills, and the K-code of each class."""
        classes = read_json(self.stage / "manifest/classes.json")
        further = [
            {"index": index, "k_code": code, "edi_codes": [], "name": code}
            for index, code in enumerate(drawn, start=len(classes))
        ]
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "classes.json", classes + further)
        add_crops(self.stage / "crops", drawn, first=len(classes), out=folder / "crops")
        train_classifier(
            crops=folder / "crops",
            classes=folder / "classes.json",
            best=folder / "best.safetensors",
            history=folder / "history.csv",
            events=folder / "events.json",
            resources=folder / "resources.json",
            work=folder / "training",
            settings=self.config.recipe("classifier"),
            steering=self.config.steering,
            training=self.config.training,
            seed=self.config.seed,
            device="cpu",
            threads=self.threads,
        )
        return folder / "best.safetensors", [one["k_code"] for one in classes + further]


def add_crops(crops: Path, drawn: Mapping[str, Sequence[Cut]], *, first: int, out: Path) -> None:
    """Copy a folder of `cut_crops`, with further pills in its training part.

    Args:
        crops: the folder; its validation part stays as it is.
        drawn: pills by K-code, which are classes from `first` on.
        first: number of the classes that are there.
        out: folder, written.
    """
    out.mkdir(exist_ok=True)
    shutil.copyfile(crops / "val.bin", out / "val.bin")
    rows = []
    with ShardWriter(out / "train.bin") as shard:
        shard.add((crops / "train.bin").read_bytes())
        for index, (code, pills) in enumerate(drawn.items(), start=first):
            for number, pill in enumerate(pills):
                offset, length = shard.add(pill.crop)
                names = {"pill_id": f"new:{code}:{number}", "image_id": f"new:{code}:{number}", "k_code": code}
                # the only box there is stands for the label's
                of_box = {"box_from": "label", "iou": 1.0, "domain": "single", "split": "train"}
                rows.append(names | of_box | {"class_index": index, "offset": offset, "length": length})
    table = read_table(crops / "index.parquet", CROPS)
    table = table[table["split"].isin(["train", "val"])]
    write_table(pd.concat([table, make_table(rows, CROPS)], ignore_index=True), out / "index.parquet", CROPS)


@torch.inference_mode()
def _names(weights: Path, codes: Sequence[str], pills: Sequence[Cut]) -> list[str]:
    """K-code of each pill's most probable class."""
    model, side = load_classifier(weights, len(codes))
    named: list[str] = []
    for start in range(0, len(pills), _BATCH):
        crops = np.stack([decode_jpeg(pill.crop) for pill in pills[start : start + _BATCH]])
        logits = model(resize(normalise(torch.from_numpy(crops).permute(0, 3, 1, 2), model), side))
        named += [codes[index] for index in logits.argmax(dim=1).tolist()]
    return named


def _of(pills: Sequence[Cut], named: Sequence[str]) -> dict[str, Any]:
    """`pills`, the share that is named right, and least, most and standard deviation of it over the drugs."""
    codes = np.array([pill.k_code for pill in pills])
    right = pd.Series(codes == np.array(named))
    of_each = right.groupby(codes).mean()
    spread = {"least": of_each.min(), "most": of_each.max(), "spread": of_each.std(ddof=0)}
    return {"pills": len(pills), "top1": float(right.mean())} | {name: float(one) for name, one in spread.items()}
