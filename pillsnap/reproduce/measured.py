"""Measured files and parts of files of a stage, which differ from run to run: durations, memory, times of day."""

from fnmatch import fnmatch

WHOLE = (
    "preflight.json",
    "*/resources.json",
    "benchmark/latency.json",
    "figures/durations.svg",
    "figures/latency.svg",
    "figures/side_by_side.svg",
    "model_card.md",
    "report.html",
)
"""Files below a stage's folder with durations, memory or free disk in their text."""
PARTS = {
    "*/history.csv": {"seconds"},
    "metrics.json": {"latency", "environment"},
    "provenance/*": {"ended", "seconds", "commit", "device", "inputs", "outputs"},
    "onnx/*.onnx": {"commit"},
}
"""Measured columns, keys at the top, or entries of an ONNX file's metadata in an otherwise equal file. Hashes in
records follow the files; the commit is the one at which a job ran, and a run over several commits has several; the
device is that of this machine."""
TRAINED = (
    "detector/*",
    "detections.parquet",
    "label_audit/*",
    "crops/*",
    "classifier/*",
    "answers/*",
    "onnx/*",
    "benchmark/*",
    "away/*",
    "figures/*",
)
"""Files that depend on a training's floating-point arithmetic: another device rounds differently."""


def is_measured(path: str) -> bool:
    """Whether a file, by its path below the stage's folder, is measured as a whole."""
    return any(fnmatch(path, pattern) for pattern in WHOLE)


def measured_parts(path: str) -> set[str]:
    """Columns or keys of a file, by its path below the stage's folder, that are measured."""
    return set().union(*(parts for pattern, parts in PARTS.items() if fnmatch(path, pattern)))


def is_trained(path: str) -> bool:
    """Whether a file, by its path below the stage's folder, follows from a training."""
    return any(fnmatch(path, pattern) for pattern in TRAINED)
