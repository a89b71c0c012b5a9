"""The exported models against PyTorch, and the smaller ones against the full ones."""

from collections.abc import Mapping
from typing import Any

from pillsnap.pages.formats import percent, size
from pillsnap.pages.table import Table, number
from pillsnap.report.inputs import Measured

PRECISIONS = {"fp32": "FP32", "fp16": "FP16, for GPUs", "int8": "INT8, for CPUs"}


def map50_difference(parity: Mapping[str, Any]) -> float | None:
    """Difference in mAP@0.5 between ONNX Runtime and PyTorch; `None` where it cannot be measured."""
    return _difference(parity["detector"]["map50"])


def top1_difference(parity: Mapping[str, Any]) -> float | None:
    """Difference in top-1 between ONNX Runtime and PyTorch."""
    return _difference(parity["classifier"]["top1"])


def _difference(values: Mapping[str, float | None]) -> float | None:
    pytorch, onnx = values["pytorch"], values["onnx"]
    return None if pytorch is None or onnx is None else abs(pytorch - onnx)


def precision_table(measured: Measured) -> Table:
    """mAP@0.5, top-1 and bytes of the smaller networks, on validation."""
    return Table(
        "Smaller networks, on validation",
        ("Precision", *map(number, ("mAP@0.5", "Top-1", "Detector", "Classifier"))),
        [
            [
                PRECISIONS[name],
                percent(found["map50"], 2),
                percent(found["top1"], 2),
                size(found["detector_bytes"]),
                size(found["classifier_bytes"]),
            ]
            for name, found in measured.parity["precisions"].items()
        ],
    )
