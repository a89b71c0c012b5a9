"""What `calibrate_answers`, `export_onnx` and `run_benchmark` write about answers, for the tests of the report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pillsnap.answers.calibration import Calibration
from pillsnap.answers.calibration_metrics import Predictions, calibration_metrics
from pillsnap.manifest.drugs import drug_table
from pillsnap.tables.classes import DrugClass
from pillsnap.tables.schemas import LOOKS

CALIBRATION = Calibration(
    temperature=0.62,
    known_from=0.71,
    known_within=11.5,
    unknown_from=14.25,
    set_from={"0.9": 0.6, "0.95": 0.31, "0.99": 0.04},
    precision=0.99,
    coverage=0.95,
    kept=0.95,
)
DRUGS = 8


def trust(pills: int = 400, strangers: int = 60, seed: int = 3) -> dict[str, Any] | None:
    """Figures of invented pills: most named right, the others with less probability, strangers farther away."""
    random = np.random.default_rng(seed)
    return calibration_metrics(_named(random, pills), _strangers(random, strangers), CALIBRATION)


def _named(random: np.random.Generator, pills: int) -> Predictions:
    targets = random.integers(0, DRUGS, pills)
    logits = random.normal(0, 0.8, (pills, DRUGS)).astype(np.float32)
    logits[np.arange(pills), targets] += random.uniform(0, 6, pills)
    return Predictions(logits, random.normal(9, 2, pills), targets)


def _strangers(random: np.random.Generator, pills: int) -> Predictions:
    if not pills:
        return Predictions.empty(DRUGS)
    logits = random.normal(0, 1.2, (pills, DRUGS)).astype(np.float32)
    return Predictions(logits, random.normal(17, 3, pills), np.full(pills, -1))


def calibration(strangers: int = 60) -> dict[str, Any]:
    """`calibration.json`."""
    return {"calibration": CALIBRATION.to_json(), "validation": trust(300, strangers, seed=5)}


def same_pill() -> dict[str, Any]:
    """What `run_benchmark` says of answers to both sides of a pill."""
    one = {"top1": 0.931, "ece": 0.0241, "known": 0.59, "known_right": 0.9969, "unknown": 0.05}
    both = {"top1": 0.9645, "ece": 0.0187, "known": 0.7125, "known_right": 1.0, "unknown": 0.0475}
    return {
        "photos": 204,
        "usable": 200,
        "pairs": 1032,
        "calibrated": True,
        "one": one | {"unseen": 60, "unseen_not_known": 0.9833},
        "both": both | {"unseen": 840, "unseen_not_known": 0.9988},
        "unlike": {"pairs": 3900, "known": 0.0013},
    }


def percentiles(p50: float) -> dict[str, float]:
    return {"p50_ms": p50, "p95_ms": round(p50 * 1.4, 3), "p99_ms": round(p50 * 1.7, 3)}


def _timed(**steps: float) -> dict[str, Any]:
    total = {"total": sum(steps.values())}
    return {name: percentiles(p50) for name, p50 in (steps | total).items()} | {"n": 100, "mean_pills": 1.0}


def latency(modes: tuple[str, ...] = ("single", "combo")) -> dict[str, Any]:
    """`latency.json` of a test part that has photographs of these modes."""
    graph, crops, named = {"single": 21.0, "combo": 33.5}, {"single": 0.6, "combo": 2.2}, {"single": 6.5, "combo": 18.0}
    sides = {"1": ("single", 25.0), "4": ("combo", 37.5), "8": ("combo", 48.0)}
    return {
        "device": "cpu",
        "threads": 2,
        "warmup": 10,
        "photos": "test photographs, as JPEG",
        **{mode: _timed(decode=4.0, graph=graph[mode]) for mode in modes},
        "steps": {mode: _timed(decode=4.0, detector=17.0, crop=crops[mode], classifier=named[mode]) for mode in modes},
        "throughput": {mode: {"workers": 2, "photos_per_second": 51.25} for mode in modes},
        "devices": {"cpu": {mode: percentiles(27.5) for mode in modes}},
        "side_by_side": {pills: _ways(fused) for pills, (mode, fused) in sides.items() if mode in modes},
    }


def _ways(fused: float) -> dict[str, Any]:
    times = {"fused": 1.0, "int8": 0.75, "steps": 1.25, "pytorch": 2.75}
    return {way: percentiles(fused * slower) | {"times": slower} for way, slower in times.items()} | {"n": 100}


def same_answers(photos: int) -> dict[str, Any]:
    """What `agreement` says of the fused graph and the single steps."""
    return {"photos": photos, "same_pills": 1.0, "same_top1": 0.9975, "max_box_error_px": 0.2}


def parity() -> dict[str, Any]:
    """`parity.json`."""
    both = {"pytorch": 0.9871, "onnx": 0.9868}
    sizes = {"fp32": (10465866, 5292383), "fp16": (5295254, 2807684), "int8": (2977988, 1646717)}
    return {
        "opset": 18,
        "detector": {"photos": 64, "max_box_error_px": 1.2e-4, "max_score_error": 8.3e-8, "map50": both},
        "classifier": {
            "crops": 64,
            "max_logit_error": 3.8e-6,
            "max_distance_error": 2.4e-4,
            "max_relative_distance_error": 3.1e-4,
            "same_top1": 1.0,
            "top1": {"pytorch": 0.925, "onnx": 0.925},
        },
        "fused": same_answers(64),
        "precisions": {
            name: {"map50": 0.9871, "top1": 0.925, "detector_bytes": detector, "classifier_bytes": classifier}
            for name, (detector, classifier) in sizes.items()
        },
    }


def drugs(names: Sequence[str]) -> pd.DataFrame:
    """`drugs.csv`: the first two differ by imprint only, the third and fourth in colour, the source tells no others."""
    looks = [
        ("필름코팅정", "원형", "하양", "AB12", ""),
        ("필름코팅정", "원형", "하양", "CD34", ""),
        ("나정", "타원형", "노랑", "EF", "분할선"),
        ("나정", "타원형", "파랑,하양", "EF", "분할선"),
    ]
    classes = [DrugClass(index, f"K-{index:06d}", ("643303740",), name) for index, name in enumerate(names)]
    said = pd.DataFrame([(f"K-{index:06d}", *look, 9) for index, look in enumerate(looks)], columns=list(LOOKS.columns))
    kept = pd.DataFrame({"k_code": [drug.k_code for drug in classes], "split": "train"})
    return drug_table(classes, kept, said)


def model_bytes() -> dict[str, int]:
    """Sizes of the delivered files."""
    parts = {"detector": 10465866, "classifier": 5292383, "pipeline": 15716529}
    shrunk = {"": 1, ".fp16": 2, ".int8": 3.5}
    return {f"{name}{kind}.onnx": int(size / by) for name, size in parts.items() for kind, by in shrunk.items()}
