"""Export detector, classifier and the whole pipeline to ONNX, and check their parity on validation."""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from pillsnap.answers.calibration import Calibration
from pillsnap.answers.drug_space import DrugSpace
from pillsnap.answers.naming import Imprints
from pillsnap.config.config import Benchmark, Crops, Onnx
from pillsnap.crops.dataset import CropDataset
from pillsnap.files import read_json, replacing_folder, write_json
from pillsnap.hardware import torch_device, usable_threads, use_threads
from pillsnap.onnx import parity
from pillsnap.onnx.networks import ClassifierGraph, DetectorGraph, classifier_graph, detector_graph, export_network
from pillsnap.onnx.pipeline import AnswerSettings, pipeline, with_distances
from pillsnap.onnx.precisions import PRECISIONS, half_precision, quantized
from pillsnap.onnx.steps import OPSET
from pillsnap.predict.letterbox import letterbox
from pillsnap.predict.nms import MAX_BOXES
from pillsnap.reader.looks import looks_of
from pillsnap.tables.classes import classes_to_json, read_classes
from pillsnap.tables.files import read_table
from pillsnap.tables.schemas import DRUGS, MANIFEST
from pillsnap.workflow.provenance import git_commit

log = logging.getLogger(__name__)

NAMES = ("detector", "classifier", "pipeline")


class ParityError(ValueError):
    """ONNX models that differ from PyTorch by more than the configuration allows."""


def export_onnx(
    *,
    detector: Path,
    classifier: Path,
    reader: Path | None,
    classes: Path,
    looks: Path,
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
    device: str,
    threads: int,
) -> None:
    """Write `detector`, `classifier` and `pipeline`, each as `.onnx`, `.fp16.onnx` and `.int8.onnx`, and `parity.json`.

    Args:
        detector: safetensors of `train_detector`.
        classifier: safetensors of `train_classifier`.
        reader: weights of the reader; `None`: nothing is read.
        classes: class list of `build_manifest`.
        looks: table of drugs of `build_manifest`, schema `DRUGS`, with their imprints.
        calibration, drug_space: of `calibrate_answers`.
        crops: folder of `cut_crops`; validation crops are compared.
        manifest: validation manifest; its photographs are compared.
        prepared: folders of `prepare_archive`.
        onnx_folder: written whole.
        work: folder for ultralytics' own settings.
        stage: name put into the models' metadata.
        settings: tolerances and amounts.
        crop_settings, answer_settings, detector_image_size: settings of an answer, stored with the models.
        device: `auto`, `cpu` or `cuda`, of the comparison; what is exported is the same. `parity.json` has the key
            `device` where it was made on a GPU.
        threads: threads of arithmetic on the CPU.

    Raises:
        ParityError: a difference above the tolerance; nothing is written.
        HardwareError: `cuda` was requested and does not work.
    """
    use_threads(threads)
    on_gpu = torch_device(device) == "cuda"
    drugs = read_classes(classes)
    space, fitted = DrugSpace.load(drug_space), Calibration.from_json(read_json(calibration)["calibration"])
    imprints = Imprints.of_drugs(looks_of(read_table(looks, DRUGS)))
    photos = parity.validation_photos(read_table(manifest, MANIFEST), prepared, settings.parity_photos)
    val_crops, targets = _validation_crops(crops, settings.parity_photos)
    answer = AnswerSettings(
        image_size=detector_image_size,
        crop_size=crop_settings.size,
        crop_margin=crop_settings.margin,
        min_score=answer_settings.min_score,
        nms_iou=answer_settings.nms_iou,
        temperature=fitted.temperature,
        drugs=len(drugs),
    )
    facts = {
        **{"stage": stage, "commit": git_commit(), "licence": "AGPL-3.0-only", "opset": OPSET},
        **{key: value for key, value in asdict(answer).items() if key != "drugs"},
        **{"min_score_single": answer_settings.min_score_single, "most_pills": MAX_BOXES},
        **{"classes": classes_to_json(drugs), "calibration": fitted.to_json()},
        "preprocessing": "uint8 RGB, upright; letterbox, scaling and normalisation are part of the graph",
    }
    # a reader whose reading cannot be calibrated is left out
    graphs = (
        detector_graph(detector, work),
        classifier_graph(classifier, len(drugs), reader if fitted.reading else None),
    )
    squares = [letterbox(p.picture, detector_image_size)[0] for p in photos[: settings.calibration_photos]]
    networks = _export_networks(*graphs, np.stack(squares), val_crops[: settings.calibration_photos])
    with replacing_folder(onnx_folder) as folder:
        for precision, (detector_onnx, classifier_onnx) in networks.items():
            classifier_onnx = with_distances(classifier_onnx, space, imprints, fitted)
            whole = pipeline(detector_onnx, classifier_onnx, answer)
            for name, model in zip(NAMES, (detector_onnx, classifier_onnx, whole), strict=True):
                _save(model, file_of(folder, name, precision), facts | {"precision": precision})
        reached = _compare(
            folder, *graphs, space, imprints, fitted, photos, val_crops, targets, answer.nms_iou, device, threads
        ) | ({"device": "cuda"} if on_gpu else {})
        _check(reached, settings)
        write_json(folder / "parity.json", reached)
    log.info("%s", json.dumps(reached))


