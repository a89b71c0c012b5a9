"""Tiny stages and models for the tests of training, export and answers: coloured ellipses on grey, made in seconds.

What takes a while is made once in a run of pytest, below its base folder `base`, and shared by all test modules."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from pillsnap.config.config import Answers, Benchmark, Classifier, Crops, Onnx
from pillsnap.config.training import Steering, Trainings
from pillsnap.crops.crop import cut_crop
from pillsnap.files import ShardWriter
from pillsnap.manifest.drugs import LOOK
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.tables.classes import DrugClass, write_classes
from pillsnap.tables.files import make_table, write_table
from pillsnap.tables.schemas import CROPS, LOOKS, MANIFEST, PHOTOS
from pillsnap.tables.schemas import DRUGS as DRUGS_TABLE
from pillsnap.training.history import read_history
from tests.support.once import once_in_a_run

COLOURS = ((200, 40, 40), (40, 160, 60), (50, 70, 210), (230, 200, 60))
"""Of the drugs; the last is that of the drugs that no model sees."""
DRUGS = (
    DrugClass(0, "K-000001", ("643303740",), "가나정"),
    DrugClass(1, "K-000002", ("A01200351", "A01200352"), "다라캡슐"),
    DrugClass(2, "K-000003", (), "마바정"),
)
WIDTH, HEIGHT = 96, 128
PHOTOS_OF = {"train": 10, "val": 5, "test": 6}
UNSEEN_OF = {"unseen_val": ("K-000008", 4), "unseen_test": ("K-000009", 4)}
"""K-code and number of photographs of the drugs that are in no class."""
CROP_SETTINGS = Crops(size=48)
CLASSIFIER = Classifier(
    model="test_resnet", image_size=32, epochs=2, horizon=2, batch=8, learning_rate=2e-3, warmup_epochs=0.5, patience=5
)
DETECTOR_SIZE = 64
READER = Path("weights/pill-reader.safetensors")


@dataclass(frozen=True)
class TinyStage:
    """A stage's files as the rules write them, up to the crops.

    Attributes:
        manifest: CSV by split; `unseen` has both halves of the drugs that no model sees.
        prepared: folder of one archive.
        classes: class list.
        drugs: table of drugs; each has an imprint of its own, which no photograph shows.
        looks: of the same drugs, as an archive's labels tell them.
        crops: folder of crops.
    """

    manifest: dict[str, Path]
    prepared: Path
    classes: Path
    drugs: Path
    looks: Path
    crops: Path


def draw_photo(
    drugs: Sequence[int], seed: int = 0, width: int = WIDTH, height: int = HEIGHT
) -> tuple[np.ndarray, list[tuple[float, float, float, float]]]:
    """A photograph, uint8 (height, width, 3), with one ellipse a drug, and their boxes x, y, w, h in pixels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = random.normal(170, 6, (height, width, 3))
    boxes = []
    for place, drug in enumerate(drugs):
        w, h = (round(width * random.uniform(0.25, 0.4)) for _ in range(2))
        left = round(width * (0.08 + 0.5 * (place % 2)))
        top = round(height * (0.1 + 0.45 * (place // 2)))
        inside = ((x + 0.5 - left - w / 2) / (w / 2)) ** 2 + ((y + 0.5 - top - h / 2) / (h / 2)) ** 2 < 1
        picture[inside] = np.array(COLOURS[drug]) + random.normal(0, 6, (int(inside.sum()), 3))
        boxes.append((float(left), float(top), float(w), float(h)))
    return np.clip(picture, 0, 255).astype(np.uint8), boxes


@once_in_a_run
def tiny_stage(base: Path) -> TinyStage:
    """One tiny stage for all tests of a run: three drugs, every second photograph a combo of three pills; and single
    pills of two drugs in a fourth colour that are in no class."""
    folder = base / "tiny-stage"
    manifest = {name: folder / "manifest" / f"{name}.csv" for name in (*PHOTOS_OF, "unseen")}
    archive = folder / "prepared" / "TS_1"
    archive.mkdir(parents=True)
    pills: list[dict[str, Any]] = []
    photos: list[dict[str, Any]] = []
    with ShardWriter(archive / "photos.bin") as shard:
        for split, count in (PHOTOS_OF | {split: count for split, (_, count) in UNSEEN_OF.items()}).items():
            for number in range(count):
                rows, photo = _store_photo(split, number, shard)
                pills += rows
                photos.append(photo)
    write_table(make_table(photos, PHOTOS), archive / "photos.parquet", PHOTOS)
    for name, path in manifest.items():
        rows = [row for row in pills if row["split"].startswith(name)]
        write_table(make_table(rows, MANIFEST), path, MANIFEST)
    write_classes(DRUGS, folder / "classes.json")
    write_crops(folder / "crops")
    drugs, looks = folder / "drugs.csv", folder / "looks.parquet"
    write_table(make_table(map(_look, DRUGS), DRUGS_TABLE), drugs, DRUGS_TABLE)
    told = [{name: _look(drug)[name] for name in ("k_code", *LOOK)} | {"labels": 9} for drug in DRUGS]
    write_table(make_table(told, LOOKS), looks, LOOKS)
    return TinyStage(manifest, archive, folder / "classes.json", drugs, looks, folder / "crops")


def _look(drug: DrugClass) -> dict[str, Any]:
    named = {"class_index": drug.index, "k_code": drug.k_code, "edi_codes": ",".join(drug.edi_codes)}
    look = {"form": "나정", "shape": "타원형", "colours": "빨강", "imprint_back": ""}
    counts = {f"{split}_pills": count for split, count in PHOTOS_OF.items()}
    return named | {"drug_name": drug.name} | look | {"imprint_front": f"P{drug.index}"} | counts


def _store_photo(split: str, number: int, shard: ShardWriter) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    drugs = [number % 3] if number % 2 == 0 else [0, 1, 2]
    if split in UNSEEN_OF:
        drugs = [len(DRUGS)]
    image_id = f"TS_1.{split}-{number:02d}"
    picture, boxes = draw_photo(drugs, seed=100 * len(split) + number)
    data = encode_jpeg(picture, 95)
    digest = hashlib.sha256(data).hexdigest()
    offset, length = shard.add(data)
    facts = {"image_id": image_id, "sha256": digest, "phash": digest, "width": WIDTH, "height": HEIGHT}
    rows = [
        facts
        | {"archive": "TS_1", "member": f"{image_id}.png", "label_member": f"{image_id}/{place}.json"}
        | {"domain": "single" if len(drugs) == 1 else "combo", "split": split, "group": image_id}
        | _named(drug, split)
        | dict(zip("xywh", box, strict=True))
        | {"fully_labelled": True}
        for place, (drug, box) in enumerate(zip(drugs, boxes, strict=True))
    ]
    return rows, facts | {"offset": offset, "length": length}


def _named(drug: int, split: str) -> dict[str, Any]:
    if split in UNSEEN_OF:
        return {"k_code": UNSEEN_OF[split][0], "edi_codes": "", "class_index": -1, "drug_name": "사아정"}
    known = DRUGS[drug]
    return {
        "k_code": known.k_code,
        "edi_codes": ",".join(known.edi_codes),
        "class_index": drug,
        "drug_name": known.name,
    }


def write_crops(folder: Path, pills: int = 12) -> None:
    """A crops folder as `cut_crops` writes it: so many training pills, half as many of validation and of an unseen
    drug, each second one also as a detector would have seen it."""
    folder.mkdir(parents=True)
    rows = []
    for split, count in (("train", pills), ("val", pills // 2), ("unseen_val", pills // 2)):
        with ShardWriter(folder / f"{split}.bin") as shard:
            for number in range(count):
                drug = len(DRUGS) if split in UNSEEN_OF else number % len(DRUGS)
                named = _named(drug, split)
                picture, (box,) = draw_photo([drug], seed=1000 * len(split) + number)
                seen = {"label": box} | ({"detector": (box[0] + 2, box[1] - 1, *box[2:])} if number % 2 else {})
                for box_from, where in seen.items():
                    crop = cut_crop(picture, list(where), size=CROP_SETTINGS.size, margin=CROP_SETTINGS.margin)
                    offset, length = shard.add(encode_jpeg(crop, 95))
                    image_id = f"TS_1.{split}-{number:02d}"
                    rows.append(
                        {"pill_id": f"{image_id}:{number}", "split": split, "box_from": box_from, "image_id": image_id}
                        | {"domain": "single", "k_code": named["k_code"], "class_index": named["class_index"]}
                        | {"iou": 1.0 if box_from == "label" else 0.8, "offset": offset, "length": length}
                    )
    write_table(make_table(rows, CROPS), folder / "index.parquet", CROPS)


def classifier_job(stage: TinyStage, folder: Path, **changes: Any) -> dict[str, Any]:
    """Arguments of `train_classifier` that write into `folder`; `changes` replace some."""
    return {
        "crops": stage.crops,
        "classes": stage.classes,
        "best": folder / "best.safetensors",
        "history": folder / "history.csv",
        "events": folder / "events.json",
        "resources": folder / "resources.json",
        "work": folder / "work",
        "settings": CLASSIFIER,
        "steering": Steering(),
        "training": Trainings(),
        "seed": 576,
        "device": "cpu",
        "threads": 1,
    } | changes


def recipe(**changes: Any) -> Classifier:
    """The tests' classifier recipe with some settings changed."""
    return Classifier.model_validate(CLASSIFIER.model_dump() | changes)


def without_seconds(history: Path) -> list[dict[str, float | None]]:
    """A history's rows without what no run repeats."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_history(history)]


def same_weights(first: Path, second: Path) -> bool:
    """Whether two weights files hold the same tensors, bit by bit."""
    ours, theirs = load_file(first), load_file(second)
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


@once_in_a_run
def trained_classifier(base: Path) -> dict[str, Any]:
    """One finished classifier for all tests of a run: the arguments that trained it. Change none of its files."""
    from pillsnap.classifier.train_classifier import train_classifier

    job = classifier_job(tiny_stage(base), base / "tiny-classifier")
    train_classifier(**job)
    return job


@once_in_a_run
def untrained_detector(base: Path) -> Path:
    """Weights as `train_detector` publishes them, random ones, biased to find something everywhere."""
    from pillsnap.detector.weights import build_detector, prepare_ultralytics, save_detector

    prepare_ultralytics(base / "ultralytics")
    torch.manual_seed(0)
    model = build_detector("yolo11n.yaml")
    for branch in model.model[-1].cv3:
        torch.nn.init.normal_(branch[-1].weight, std=0.05)
        torch.nn.init.constant_(branch[-1].bias, -1.0)
    # statistics of one batch: with the initial ones the signal dies on its way through the layers
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        model.train()(torch.rand(8, 3, DETECTOR_SIZE, DETECTOR_SIZE))
    save_detector(base / "detector.safetensors", model, image_size=DETECTOR_SIZE)
    return base / "detector.safetensors"


@once_in_a_run
def untrained_checkpoint(base: Path) -> Path:
    """The untrained detector as ultralytics reads it."""
    from pillsnap.detector.weights import load_detector, save_ultralytics_checkpoint

    model = load_detector(untrained_detector(base))
    save_ultralytics_checkpoint(base / "detector.pt", model, image_size=DETECTOR_SIZE, train_args={})
    return base / "detector.pt"


@once_in_a_run
def calibrated(base: Path) -> dict[str, Path]:
    """What `calibrate_answers` makes of the tiny classifier."""
    return calibrate(base, device="cpu", folder=base)


def calibrate(base: Path, *, device: str, folder: Path) -> dict[str, Path]:
    """Run `calibrate_answers` for the tiny classifier; returns what it makes in `folder`."""
    from pillsnap.answers.calibrate_answers import calibrate_answers

    stage = tiny_stage(base)
    made = {"calibration": folder / "calibration.json", "drug_space": folder / "drug_space.safetensors"}
    calibrate_answers(
        classifier=trained_classifier(base)["best"],
        reader=READER,
        drugs=stage.drugs,
        crops=stage.crops,
        settings=Answers(),
        device=device,
        threads=1,
        **made,
    )
    return made


def export_job(base: Path, folder: Path) -> dict[str, Any]:
    """Arguments of `export_onnx` that export the tiny classifier and an untrained detector into `folder`."""
    stage = tiny_stage(base)
    return {
        "detector": untrained_detector(base),
        "classifier": trained_classifier(base)["best"],
        "reader": READER,
        "classes": stage.classes,
        "looks": stage.drugs,
        **calibrated(base),
        "crops": stage.crops,
        "manifest": stage.manifest["val"],
        "prepared": [stage.prepared],
        "onnx_folder": folder / "onnx",
        "work": folder / "work",
        "stage": "stage1",
        # an untrained detector's boxes lie near each other and near every threshold
        "settings": Onnx(calibration_photos=4, min_same_answers=0),
        "crop_settings": CROP_SETTINGS,
        "answer_settings": Benchmark(min_score=0.25, min_score_single=0.05, nms_iou=0.6),
        "detector_image_size": DETECTOR_SIZE,
        "device": "cpu",
        "threads": 1,
    }


@once_in_a_run
def onnx_models(base: Path) -> Path:
    """One folder of `export_onnx` for all tests of a run."""
    from pillsnap.onnx.export_onnx import export_onnx

    folder = base / "tiny-onnx"
    folder.mkdir()
    export_onnx(**export_job(base, folder))
    return folder / "onnx"
