"""Export both models to ONNX and check ONNX Runtime against PyTorch."""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import timm
import torch
from safetensors import safe_open
from torch import nn

from pillsnap.classes import classes_to_json, read_classes
from pillsnap.config import Benchmark, Crops, Onnx
from pillsnap.crop_data import CropDataset, normalise, resize
from pillsnap.detector_weights import load_detector, prepare_ultralytics
from pillsnap.files import read_from_shard, replacing, replacing_folder, write_json
from pillsnap.hardware import use_threads
from pillsnap.identify import letterbox
from pillsnap.pictures import decode_jpeg
from pillsnap.provenance import git_commit
from pillsnap.tables import MANIFEST, PHOTOS, read_table

log = logging.getLogger(__name__)


class ParityError(ValueError):
    """ONNX Runtime and PyTorch differ by more than the configuration allows."""


class DetectorGraph(nn.Module):
    """uint8 (N, S, S, 3) letterboxed RGB -> float32 (N, anchors, 5): centre x, centre y, w, h in pixels, score."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        output = self.model(pictures.permute(0, 3, 1, 2).float() / 255)
        return (output[0] if isinstance(output, tuple | list) else output).permute(0, 2, 1)


class ClassifierGraph(nn.Module):
    """uint8 (N, S, S, 3) RGB crops -> float32 (N, classes) logits."""

    def __init__(self, model: nn.Module, image_size: int) -> None:
        super().__init__()
        self.model = model
        self.image_size = image_size

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.model(resize(normalise(crops.permute(0, 3, 1, 2), self.model), self.image_size))


def export_onnx(
    *,
    detector: Path,
    classifier: Path,
    classes: Path,
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
    """Write `detector.onnx`, `classifier.onnx` and `parity.json`.

    Args:
        detector: safetensors of `train_detector`.
        classifier: safetensors of `train_classifier`.
        classes: class list of `build_manifest`.
        crops: folder of `cut_crops`; validation crops are compared.
        manifest: validation manifest; its photographs are compared.
        prepared: folders of `prepare_archive`.
        onnx_folder: written whole.
        work: folder for ultralytics' own settings.
        stage: name put into the models' metadata.
        settings: opset and tolerances.
        crop_settings, answer_settings, detector_image_size: what an answer needs to know, stored with the models.
        threads: threads of arithmetic on the CPU.

    Raises:
        ParityError: a difference above the tolerance; nothing is written.
    """
    use_threads(threads)
    facts = {"stage": stage, "commit": git_commit(), "licence": "AGPL-3.0-only"}
    found = _load_detector(detector, work)
    named, image_size = _load_classifier(classifier, len(read_classes(classes)))
    photos = _validation_photos(manifest, prepared, detector_image_size, settings.parity_photos)
    val_crops = _validation_crops(crops, settings.parity_photos)
    with replacing_folder(onnx_folder) as folder:
        _export(found, photos[:1], "pictures", "boxes", folder / "detector.onnx", settings.opset)
        _export(named, val_crops[:2], "crops", "logits", folder / "classifier.onnx", settings.opset)
        answers = {"min_score": answer_settings.min_score, "nms_iou": answer_settings.nms_iou}
        _describe(folder / "detector.onnx", facts | {"image_size": detector_image_size} | answers)
        drugs = {"classes": classes_to_json(read_classes(classes)), "image_size": image_size}
        window = {"crop_size": crop_settings.size, "crop_margin": crop_settings.margin}
        _describe(folder / "classifier.onnx", facts | drugs | window)
        parity = {
            "opset": settings.opset,
            "detector": _compare_detector(found, folder / "detector.onnx", photos),
            "classifier": _compare_classifier(named, folder / "classifier.onnx", val_crops),
        }
        _check(parity, settings)
        write_json(folder / "parity.json", parity)
    log.info("%s", json.dumps(parity))


def _load_detector(weights: Path, work: Path) -> nn.Module:
    prepare_ultralytics(work)
    model = load_detector(weights).fuse(verbose=False).eval()
    head = model.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", False
    return DetectorGraph(model).eval()


def _load_classifier(weights: Path, n_classes: int) -> tuple[nn.Module, int]:
    with safe_open(weights, framework="pt") as stored:
        facts = json.loads(stored.metadata()["pillsnap"])
        state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    model = timm.create_model(facts["model"], num_classes=n_classes, **(facts["model_args"] or {}))
    model.load_state_dict(state)
    return ClassifierGraph(model, facts["image_size"]).eval(), facts["image_size"]


def _export(graph: nn.Module, example: np.ndarray, inputs: str, outputs: str, path: Path, opset: int) -> None:
    # a batch of 2 as example: torch.export would take a batch of 1 for a constant
    example = np.concatenate([example, example])[:2]
    for name in ("onnx_ir", "onnxscript"):  # they tell every step of the optimizer
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # ultralytics' head stores its anchors as it runs; the graph computes them
        warnings.filterwarnings("ignore", message="The tensor attributes? .* assigned during export")
        program = torch.onnx.export(
            graph,
            (torch.from_numpy(example),),
            input_names=[inputs],
            output_names=[outputs],
            opset_version=opset,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
            dynamo=True,
            verbose=False,
        )
    program.save(path, external_data=False)


def _describe(path: Path, facts: dict[str, Any]) -> None:
    model = onnx.load(path)
    # torch writes source paths and stack traces into every node; they say nothing of the model
    for node in model.graph.node:
        del node.metadata_props[:]
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = "pillsnap", json.dumps(facts, ensure_ascii=False)
    onnx.checker.check_model(model)
    with replacing(path) as temporary:
        onnx.save(model, temporary)


def _validation_photos(manifest: Path, prepared: Sequence[Path], size: int, count: int) -> np.ndarray:
    """The first photographs of the validation part, letterboxed: uint8 (N, size, size, 3)."""
    wanted = list(dict.fromkeys(read_table(manifest, MANIFEST)["image_id"]))
    step = max(1, len(wanted) // count)
    chosen = set(wanted[::step][:count])
    pictures = []
    for archive in prepared:
        stored: pd.DataFrame = read_table(archive / "photos.parquet", PHOTOS)
        with (archive / "photos.bin").open("rb") as shard:
            for row in stored[stored["image_id"].isin(chosen)].itertuples():
                pictures.append(letterbox(decode_jpeg(read_from_shard(shard, row.offset, row.length)), size)[0])
    return np.stack(pictures)


def _validation_crops(crops: Path, count: int) -> np.ndarray:
    data = CropDataset(crops, "val")
    step = max(1, len(data) // count)
    chosen = range(0, len(data), step)[:count]
    return np.stack([data[(pill, 0.0)][0].permute(1, 2, 0).numpy() for pill in chosen])


def _run_both(graph: nn.Module, path: Path, inputs: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pairs = []
    with torch.inference_mode():
        for start in range(0, len(inputs), 8):
            batch = inputs[start : start + 8]
            pairs.append((graph(torch.from_numpy(batch)).numpy(), session.run(None, {name: batch})[0]))
    return np.concatenate([ours for ours, _ in pairs]), np.concatenate([theirs for _, theirs in pairs])


def _compare_detector(graph: nn.Module, path: Path, photos: np.ndarray) -> dict[str, Any]:
    ours, theirs = _run_both(graph, path, photos, "pictures")
    return {
        "photos": len(photos),
        "max_box_error_px": float(np.abs(ours[..., :4] - theirs[..., :4]).max()),
        "max_score_error": float(np.abs(ours[..., 4] - theirs[..., 4]).max()),
    }


def _compare_classifier(graph: nn.Module, path: Path, crops: np.ndarray) -> dict[str, Any]:
    ours, theirs = _run_both(graph, path, crops, "crops")
    return {
        "crops": len(crops),
        "max_logit_error": float(np.abs(ours - theirs).max()),
        "same_top1": float((ours.argmax(1) == theirs.argmax(1)).mean()),
    }


def _check(parity: dict[str, Any], settings: Onnx) -> None:
    boxes, logits = parity["detector"]["max_box_error_px"], parity["classifier"]["max_logit_error"]
    for key, reached, allowed in (
        ("onnx.max_box_error", boxes, settings.max_box_error),
        ("onnx.max_logit_error", logits, settings.max_logit_error),
    ):
        if not reached <= allowed:
            raise ParityError(
                f"{key} = {allowed}: ONNX Runtime differs from PyTorch by {reached}. Nothing is exported."
            )
