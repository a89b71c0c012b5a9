"""Export detector, classifier and both as one graph to ONNX, and check them on validation."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from pillsnap.answers.calibration import Calibration
from pillsnap.answers.drug_space import DrugSpace
from pillsnap.config.config import Benchmark, Crops, Onnx
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import read_json, replacing_folder, write_json
from pillsnap.hardware import use_threads
from pillsnap.onnx import parity
from pillsnap.onnx import pipeline as fused
from pillsnap.onnx.networks import ClassifierGraph, DetectorGraph, classifier_graph, detector_graph, export_network
from pillsnap.onnx.precisions import PRECISIONS, half_precision, quantized
from pillsnap.onnx.steps import OPSET
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.nms import MAX_BOXES
from pillsnap.tables.classes import classes_to_json, read_classes
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import MANIFEST
from pillsnap.workflow.provenance import git_commit

log = logging.getLogger(__name__)

NAMES = ("detector", "classifier", "pipeline")


class ParityError(ValueError):
    """Models that differ by more than the configuration allows."""


def export_onnx(
    *,
    detector: Path,
    classifier: Path,
    classes: Path,
    calibration: Path,
    drug_space: Path,
    crops: Path,
    manifest: Path,
    prepared: Sequence[Path],
    onnx_folder: Path,
    work: Path,
    stage: str,
    settings: Onnx,
    crop_settings: Crops,
    answer_settings: Benchmark,
    detector_image_size: int,
    threads: int,
) -> None:
    """Write `detector`, `classifier` and `pipeline`, each as `.onnx`, `.fp16.onnx` and `.int8.onnx`, and `parity.json`.

    Args:
        detector: safetensors of `train_detector`.
        classifier: safetensors of `train_classifier`.
        classes: class list of `build_manifest`.
        calibration, drug_space: of `calibrate_answers`.
        crops: folder of `cut_crops`; validation crops are compared.
        manifest: validation manifest; its photographs are compared.
        prepared: folders of `prepare_archive`.
        onnx_folder: written whole.
        work: folder for ultralytics' own settings.
        stage: name put into the models' metadata.
        settings: tolerances and amounts.
        crop_settings, answer_settings, detector_image_size: what an answer needs to know, stored with the models.
        threads: threads of arithmetic on the CPU.

    Raises:
        ParityError: a difference above the tolerance; nothing is written.
    """
    use_threads(threads)
    drugs = read_classes(classes)
    found, named = detector_graph(detector, work), classifier_graph(classifier, len(drugs))
    space, chosen = DrugSpace.load(drug_space), Calibration.from_json(read_json(calibration)["calibration"])
    photos = parity.validation_photos(read_table(manifest, MANIFEST), prepared, settings.parity_photos)
    val_crops, targets = _validation_crops(crops, settings.parity_photos)
    joined = fused.AnswerSettings(
        image_size=detector_image_size,
        crop_size=crop_settings.size,
        crop_margin=crop_settings.margin,
        min_score=answer_settings.min_score,
        nms_iou=answer_settings.nms_iou,
        temperature=chosen.temperature,
        drugs=len(drugs),
    )
    facts = {
        **{"stage": stage, "commit": git_commit(), "licence": "AGPL-3.0-only", "opset": OPSET},
        **{key: value for key, value in asdict(joined).items() if key != "drugs"},
        **{"min_score_single": answer_settings.min_score_single, "most_pills": MAX_BOXES},
        **{"classes": classes_to_json(drugs), "calibration": chosen.to_json()},
        "preprocessing": "uint8 RGB, upright; letterbox, scaling and normalisation are part of the graph",
    }
    with replacing_folder(onnx_folder) as folder:
        squares = np.stack(
            [letterbox(p.picture, detector_image_size)[0] for p in photos[: settings.calibration_photos]]
        )
        networks = _networks(found, named, squares, val_crops[: settings.calibration_photos])
        for precision, (finder, namer) in networks.items():
            namer = fused.with_distances(namer, space)
            whole = fused.pipeline(finder, namer, joined)
            for name, model in zip(NAMES, (finder, namer, whole), strict=True):
                _save(model, file_of(folder, name, precision), facts | {"precision": precision})
        reached = _compare(folder, found, named, space, photos, val_crops, targets, detector_image_size, joined.nms_iou)
        _check(reached, settings)
        write_json(folder / "parity.json", reached)
    log.info("%s", json.dumps(reached))


def file_of(folder: Path, name: str, precision: str) -> Path:
    """Where one of `NAMES` lies in one of the precisions."""
    return folder / (f"{name}.onnx" if precision == "fp32" else f"{name}.{precision}.onnx")


def _networks(
    found: DetectorGraph, named: ClassifierGraph, squares: np.ndarray, crops: np.ndarray
) -> dict[str, tuple[onnx.ModelProto, onnx.ModelProto]]:
    """Detector and classifier by precision; pictures and crops give the ranges of INT8."""
    finder = export_network(found, torch.from_numpy(np.resize(squares, (2, *squares.shape[1:]))), "pictures", ["boxes"])
    namer = export_network(
        named, torch.from_numpy(np.resize(crops, (2, *crops.shape[1:]))), "crops", ["logits", "features"]
    )
    return {
        "fp32": (finder, namer),
        "fp16": (half_precision(finder), half_precision(namer)),
        "int8": (quantized(finder, squares), quantized(namer, crops)),
    }


def _save(model: onnx.ModelProto, path: Path, facts: dict[str, Any]) -> None:
    # torch and the quantizer write source paths, stack traces and tool names; they say nothing of the model
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = "pillsnap", json.dumps(facts, ensure_ascii=False)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _validation_crops(crops: Path, at_most: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, S, S, 3) and class indices (N,)."""
    data = CropDataset(crops, "val")
    chosen = range(0, len(data), -(-len(data) // at_most))
    pictures = np.stack([data[(pill, 0.0)][0].permute(1, 2, 0).numpy() for pill in chosen])
    return pictures, data.targets.numpy()[list(chosen)]


def _compare(
    folder: Path,
    found: DetectorGraph,
    named: ClassifierGraph,
    space: DrugSpace,
    photos: Sequence[parity.Photo],
    crops: np.ndarray,
    targets: np.ndarray,
    image_size: int,
    nms_iou: float,
) -> dict[str, Any]:
    detector, classifier = (file_of(folder, name, "fp32") for name in ("detector", "classifier"))
    return {
        "opset": OPSET,
        "detector": parity.compare_detector(found, detector, photos, image_size, nms_iou),
        "classifier": parity.compare_classifier(named, space, classifier, crops, targets),
        "fused": parity.compare_fused(folder, photos, torch.get_num_threads()),
        "precisions": {
            precision: parity.accuracy_of(
                *(file_of(folder, name, precision) for name in ("detector", "classifier")),
                photos,
                crops,
                targets,
                nms_iou,
            )
            for precision in PRECISIONS
        },
    }


def _check(reached: dict[str, Any], settings: Onnx) -> None:
    """Compare what was reached with what is allowed; mAP cannot be compared where no photograph is fully labelled."""
    detector, classifier, whole = (reached[name] for name in ("detector", "classifier", "fused"))
    maps, tops = detector["map50"], classifier["top1"]
    differences = {
        "max_box_error": detector["max_box_error_px"],
        "max_logit_error": classifier["max_logit_error"],
        "max_map50_difference": 0.0 if None in maps.values() else abs(maps["pytorch"] - maps["onnx"]),
        "max_top1_difference": abs(tops["pytorch"] - tops["onnx"]),
    }
    for key, difference in differences.items():
        if not difference <= getattr(settings, key):
            raise ParityError(
                f"onnx.{key} = {getattr(settings, key)}: ONNX Runtime differs from PyTorch by {difference}. Nothing is "
                "exported."
            )
    if not whole["same_top1"] >= settings.min_same_answers:
        raise ParityError(
            f"onnx.min_same_answers = {settings.min_same_answers}: the fused graph and the single steps answer only "
            f"{whole['same_top1']} of the photographs alike. Nothing is exported."
        )
