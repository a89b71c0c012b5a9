"""Facts of the delivered models: do they agree with PyTorch and each other, what do smaller ones cost, how fast."""

from collections.abc import Mapping
from typing import Any

from pillsnap.pages.formats import MISSING, count, decimal, figure, milliseconds, percent, plural, size, tiny
from pillsnap.pages.quarantine import Rows
from pillsnap.report.inputs import Measured

PERCENTILES = ("p50", "p95", "p99")
FUSED_STEPS = ("decode", "graph", "total")
SINGLE_STEPS = ("decode", "detector", "crop", "classifier", "total")
WAYS = {
    "fused": "One fused graph",
    "int8": "One fused graph in INT8",
    "steps": "Three steps, ONNX Runtime",
    "pytorch": "ultralytics + timm, PyTorch",
}
"""Ways to an answer that are timed side by side; INT8 on the CPU only."""
DEVICES = {"cpu": "CPU", "cuda": "GPU, CUDA", "tensorrt": "GPU, TensorRT"}
PRECISIONS = {"fp32": "FP32", "fp16": "FP16, for GPUs", "int8": "INT8, for CPUs"}


def map50_difference(parity: Mapping[str, Any]) -> float | None:
    """How far mAP@0.5 of ONNX Runtime and PyTorch are apart; `None` where it cannot be measured."""
    return _difference(parity["detector"]["map50"])


def top1_difference(parity: Mapping[str, Any]) -> float | None:
    """How far top-1 of ONNX Runtime and PyTorch are apart."""
    return _difference(parity["classifier"]["top1"])


def _difference(values: Mapping[str, float | None]) -> float | None:
    return None if None in values.values() else abs(values["pytorch"] - values["onnx"])


def parity_rows(inputs: Measured) -> Rows:
    """What was compared with what, on how many, the largest difference, and what is allowed."""
    parity, allowed, tested = inputs.parity, inputs.config["onnx"], inputs.accuracy["fused"]
    detector, classifier, fused = (parity[name] for name in ("detector", "classifier", "fused"))
    photos, crops = plural(detector["photos"], "photo"), plural(classifier["crops"], "crop")
    least = f"at least {percent(allowed['min_same_answers'], 0)}"
    same = [("validation", fused, least), ("test", tested, "")]
    return [
        [
            "Detector: box coordinates",
            photos,
            f"{tiny(detector['max_box_error_px'])} px",
            f"{tiny(allowed['max_box_error'])} px",
        ],
        ["Detector: scores", photos, tiny(detector["max_score_error"]), ""],
        ["Detector: mAP@0.5", photos, tiny(map50_difference(parity)), tiny(allowed["max_map50_difference"])],
        ["Classifier: logits", crops, tiny(classifier["max_logit_error"]), tiny(allowed["max_logit_error"])],
        ["Classifier: distances", crops, tiny(classifier["max_distance_error"]), ""],
        ["Classifier: top-1", crops, tiny(top1_difference(parity)), tiny(allowed["max_top1_difference"])],
        *(
            row
            for word, one, share in same
            for row in (
                [
                    f"Fused graph and steps, {word}: same pills",
                    plural(one["photos"], "photo"),
                    percent(one["same_pills"], 2),
                    "",
                ],
                [
                    f"Fused graph and steps, {word}: same drugs too",
                    plural(one["photos"], "photo"),
                    percent(one["same_top1"], 2),
                    share,
                ],
            )
        ),
    ]


def precision_rows(parity: Mapping[str, Any]) -> Rows:
    """What the smaller networks cost and save, on validation: mAP@0.5, top-1 and bytes of each."""
    return [
        [
            PRECISIONS[name],
            percent(found["map50"], 2),
            percent(found["top1"], 2),
            size(found["detector_bytes"]),
            size(found["classifier_bytes"]),
        ]
        for name, found in parity["precisions"].items()
    ]


def latency_rows(latency: Mapping[str, Any], steps: tuple[str, ...]) -> Rows:
    """Milliseconds by step: the three percentiles of single, then of combo."""
    return [
        [
            "Whole answer" if step == "total" else step.capitalize(),
            *(
                milliseconds(figure(latency, f"{mode}.{step}.{p}_ms"))
                for mode in ("single", "combo")
                for p in PERCENTILES
            ),
        ]
        for step in steps
    ]


def device_rows(latency: Mapping[str, Any]) -> Rows:
    """Milliseconds of whole answers on each device: the three percentiles of single, then of combo."""
    return [
        [
            DEVICES.get(device, device),
            *(milliseconds(figure(found, f"{mode}.{p}_ms")) for mode in ("single", "combo") for p in PERCENTILES),
        ]
        for device, found in latency["devices"].items()
    ]


def side_by_side_rows(latency: Mapping[str, Any]) -> Rows:
    """Each way to an answer, by the number of pills: percentiles, and its median as a multiple of the fused graph's."""
    return [
        [
            plural(int(pills), "pill"),
            words,
            *(milliseconds(ways[name][f"{p}_ms"]) for p in PERCENTILES),
            f"{decimal(ways[name]['times'])}×",
        ]
        for pills, ways in latency["side_by_side"].items()
        for name, words in WAYS.items()
        if name in ways
    ]


def throughput_rows(latency: Mapping[str, Any]) -> Rows:
    """Photographs a second where so many are asked for at once."""
    found = latency["throughput"]
    return [
        [
            mode.capitalize(),
            count(figure(found, f"{mode}.workers")),
            decimal(figure(found, f"{mode}.photos_per_second"), 1) if mode in found else MISSING,
        ]
        for mode in ("single", "combo")
    ]