def file_of(folder: Path, name: str, precision: str) -> Path:
    """Path of one of `NAMES` in one of the precisions."""
    return folder / (f"{name}.onnx" if precision == "fp32" else f"{name}.{precision}.onnx")


def _export_networks(
    detector: DetectorGraph, classifier: ClassifierGraph, squares: np.ndarray, crops: np.ndarray
) -> dict[str, tuple[onnx.ModelProto, onnx.ModelProto]]:
    """Detector and classifier by precision; pictures and crops give the ranges of INT8."""
    two_squares, two_crops = (torch.from_numpy(np.resize(each, (2, *each.shape[1:]))) for each in (squares, crops))
    detector_onnx = export_network(detector, two_squares, "pictures", ["boxes"])
    classifier_onnx = export_network(classifier, two_crops, "crops", classifier.outputs)
    return {
        "fp32": (detector_onnx, classifier_onnx),
        "fp16": (half_precision(detector_onnx), half_precision(classifier_onnx)),
        "int8": (quantized(detector_onnx, squares), quantized(classifier_onnx, crops)),
    }


def _save(model: onnx.ModelProto, path: Path, facts: dict[str, Any]) -> None:
    # source paths, stack traces and tool names of torch and the quantizer would differ between machines
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
    pictures = np.stack([data.picture(pill, box_from="label").permute(1, 2, 0).numpy() for pill in chosen])
    return pictures, data.targets.numpy()[list(chosen)]


def _compare(
    folder: Path,
    detector: DetectorGraph,
    classifier: ClassifierGraph,
    space: DrugSpace,
    imprints: Imprints,
    calibration: Calibration,
    photos: Sequence[parity.Photo],
    crops: np.ndarray,
    targets: np.ndarray,
    nms_iou: float,
    device: str,
    threads: int,
) -> dict[str, Any]:
    """The content of `parity.json`."""
    detectors, classifiers = (
        {precision: file_of(folder, name, precision) for precision in PRECISIONS} for name in ("detector", "classifier")
    )
    torch.backends.cudnn.allow_tf32 = False  # PyTorch in FP32, as ONNX Runtime computes
    with ThreadPoolExecutor(usable_threads(threads)) as pool:
        boxes, found = parity.compare_detectors(detector, detectors, photos, nms_iou=nms_iou, device=device, pool=pool)
        logits, top1 = parity.compare_classifiers(
            classifier, space, imprints, calibration, classifiers, crops, targets, device=device, pool=pool
        )
        fused = parity.compare_fused(folder, photos, found["fp32"], device=device, pool=pool)
    precisions = {
        precision: {
            "map50": parity.map50(photos, found[precision]),
            "top1": top1[precision],
            "detector_bytes": detectors[precision].stat().st_size,
            "classifier_bytes": classifiers[precision].stat().st_size,
        }
        for precision in PRECISIONS
    }
    return {"opset": OPSET, "detector": boxes, "classifier": logits, "fused": fused, "precisions": precisions}


def _check(reached: dict[str, Any], settings: Onnx) -> None:
    """Hold the differences against the tolerances; mAP is left out where no photograph is fully labelled."""
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
